// A home in a folder of its own under $TMPDIR, and sessions in it that are talked to by messages,
// as the network side does.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/codec.h"
#include "protocol/messages.h"
#include "server/descriptor_cache.h"
#include "server/home.h"
#include "server/session_home.h"
#include "server/usage_store.h"

namespace homefs::test {

/// A folder that is removed with everything in it.
class ScratchFolder {
 public:
  ScratchFolder();
  ~ScratchFolder();
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::span<const std::byte> bytes_of(std::string_view text);
std::string text_of_bytes(std::span<const std::byte> bytes);
/// `size` bytes that differ from place to place.
std::string pattern(std::size_t size, unsigned seed = 1);

struct TestHomeOptions {
  std::uint64_t bytes_max = 0;
  std::uint64_t files_max = 0;
  std::size_t descriptors_max = 256;
  std::chrono::seconds orphan_linger{600};
  bool preserve_owners = false;
  std::shared_ptr<FolderWatch> watch;
  std::function<void(const std::vector<Change>&)> on_beside;
};

/// The home's folders are scratch/home and scratch/orphans.
class TestHome {
 public:
  explicit TestHome(const TestHomeOptions& options = {});
  ~TestHome();

  /// Ends this run of the server, in order (`is_clean`) or as a kill does, and begins the next.
  /// Precondition: the sessions are gone, or killed.
  void restart(bool is_clean);
  void bury(std::unique_ptr<SessionHome> session) { killed_.push_back(std::move(session)); }
  void start();

  Home& operator*() { return *home_; }
  Home* operator->() { return home_.get(); }
  [[nodiscard]] const std::shared_ptr<Home>& ref() const { return home_; }
  [[nodiscard]] std::filesystem::path root() const { return scratch_.path() / "home"; }
  [[nodiscard]] std::filesystem::path orphans() const { return scratch_.path() / "orphans"; }
  [[nodiscard]] DescriptorCache& descriptors() { return *descriptors_; }
  [[nodiscard]] MemoryUsageStore& usage_store() { return *usage_; }

  /// What a walk over both folders counts.
  [[nodiscard]] Usage counted() const;

 private:
  const TestHomeOptions options_;
  ScratchFolder scratch_;
  std::shared_ptr<DescriptorCache> descriptors_;
  std::shared_ptr<MemoryUsageStore> usage_;
  std::shared_ptr<Home> home_;
  std::vector<std::shared_ptr<Home>> killed_homes_;
  std::vector<std::unique_ptr<SessionHome>> killed_;
};

/// Sum over everything below `folder`: sizes of regular files, hard links once; inodes.
Usage count_folder(const std::filesystem::path& folder);

/// The answer to a request, its message decoded if it succeeded.
template <class Message>
struct Answer {
  Status status = Status::kOk;
  Message message;
  std::string payload;
  std::vector<Change> changes;

  [[nodiscard]] bool is_ok() const { return is_success(status); }
  Message* operator->() { return &message; }
  const Message* operator->() const { return &message; }
};

/// A session, and short ways to make the requests that tests make most.
class TestSession {
 public:
  explicit TestSession(TestHome& home, const std::string& folder = "");

  template <class Message, class Request>
  Answer<Message> call(Op op, const Request& request, std::string_view payload = {},
                       const Introductions& introductions = {}) {
    const Reply reply = send(op, encode_request(introductions, request), payload);
    Answer<Message> answer{.status = reply.status, .changes = reply.changes};
    for (const Slice& slice : reply.payload) answer.payload += text_of_bytes(slice.bytes);
    if (answer.is_ok()) answer.message = must_decode<Message>(reply.fields);
    return answer;
  }

  /// A number that was not used yet, in any session.
  static NodeId next_node();

  Answer<EntryReply> create(NodeId parent, const std::string& name, NodeId node,
                            std::uint32_t mode = 0644);
  Answer<EntryReply> mkdir(NodeId parent, const std::string& name, NodeId node,
                           std::uint32_t mode = 0755);
  Answer<EntryReply> symlink(NodeId parent, const std::string& name, NodeId node,
                             const std::string& target);
  Answer<EntryReply> link(NodeId node, NodeId parent, const std::string& name);
  Answer<RemoveReply> unlink(NodeId parent, const std::string& name, bool keep = false,
                             NodeId meant = kNoNode);
  Answer<RemoveReply> rmdir(NodeId parent, const std::string& name);
  Answer<RenameReply> rename(NodeId parent, const std::string& name, NodeId new_parent,
                             const std::string& new_name, RenameMode mode = RenameMode::kReplace,
                             bool keep = false, NodeId meant = kNoNode);
  Answer<LookupReply> lookup(NodeId parent, const std::string& name, NodeId node);
  Answer<AttributesReply> getattr(NodeId node);
  Answer<ChangeReply> setattr(const SetattrRequest& request);
  Answer<ChangeReply> chmod(NodeId node, std::uint32_t mode);
  Answer<ChangeReply> truncate(NodeId node, std::uint64_t size);
  Answer<ChangeReply> write_back(NodeId node, std::uint64_t offset, std::string_view data,
                                 std::uint64_t page_order);
  Answer<ChangeReply> write(NodeId node, std::uint64_t offset, std::string_view data);
  Answer<ReadReply> read(NodeId node, std::uint64_t offset, std::uint32_t length);
  Answer<EmptyMessage> forget(std::vector<NodeId> nodes);
  Answer<ListReply> list(const ListRequest& request);

  /// A new file with `data`, under the node that is returned. Expects success.
  NodeId make_file(NodeId parent, const std::string& name, std::string_view data = {});
  NodeId make_folder(NodeId parent, const std::string& name);
  /// The node of a name that exists. Expects success.
  NodeId find(NodeId parent, const std::string& name);

  SessionHome& operator*() { return *session_; }
  SessionHome* operator->() { return session_.get(); }
  /// As if the server was killed: nothing is tidied up before the test ends.
  void kill(TestHome& home) { home.bury(std::move(session_)); }

 private:
  Reply send(Op op, std::vector<std::byte> fields, std::string_view payload);
  template <class Message>
  static Message must_decode(std::span<const std::byte> fields) {
    auto message = decode_all<Message>(fields);
    if (!message) decode_failed();
    return *std::move(message);
  }
  static void decode_failed();

  std::unique_ptr<SessionHome> session_;
};

/// Attributes as of one look at the inode: what two looks without a change between them agree in.
inline Attributes without_order(Attributes attributes) {
  attributes.order = 0;
  return attributes;
}

}  // namespace homefs::test

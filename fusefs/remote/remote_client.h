// RemoteClient: a home without a mount. Calls on files and folders by node numbers, without a cache
// in between; paths are walked by resolve().
//
// A call returns at once with an Answer; calls of names and attributes take effect in the order in
// which they were made, also when they depend on each other (a folder, a file in it, its data by
// append): the numbers are chosen here, so nobody has to wait for an answer in between. Write, read
// and digest are outside of that order: their node has to be known by an answer before.
//
// Owner: the command. Executor: thread-safe; answers are worked on by the link's net threads.
// Blocks: what returns a Result, until the server has answered; nothing else.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fusefs/link.h"
#include "fusefs/remote/answer.h"
#include "fusefs/remote/node_book.h"
#include "fusefs/remote/remote_path.h"
#include "protocol/messages.h"

namespace homefs {

/// A file or folder that was found.
struct RemoteNode {
  NodeId id{};
  Attributes attributes;
  std::string target;  ///< of a symlink
};

/// One name in a folder.
struct RemotePlace {
  NodeId folder{};
  std::string name;
};

struct ReadData {
  std::uint64_t size = 0;  ///< of the file
  Slice data;              ///< verified
};

/// A file of read_many(): its data, verified, or why it has none (kWouldBlock: ask for it alone).
struct SmallFileData {
  NodeId node{};
  Result<Slice> data;
};

class RemoteClient final : public LinkEvents {
 public:
  /// The link must be given book() and this to attach(), and detach before they go.
  explicit RemoteClient(Link& link) : link_(link) {}
  RemoteClient(const RemoteClient&) = delete;
  RemoteClient& operator=(const RemoteClient&) = delete;

  [[nodiscard]] NodeBook& book() { return book_; }
  [[nodiscard]] Link& link() { return link_; }

  // Looking.
  [[nodiscard]] Result<RemoteNode> root();
  [[nodiscard]] Answer<RemoteNode> lookup(RemotePlace place);
  /// Errors: those of the names on the way, with the path so far as context. Symlinks on the way
  /// are not followed: kNotDirectory.
  [[nodiscard]] Result<RemoteNode> resolve(const RemotePath& path);
  [[nodiscard]] Answer<ListReply> list(ListRequest request);
  [[nodiscard]] Answer<StatfsReply> statfs();
  /// A number for an entry of a listing, to be given back by drop().
  [[nodiscard]] NodeId number_for(const RemotePlace& place, const Attributes& is);
  void drop(NodeId node);

  // Changes, in their order.
  [[nodiscard]] Answer<EntryReply> create(RemotePlace place, NodeId node, std::uint32_t mode);
  [[nodiscard]] Answer<EntryReply> mkdir(RemotePlace place, NodeId node, std::uint32_t mode);
  [[nodiscard]] Answer<EntryReply> symlink(RemotePlace place, NodeId node, std::string target);
  [[nodiscard]] Answer<RemoveReply> unlink(RemotePlace place);
  [[nodiscard]] Answer<RemoveReply> rmdir(RemotePlace place);
  /// `moved`: its number, where it has one. `session`: as in Call.
  [[nodiscard]] Answer<RenameReply> rename(RemotePlace from, RemotePlace to, RenameMode mode,
                                           NodeId moved = kNoNode, std::uint64_t session = 0);
  [[nodiscard]] Answer<ChangeReply> setattr(SetattrRequest request);
  [[nodiscard]] Answer<CopyReply> copy(CopyRequest request);
  /// At most kPayloadBytesMax.
  [[nodiscard]] Answer<AppendReply> append(NodeId node, Slice data);
  /// The whole file, for this session alone, or kWouldBlock.
  [[nodiscard]] Answer<LockReply> lock(NodeId node, bool is_locked);

  // Data, in any order.
  /// `digests`: of the pieces of `data`, where they are known.
  [[nodiscard]] Answer<ChangeReply> write(NodeId node, std::uint64_t offset, Slice data,
                                          std::span<const Md5Digest> digests = {});
  [[nodiscard]] Answer<ReadData> read(NodeId node, std::uint64_t offset, std::uint32_t length);
  /// At most kNodesPerRequestMax of them.
  [[nodiscard]] Answer<std::vector<SmallFileData>> read_many(std::vector<NodeId> nodes,
                                                             std::uint32_t bytes_each);
  [[nodiscard]] Answer<DigestReply> digest(DigestRequest request);

  // LinkEvents: nothing is cached, so there is nothing to drop.
  void on_mode(bool is_shared, std::move_only_function<void()> acknowledge) override;
  void on_changed(ChangedEvent event, std::move_only_function<void()> acknowledge) override;
  void on_quota(const GrantState&) override {}
  void on_reconnected(const Reconnected&) override {}
  void on_power_lost() override {}  // nothing that was transferred is promised to be synced
  void on_session(bool) override {}
  void on_lock_granted(std::uint64_t) override {}

 private:
  template <class Reply>
  [[nodiscard]] Answer<Reply> ask(Call call);
  template <class Request>
  [[nodiscard]] Answer<EntryReply> make(Op op, Request request);

  Link& link_;
  NodeBook book_;
  std::atomic<std::uint64_t> last_lock_id_{0};
};

}  // namespace homefs

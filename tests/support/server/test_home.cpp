#include "tests/support/server/test_home.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <set>

#include "protocol/block.h"
#include "protocol/block_md5.h"

namespace homefs::test {

ScratchFolder::ScratchFolder() {
  const char* const base = std::getenv("TMPDIR");
  std::string pattern = std::string(base == nullptr ? "/tmp" : base) + "/homefs-test-XXXXXX";
  HOMEFS_CHECK(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

ScratchFolder::~ScratchFolder() {
  std::error_code ignored;  // a test that leaves something behind is no worse for it
  std::filesystem::remove_all(path_, ignored);
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::string text_of_bytes(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string pattern(std::size_t size, unsigned seed) {
  std::string text(size, '\0');
  std::uint32_t state = seed * 2654435761u + 1;
  for (char& c : text) {
    state = state * 1664525u + 1013904223u;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

TestHome::TestHome(const TestHomeOptions& options)
    : options_(options),
      descriptors_(std::make_shared<DescriptorCache>(options.descriptors_max)),
      usage_(std::make_shared<MemoryUsageStore>()) {
  std::filesystem::create_directory(root());
  start();
}

TestHome::~TestHome() {
  if (options_.watch != nullptr) options_.watch->stop();
}

void TestHome::start() {
  auto home = Home::open({.root = root(),
                          .orphan_folder = orphans(),
                          .bytes_max = options_.bytes_max,
                          .files_max = options_.files_max,
                          .preserve_owners = options_.preserve_owners,
                          .orphan_linger = options_.orphan_linger,
                          .descriptors = descriptors_,
                          .usage = usage_,
                          .watch = options_.watch,
                          .on_beside = options_.on_beside});
  if (!home) ADD_FAILURE() << home.error().message();
  home_ = *home;
}

void TestHome::restart(bool is_clean) {
  if (is_clean) {
    home_->stop();
  } else {
    killed_homes_.push_back(home_);
    descriptors_ = std::make_shared<DescriptorCache>(options_.descriptors_max);
  }
  home_.reset();
  start();
}

Usage count_folder(const std::filesystem::path& folder) {
  Usage usage;
  std::set<ino_t> seen;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    struct ::stat s{};
    if (::lstat(entry.path().c_str(), &s) != 0) continue;
    if (!seen.insert(s.st_ino).second) continue;
    ++usage.files;
    if (S_ISREG(s.st_mode)) usage.bytes += static_cast<std::uint64_t>(s.st_size);
  }
  return usage;
}

Usage TestHome::counted() const {
  // Hard links between the two are counted once: the inodes of both in one set.
  const auto both = scratch_.path();
  Usage usage = count_folder(both);
  usage.files -= 2;  // the two folders themselves
  return usage;
}

TestSession::TestSession(TestHome& home, const std::string& folder) {
  auto session = SessionHome::open(home.ref(), folder);
  if (!session) ADD_FAILURE() << session.error().message();
  session_ = *std::move(session);
}

NodeId TestSession::next_node() {
  static std::atomic<std::uint64_t> last{1000};
  return NodeId{++last};
}

Reply TestSession::send(Op op, std::vector<std::byte> fields, std::string_view payload) {
  const auto data = bytes_of(payload);
  fields.insert(fields.end(), data.begin(), data.end());
  auto body = std::make_shared<Buffer>(fields.size());
  std::ranges::copy(fields, body->writable().begin());
  return session_->handle({.header = {.op = op}, .body = body});
}

void TestSession::decode_failed() { ADD_FAILURE() << "a reply could not be decoded"; }

Answer<EntryReply> TestSession::create(NodeId parent, const std::string& name, NodeId node,
                                       std::uint32_t mode) {
  return call<EntryReply>(
      Op::kCreate, CreateRequest{.parent = parent, .name = name, .node = node, .mode = mode});
}

Answer<EntryReply> TestSession::mkdir(NodeId parent, const std::string& name, NodeId node,
                                      std::uint32_t mode) {
  return call<EntryReply>(Op::kMkdir,
                          MkdirRequest{.parent = parent, .name = name, .node = node, .mode = mode});
}

Answer<EntryReply> TestSession::symlink(NodeId parent, const std::string& name, NodeId node,
                                        const std::string& target) {
  return call<EntryReply>(
      Op::kSymlink, SymlinkRequest{.parent = parent, .name = name, .node = node, .target = target});
}

Answer<EntryReply> TestSession::link(NodeId node, NodeId parent, const std::string& name) {
  return call<EntryReply>(Op::kLink, LinkRequest{.node = node, .parent = parent, .name = name});
}

Answer<RemoveReply> TestSession::unlink(NodeId parent, const std::string& name, bool keep,
                                        NodeId meant) {
  return call<RemoveReply>(
      Op::kUnlink, UnlinkRequest{.parent = parent, .name = name, .keep = keep, .node = meant});
}

Answer<RemoveReply> TestSession::rmdir(NodeId parent, const std::string& name) {
  return call<RemoveReply>(Op::kRmdir, RmdirRequest{.parent = parent, .name = name});
}

Answer<RenameReply> TestSession::rename(NodeId parent, const std::string& name, NodeId new_parent,
                                        const std::string& new_name, RenameMode mode, bool keep,
                                        NodeId meant) {
  return call<RenameReply>(Op::kRename, RenameRequest{.parent = parent,
                                                      .name = name,
                                                      .new_parent = new_parent,
                                                      .new_name = new_name,
                                                      .mode = mode,
                                                      .keep = keep,
                                                      .node = meant});
}

Answer<LookupReply> TestSession::lookup(NodeId parent, const std::string& name, NodeId node) {
  return call<LookupReply>(Op::kLookup,
                           LookupRequest{.parent = parent, .name = name, .node = node});
}

Answer<AttributesReply> TestSession::getattr(NodeId node) {
  return call<AttributesReply>(Op::kGetattr, NodeRequest{.node = node});
}

Answer<ChangeReply> TestSession::setattr(const SetattrRequest& request) {
  return call<ChangeReply>(Op::kSetattr, request);
}

Answer<ChangeReply> TestSession::chmod(NodeId node, std::uint32_t mode) {
  return setattr({.node = node, .which = kSetMode, .mode = mode});
}

Answer<ChangeReply> TestSession::truncate(NodeId node, std::uint64_t size) {
  return setattr({.node = node, .which = kSetSize, .size = size});
}

Answer<ChangeReply> TestSession::write(NodeId node, std::uint64_t offset, std::string_view data) {
  WriteRequest request{.node = node, .offset = offset};
  request.digests.resize(piece_count(offset, data.size()));
  md5_pieces(offset, bytes_of(data), request.digests);
  return call<ChangeReply>(Op::kWrite, request, data);
}

Answer<ChangeReply> TestSession::write_back(NodeId node, std::uint64_t offset,
                                            std::string_view data, std::uint64_t page_order) {
  WriteRequest request{.node = node, .offset = offset};
  request.page_order = page_order;
  request.digests.resize(piece_count(offset, data.size()));
  md5_pieces(offset, bytes_of(data), request.digests);
  return call<ChangeReply>(Op::kWrite, request, data);
}

Answer<ReadReply> TestSession::read(NodeId node, std::uint64_t offset, std::uint32_t length) {
  return call<ReadReply>(Op::kRead, ReadRequest{.node = node, .offset = offset, .length = length});
}

Answer<EmptyMessage> TestSession::forget(std::vector<NodeId> nodes) {
  return call<EmptyMessage>(Op::kForget, ForgetRequest{.nodes = std::move(nodes)});
}

Answer<ListReply> TestSession::list(const ListRequest& request) {
  return call<ListReply>(Op::kList, request);
}

NodeId TestSession::make_file(NodeId parent, const std::string& name, std::string_view data) {
  const NodeId node = next_node();
  EXPECT_EQ(create(parent, name, node).status, Status::kOk) << name;
  if (!data.empty()) {
    EXPECT_EQ(write(node, 0, data).status, Status::kOk) << name;
  }
  return node;
}

NodeId TestSession::make_folder(NodeId parent, const std::string& name) {
  const NodeId node = next_node();
  EXPECT_EQ(mkdir(parent, name, node).status, Status::kOk) << name;
  return node;
}

NodeId TestSession::find(NodeId parent, const std::string& name) {
  const NodeId node = next_node();
  EXPECT_EQ(lookup(parent, name, node).status, Status::kOk) << name;
  return node;
}

}  // namespace homefs::test

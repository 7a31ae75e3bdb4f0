// A server that is killed at each step of applying one change, for each kind of change: the client
// comes back, sends it again, and it was done exactly once.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <fstream>
#include <functional>
#include <map>
#include <vector>

#include "protocol/block_md5.h"
#include "protocol/codec.h"
#include "server/posix_disk.h"
#include "tests/support/server/server_process.h"
#include "tests/support/test_client.h"

namespace homefs::testing {
namespace {

namespace fs = std::filesystem;

constexpr NodeId kD{10};
constexpr NodeId kF{11};
constexpr NodeId kG{12};
constexpr NodeId kE{13};
constexpr NodeId kX{14};
constexpr NodeId kNew{20};

void write_file(const fs::path& path, std::size_t bytes, char letter) {
  std::ofstream(path) << std::string(bytes, letter);
}

/// What every case begins with.
void prepare(const fs::path& home) {
  fs::create_directories(home / "d/empty");
  fs::create_directories(home / "d/full");
  fs::create_directories(home / "e");
  write_file(home / "d/full/in", 1, 'i');
  write_file(home / "d/f", 100'000, 'f');
  write_file(home / "d/g", 70'000, 'g');
  write_file(home / "d/x", 10, 'x');
  ASSERT_EQ(::setxattr((home / "d/x").c_str(), "user.there", "old", 3, 0), 0);
  fs::create_hard_link(home / "d/x", home / "d/x2");
}

Introductions introductions(const fs::path& home) {
  const auto introduction = [&](NodeId node, NodeId parent, const fs::path& path) {
    const auto stat = disk::stat_at(AT_FDCWD, (home / path).c_str());
    EXPECT_TRUE(stat);
    const Attributes& a = stat->attributes;
    return Introduction{node, parent, path.filename(), a.inode, a.generation};
  };
  return {{introduction(kD, kRootNode, "d"), introduction(kF, kD, "d/f"),
           introduction(kG, kD, "d/g"), introduction(kE, kRootNode, "e"),
           introduction(kX, kD, "d/x")}};
}

std::string xattrs_of(const fs::path& path) {
  std::string names(1024, '\0');
  const ssize_t bytes = ::llistxattr(path.c_str(), names.data(), names.size());
  std::string text;
  for (std::size_t at = 0; bytes > 0 && at < static_cast<std::size_t>(bytes);) {
    const std::string name(names.c_str() + at);
    std::string value(256, '\0');
    const ssize_t length = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    text +=
        name + "=" + value.substr(0, static_cast<std::size_t>(std::max<ssize_t>(length, 0))) + " ";
    at += name.size() + 1;
  }
  return text;
}

std::string describe(const fs::path& path) {
  struct ::stat status{};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0);
  std::string text = std::to_string(status.st_mode);
  if (!S_ISDIR(status.st_mode)) {
    text += " links=" + std::to_string(status.st_nlink) + " size=" + std::to_string(status.st_size);
  }
  // Times that were set are long ago.
  if (status.st_mtim.tv_sec < 1'000'000'000)
    text += " mtime=" + std::to_string(status.st_mtim.tv_sec);
  text += " " + xattrs_of(path);
  if (S_ISLNK(status.st_mode)) text += " -> " + fs::read_symlink(path).string();
  if (S_ISREG(status.st_mode)) {
    std::ifstream file(path);
    const std::string data((std::istreambuf_iterator<char>(file)), {});
    text += " data=" + std::to_string(std::hash<std::string>()(data));
  }
  return text;
}

using Tree = std::map<std::string, std::string>;

Tree tree_of(const ServerProcess& server) {
  Tree tree;
  for (const auto& entry : fs::recursive_directory_iterator(server.home())) {
    tree[fs::relative(entry.path(), server.home())] = describe(entry.path());
  }
  int orphans = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(server.orphans(), error)) {
    tree["orphan " + std::to_string(++orphans)] = describe(entry.path());
  }
  return tree;
}

struct Case {
  std::string name;
  Op op{};
  std::function<std::vector<std::byte>(const Introductions&)> fields;
  std::string payload;
  bool holds_an_orphan = false;  ///< gets its link in the orphanage before it loses its name
};

std::ostream& operator<<(std::ostream& out, const Case& one) { return out << one.name; }

template <class Request>
Case case_of(std::string name, Op op, const Request& request, std::string payload = {}) {
  return {.name = std::move(name),
          .op = op,
          .fields = [request](const Introductions& list) { return encode_request(list, request); },
          .payload = std::move(payload)};
}

template <class Request>
Case orphan_case(std::string name, Op op, const Request& request) {
  Case one = case_of(std::move(name), op, request);
  one.holds_an_orphan = true;
  return one;
}

Case append_case(std::string name, std::size_t bytes) {
  std::string data(bytes, 'n');
  AppendRequest request{.node = kF, .digests = {}};
  request.digests.resize(piece_count(0, bytes));
  md5_pieces(0, std::as_bytes(std::span(data)), request.digests);
  return case_of(std::move(name), Op::kAppend, request, std::move(data));
}

std::vector<Case> name_cases() {
  return {
      case_of("create", Op::kCreate, CreateRequest{kD, "new", kNew, 0640, {}}),
      case_of("create_suid", Op::kCreate, CreateRequest{kD, "new", kNew, 04755, {}}),
      case_of("mkdir", Op::kMkdir, MkdirRequest{kD, "new", kNew, 0775, {}}),
      case_of("mkdir_closed", Op::kMkdir, MkdirRequest{kD, "new", kNew, 0111, {}}),
      case_of("mknod_fifo", Op::kMknod, MknodRequest{kD, "new", kNew, S_IFIFO | 0622, 0, {}}),
      case_of("mknod_file", Op::kMknod, MknodRequest{kD, "new", kNew, S_IFREG | 0622, 0, {}}),
      case_of("symlink", Op::kSymlink, SymlinkRequest{kD, "new", kNew, "somewhere", {}}),
      case_of("link", Op::kLink, LinkRequest{kF, kE, "new"}),
      case_of("unlink", Op::kUnlink, UnlinkRequest{kD, "f", false}),
      orphan_case("unlink_open", Op::kUnlink, UnlinkRequest{kD, "f", true}),
      orphan_case("unlink_one_of_two", Op::kUnlink, UnlinkRequest{kD, "x", false}),
      case_of("rmdir", Op::kRmdir, RmdirRequest{kD, "empty"}),
      case_of("rename", Op::kRename,
              RenameRequest{kD, "f", kD, "new", RenameMode::kReplace, false}),
      case_of("rename_away", Op::kRename,
              RenameRequest{kD, "full", kE, "new", RenameMode::kReplace, false}),
      case_of("rename_noreplace", Op::kRename,
              RenameRequest{kD, "f", kE, "new", RenameMode::kNoReplace, false}),
      case_of("rename_over", Op::kRename,
              RenameRequest{kD, "f", kD, "g", RenameMode::kReplace, false}),
      orphan_case("rename_over_open", Op::kRename,
                  RenameRequest{kD, "f", kD, "g", RenameMode::kReplace, true}),
      case_of("rename_over_folder", Op::kRename,
              RenameRequest{kD, "full", kD, "empty", RenameMode::kReplace, false}),
      case_of("rename_two_names", Op::kRename,
              RenameRequest{kD, "x", kD, "x2", RenameMode::kReplace, false}),
      case_of("exchange", Op::kRename,
              RenameRequest{kD, "f", kD, "full", RenameMode::kExchange, false}),
  };
}

std::vector<Case> inode_cases() {
  const auto setattr = [](const char* name, SetattrRequest request) {
    request.node = kF;
    return case_of(name, Op::kSetattr, request);
  };
  const auto allocate = [](const char* name, FallocateMode mode, std::uint64_t offset) {
    return case_of(name, Op::kFallocate, FallocateRequest{kF, mode, offset, 50'000});
  };
  return {
      setattr("chmod", {.which = kSetMode, .mode = 0444}),
      setattr("chmod_suid", {.which = kSetMode, .mode = 04711}),
      setattr("truncate", {.which = kSetSize, .size = 10}),
      setattr("extend", {.which = kSetSize, .size = 200'000}),
      setattr("utimens", {.which = kSetMtime, .mtime = {.seconds = 1000, .nanoseconds = 1}}),
      setattr("several", {.which = kSetSize | kSetMode | kSetMtime,
                          .mode = 0600,
                          .size = 7,
                          .mtime = {.seconds = 77, .nanoseconds = 0}}),
      case_of("setxattr", Op::kSetxattr, SetxattrRequest{kX, "user.there", XattrMode::kSet}, "new"),
      case_of("setxattr_create", Op::kSetxattr, SetxattrRequest{kX, "user.new", XattrMode::kCreate},
              "new"),
      case_of("setxattr_replace", Op::kSetxattr,
              SetxattrRequest{kX, "user.there", XattrMode::kReplace}, "new"),
      case_of("removexattr", Op::kRemovexattr, XattrRequest{kX, "user.there"}),
      append_case("append", 30'000),
      append_case("append_much", 1'000'000),
      case_of("copy", Op::kCopy, CopyRequest{kG, 1'000, kF, 50'000, 60'000}),
      case_of("copy_within", Op::kCopy, CopyRequest{kF, 0, kF, 100'000, 100'000}),
      allocate("allocate", FallocateMode::kAllocate, 80'000),
      allocate("allocate_keep_size", FallocateMode::kKeepSize, 80'000),
      allocate("punch", FallocateMode::kPunchHole, 20'000),
      allocate("zero", FallocateMode::kZero, 80'000),
      allocate("zero_keep_size", FallocateMode::kZeroKeepSize, 80'000),
      case_of(
          "lock", Op::kLock,
          LockRequest{.node = kF, .type = LockType::kExclusive, .owner = 1, .begin = 0, .end = 9}),
  };
}

/// What a reply says that does not depend on when and where it was made.
struct Said {
  Status status{};
  std::uint64_t number = 0;
  std::uint32_t mode = 0;
  std::uint32_t links = 0;
  std::uint64_t size = 0;

  bool operator==(const Said&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Said& said) {
  return out << "status " << static_cast<int>(said.status) << " number " << said.number << " mode "
             << std::oct << said.mode << std::dec << " links " << said.links << " size "
             << said.size;
}

Said said_in(Op op, const InFrame& reply) {
  Said said{.status = reply.header.status};
  if (!is_success(said.status) || op == Op::kLock) return said;
  ByteReader in(reply.bytes());
  if (op == Op::kAppend || op == Op::kCopy) said.number = in.get_u64();
  const auto message = decode<AttributesReply>(in);  // all begin with those of what it is about
  EXPECT_TRUE(message);
  const Attributes& a = message->attributes;
  said.mode = a.mode;
  if (!S_ISDIR(a.mode)) {
    said.links = a.links;
    said.size = a.size;
  }
  return said;
}

class KilledServerTest : public ::testing::TestWithParam<Case> {
 protected:
  static TestLogin login() {
    return {.user = "alice", .secret = "wonderland", .finish = {.client_id = "laptop"}};
  }

  void begin(const std::string& crash_at) {
    server_.kill();
    for (const auto& folder : {server_.home(), server_.orphans(), server_.sessions()}) {
      fs::remove_all(folder);
    }
    fs::create_directories(server_.home());
    prepare(server_.home());
    before_ = tree_of(server_);
    server_.start(crash_at);
    TestClient client(server_.port());
    const auto session = client.log_in(login());
    ASSERT_TRUE(session) << session.error().message();
    session_ = *session;
    introductions_ = introductions(server_.home());
    const std::optional<InFrame> reply = client.reply_to(send(client));
    ASSERT_EQ(reply.has_value(), crash_at.empty()) << "the point was not passed";
    if (reply) said_ = said_in(GetParam().op, *reply);
  }

  std::uint32_t send(TestClient& client) {
    OutFrame frame;
    frame.header.op = GetParam().op;
    frame.header.seq = 1;
    frame.fields = GetParam().fields(introductions_);
    if (!GetParam().payload.empty()) {
      const auto data = std::make_shared<Buffer>(GetParam().payload.size());
      std::ranges::copy(std::as_bytes(std::span(GetParam().payload)), data->writable().begin());
      frame.payload = {slice_of(data)};
    }
    return client.send(std::move(frame));
  }

  /// The server is there again. True when it says that the change is done.
  void come_back(bool is_done) {
    ASSERT_TRUE(server_.wait_killed());
    server_.start();
    TestClient client(server_.port());
    const auto resumed = client.resume(session_, ConnectionKind::kControl);
    ASSERT_TRUE(resumed) << resumed.error().message();
    ASSERT_EQ(resumed->seq_applied, is_done ? 1u : 0u);
    if (is_done) {
      EXPECT_EQ(tree_of(server_), expected_);
      // From here on it would be seen if anything was done for the resend.
      for (const auto& entry : fs::directory_iterator(server_.home())) fs::remove_all(entry);
      expected_now_ = tree_of(server_);
    } else {
      if (!GetParam().holds_an_orphan) {
        EXPECT_EQ(tree_of(server_), before_);
      }
      expected_now_ = expected_;
    }
    const auto reply = client.reply_to(send(client));
    ASSERT_TRUE(reply);
    EXPECT_EQ(said_in(GetParam().op, *reply), expected_said_);
    EXPECT_EQ(tree_of(server_), expected_now_);
    const auto again = client.reply_to(send(client));
    ASSERT_TRUE(again);
    EXPECT_TRUE(std::ranges::equal(reply->bytes(), again->bytes()));
    EXPECT_TRUE(client.call(
        Op::kMkdir,
        encode_request(
            Introductions{},
            MkdirRequest{.parent = kRootNode, .name = "next", .node = NodeId{99}, .mode = 0755}),
        2))
        << "the sequence goes on";
  }

  ServerProcess server_{HOMEFSD_BIN};
  AuthFinishReply session_;
  Introductions introductions_;
  Tree before_, expected_, expected_now_;
  Said said_, expected_said_;
};

/// Changes that have no half: a kill finds them done as soon as they are begun on the disk.
bool is_finished_after_a_kill(Op op) {
  return op == Op::kSetattr || op == Op::kCopy || op == Op::kFallocate;
}

bool has_a_middle(const Case& one) {
  switch (one.op) {
    case Op::kLink:
    case Op::kSetxattr:
    case Op::kRemovexattr:
    case Op::kLock:
      return false;
    default:
      return one.name != "exchange";
  }
}

bool is_done_in_the_middle(Op op) {
  switch (op) {
    case Op::kCreate:
    case Op::kMkdir:
    case Op::kMknod:
    case Op::kSymlink:
      return true;
    default:
      return is_finished_after_a_kill(op);
  }
}

TEST_P(KilledServerTest, DoesItExactlyOnce) {
  const Case& one = GetParam();
  begin("");
  if (HasFatalFailure()) return;
  expected_ = tree_of(server_);
  expected_said_ = said_;
  ASSERT_TRUE(is_success(said_.status)) << said_;
  // Of a lock, and of a rename that changes nothing, nothing is written down but the reply.
  const bool has_facts = one.op != Op::kLock && one.name != "rename_two_names";
  struct Point {
    const char* name;
    bool exists;
    bool is_done;
  };
  const std::vector<Point> points = {
      {"before-intent", true, false},
      {"begun", true, false},
      {"after-facts", has_facts, is_finished_after_a_kill(one.op)},
      {"mid-change", has_facts && has_a_middle(one), is_done_in_the_middle(one.op)},
      {"after-change", has_facts, true},
      {"after-outcome", has_facts, true},
      {"before-reply", true, true},
  };
  for (const Point& point : points) {
    if (!point.exists) continue;
    SCOPED_TRACE(point.name);
    begin(point.name);
    if (HasFatalFailure()) return;
    come_back(point.is_done);
    if (HasFailure()) return;
  }
}

std::string name_of_case(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

INSTANTIATE_TEST_SUITE_P(Names, KilledServerTest, ::testing::ValuesIn(name_cases()), name_of_case);
INSTANTIATE_TEST_SUITE_P(Inodes, KilledServerTest, ::testing::ValuesIn(inode_cases()),
                         name_of_case);

}  // namespace
}  // namespace homefs::testing

#include "tests/model/storage_model.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdio>
#include <set>

#include "protocol/block.h"
#include "protocol/block_md5.h"

namespace homefs::test {
namespace {

constexpr std::size_t kKnownMax = 60;
constexpr std::uint64_t kSizeMax = 200'000;

std::string proc_path(int fd) { return "/proc/self/fd/" + std::to_string(fd); }

struct ::stat stat_of(int fd) {
  struct ::stat s{};
  EXPECT_EQ(::fstatat(fd, "", &s, AT_EMPTY_PATH), 0);
  return s;
}

// A descriptor for data; -1 and errno as open(2) gives them.
UniqueFd open_for_data(int fd) {
  return UniqueFd(::open(proc_path(fd).c_str(), O_RDWR | O_NONBLOCK));
}

}  // namespace

StorageModel::StorageModel(unsigned seed, std::size_t descriptors_max)
    : engine_(seed), home_({.descriptors_max = descriptors_max}) {
  for (const auto& root : {home_.root(), reference_.path()}) ::chmod(root.c_str(), 0755);
  for (std::size_t i = 0; i < 2; ++i) {
    sessions_.push_back(std::make_unique<TestSession>(home_));
    known_.push_back({.session = i,
                      .node = kRootNode,
                      .fd = UniqueFd(::open(reference_.path().c_str(), O_PATH | O_DIRECTORY))});
  }
}

std::uint32_t StorageModel::random_mode() {
  const std::uint32_t bits = random(07777 + 1);
  // Only root can open the reference's files whatever their mode.
  return ::geteuid() == 0 ? bits : (bits & 0777) | 0700;
}

StorageModel::Known& StorageModel::random_known() {
  return known_[random(static_cast<unsigned>(known_.size()))];
}

StorageModel::Known& StorageModel::random_known_of(std::size_t session) {
  for (;;) {
    Known& known = random_known();
    if (known.session == session) return known;
  }
}

StorageModel::Known& StorageModel::random_folder() {
  for (;;) {
    Known& known = random_known();
    if (S_ISDIR(stat_of(known.fd.get()).st_mode) || random(40) == 0) return known;
  }
}

void StorageModel::keep(std::size_t session, NodeId node, int folder, const std::string& name) {
  UniqueFd fd(::openat(folder, name.c_str(), O_PATH | O_NOFOLLOW));
  ASSERT_TRUE(fd) << name;
  const auto attributes = sessions_[session]->getattr(node);
  ASSERT_EQ(attributes.status, Status::kOk);
  const Attributes& there = attributes->attributes;
  inode_of_[stat_of(fd.get()).st_ino] = {there.inode, there.generation};
  known_.push_back({.session = session, .node = node, .fd = std::move(fd)});
  if (known_.size() > kKnownMax) forget_some();
}

void StorageModel::forget_some() {
  for (std::size_t i = known_.size(); i-- > sessions_.size();) {
    if (random(3) != 0) continue;
    EXPECT_EQ(session_of(known_[i]).forget({known_[i].node}).status, Status::kOk);
    known_.erase(known_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

// Folders, symlinks and FIFOs are not kept when their last name goes; what a session did not ask
// to keep is neither.
void StorageModel::drop_removed() {
  for (std::size_t i = known_.size(); i-- > sessions_.size();) {
    const struct ::stat s = stat_of(known_[i].fd.get());
    if (s.st_nlink > 0 || S_ISREG(s.st_mode)) continue;
    session_of(known_[i]).forget({known_[i].node});
    known_.erase(known_.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

bool StorageModel::is_kept_open(std::size_t session, int folder, const std::string& name) {
  struct ::stat target{};
  if (::fstatat(folder, name.c_str(), &target, AT_SYMLINK_NOFOLLOW) != 0) return false;
  for (const Known& known : known_) {
    if (known.session == session && stat_of(known.fd.get()).st_ino == target.st_ino) return true;
  }
  return false;
}

void StorageModel::expect_same(const char* what, Status status, int reference_result) {
  const Status expected = reference_result >= 0 ? Status::kOk : status_of_errno(errno);
  if (is_success(status) && reference_result >= 0) return;
  // The wire has two codes for EEXIST.
  if (errno_of(status) == errno_of(expected)) return;
  ADD_FAILURE() << what << ": the home says " << text_of(status) << ", the disk "
                << text_of(expected);
}

void StorageModel::expect_attributes(const char* what, const Attributes& attributes, int fd) {
  const struct ::stat s = stat_of(fd);
  EXPECT_EQ(attributes.mode, s.st_mode)
      << what << std::oct << " " << attributes.mode << " " << s.st_mode;
  EXPECT_EQ(attributes.links, s.st_nlink) << what;
  if (!S_ISDIR(s.st_mode)) {
    EXPECT_EQ(attributes.size, static_cast<std::uint64_t>(s.st_size)) << what;
  }
  const auto inode = inode_of_.find(s.st_ino);
  if (inode != inode_of_.end()) {
    EXPECT_EQ(attributes.inode, inode->second.number) << what;
  }
}

void StorageModel::create() {
  Known& folder = random_folder();
  const std::size_t session = folder.session;
  const std::string name = random_name();
  const std::uint32_t mode = random_mode();
  const NodeId node = sessions_[session]->next_node();
  const int parent = folder.fd.get();
  const auto answer = sessions_[session]->create(folder.node, name, node, mode);
  const UniqueFd fd(::openat(parent, name.c_str(), O_CREAT | O_EXCL | O_RDWR, mode));
  expect_same("create", answer.status, fd.get());
  if (fd && answer.is_ok()) {
    const Attributes& there = answer->attributes;
    inode_of_[stat_of(fd.get()).st_ino] = {there.inode, there.generation};
    expect_attributes("create", answer->attributes, fd.get());
    keep(session, node, parent, name);
  }
}

void StorageModel::make_folder() {
  Known& folder = random_folder();
  const std::size_t session = folder.session;
  const std::string name = random_name();
  const std::uint32_t mode = random_mode();
  const NodeId node = sessions_[session]->next_node();
  const int parent = folder.fd.get();
  const auto answer = sessions_[session]->mkdir(folder.node, name, node, mode);
  const int made = ::mkdirat(parent, name.c_str(), mode);
  expect_same("mkdir", answer.status, made);
  if (made == 0 && answer.is_ok()) keep(session, node, parent, name);
}

void StorageModel::make_special() {
  Known& folder = random_folder();
  const std::size_t session = folder.session;
  const std::string name = random_name();
  const NodeId node = sessions_[session]->next_node();
  const int parent = folder.fd.get();
  if (random(3) == 0) {
    const std::uint32_t mode = S_IFIFO | random_mode();
    const auto answer = sessions_[session]->call<EntryReply>(
        Op::kMknod, MknodRequest{.parent = folder.node, .name = name, .node = node, .mode = mode});
    const int made = ::mknodat(parent, name.c_str(), mode, 0);
    expect_same("mknod", answer.status, made);
    if (made == 0 && answer.is_ok()) keep(session, node, parent, name);
    return;
  }
  const std::string target(random(50), 't');
  const auto answer = sessions_[session]->symlink(folder.node, name, node, target);
  const int made = ::symlinkat(target.c_str(), parent, name.c_str());
  expect_same("symlink", answer.status, made);
  if (made == 0 && answer.is_ok()) keep(session, node, parent, name);
}

void StorageModel::link() {
  Known& folder = random_folder();
  Known& file = random_known_of(folder.session);
  const std::string name = random_name();
  const auto answer = session_of(folder).link(file.node, folder.node, name);
  const int linked = ::linkat(AT_FDCWD, proc_path(file.fd.get()).c_str(), folder.fd.get(),
                              name.c_str(), AT_SYMLINK_FOLLOW);
  expect_same("link", answer.status, linked);
  if (linked == 0 && answer.is_ok()) {
    expect_attributes("link", answer->attributes, file.fd.get());
  }
}

void StorageModel::remove() {
  Known& folder = random_folder();
  const std::string name = random_name();
  const int parent = folder.fd.get();
  const bool is_folder = random(3) == 0;
  const bool keep = is_kept_open(folder.session, parent, name);
  const UniqueFd victim(::openat(parent, name.c_str(), O_PATH | O_NOFOLLOW));
  const auto answer = is_folder ? session_of(folder).rmdir(folder.node, name)
                                : session_of(folder).unlink(folder.node, name, keep);
  const int removed = ::unlinkat(parent, name.c_str(), is_folder ? AT_REMOVEDIR : 0);
  expect_same("remove", answer.status, removed);
  if (removed == 0 && answer.is_ok()) {
    expect_attributes("remove", answer->attributes, victim.get());
    drop_removed();
  }
}

void StorageModel::rename() {
  Known& from = random_folder();
  Known* to = &random_folder();
  while (to->session != from.session) to = &random_folder();
  const std::string name = random_name();
  const std::string new_name = random_name();
  const RenameMode mode = static_cast<RenameMode>(random(6) == 0 ? 2 : random(2));
  const bool keep = is_kept_open(from.session, to->fd.get(), new_name);
  const unsigned flags = mode == RenameMode::kNoReplace  ? RENAME_NOREPLACE
                         : mode == RenameMode::kExchange ? RENAME_EXCHANGE
                                                         : 0;
  const auto answer = session_of(from).rename(from.node, name, to->node, new_name, mode, keep);
  const int renamed =
      ::renameat2(from.fd.get(), name.c_str(), to->fd.get(), new_name.c_str(), flags);
  expect_same("rename", answer.status, renamed);
  if (renamed == 0 && answer.is_ok()) {
    const UniqueFd moved(::openat(to->fd.get(), new_name.c_str(), O_PATH | O_NOFOLLOW));
    expect_attributes("rename", answer->attributes, moved.get());
    drop_removed();
  }
}

void StorageModel::look_up() {
  Known& folder = random_folder();
  const std::size_t session = folder.session;
  const std::string name = random_name();
  const NodeId node = sessions_[session]->next_node();
  const int parent = folder.fd.get();
  const auto answer = sessions_[session]->lookup(folder.node, name, node);
  struct ::stat s{};
  const int found = ::fstatat(parent, name.c_str(), &s, AT_SYMLINK_NOFOLLOW);
  expect_same("lookup", answer.status, found);
  if (found == 0 && answer.is_ok()) keep(session, node, parent, name);
}

void StorageModel::change_attributes() {
  Known& known = random_known();
  const std::string path = proc_path(known.fd.get());
  const struct ::stat before = stat_of(known.fd.get());
  SetattrRequest request{.node = known.node};
  int done = 0;
  switch (random(3)) {
    case 0:
      request.which = kSetMode;
      request.mode = random_mode();
      if (S_ISDIR(before.st_mode) && known.node == kRootNode) return;
      done = ::chmod(path.c_str(), request.mode);
      // The mode that every symlink has: the kernel refuses it all the same.
      if (S_ISLNK(before.st_mode) && request.mode == (before.st_mode & 07777)) done = 0;
      break;
    case 1:
      request.which = kSetSize;
      request.size = random(kSizeMax);
      if (S_ISREG(before.st_mode)) {
        const UniqueFd fd = open_for_data(known.fd.get());
        done = ::ftruncate(fd.get(), static_cast<off_t>(request.size));
        break;
      }
      done = -1;
      errno = S_ISDIR(before.st_mode) ? EISDIR : EINVAL;
      break;
    default:
      request.which = kSetMtime | kSetAtime;
      request.mtime = {.seconds = random(1'000'000), .nanoseconds = random(1'000'000'000)};
      request.atime = request.mtime;
      const timespec time{.tv_sec = request.mtime.seconds, .tv_nsec = request.mtime.nanoseconds};
      const timespec times[2] = {time, time};
      done = ::utimensat(known.fd.get(), "", times, AT_EMPTY_PATH);
  }
  const int error = errno;
  const auto answer = session_of(known).setattr(request);
  errno = error;
  expect_same("setattr", answer.status, done);
  if (done == 0 && answer.is_ok()) expect_attributes("setattr", answer->attributes, known.fd.get());
}

void StorageModel::write() {
  Known& known = random_known();
  const struct ::stat before = stat_of(known.fd.get());
  if (!S_ISREG(before.st_mode)) return;
  const std::uint64_t offset = random(kSizeMax);
  const std::string data = pattern(random(20'000) + 1, engine_());
  const auto answer = session_of(known).write(known.node, offset, data);
  const UniqueFd fd = open_for_data(known.fd.get());
  const ssize_t written = ::pwrite(fd.get(), data.data(), data.size(), static_cast<off_t>(offset));
  expect_same("write", answer.status, static_cast<int>(written));
  expect_attributes("write", answer->attributes, fd.get());
}

void StorageModel::append() {
  Known& known = random_known();
  const struct ::stat before = stat_of(known.fd.get());
  if (!S_ISREG(before.st_mode) || before.st_size > static_cast<off_t>(2 * kSizeMax)) return;
  const std::string data = pattern(random(20'000) + 1, engine_());
  AppendRequest request{.node = known.node};
  request.digests.resize(piece_count(0, data.size()));
  md5_pieces(0, bytes_of(data), request.digests);
  const auto answer = session_of(known).call<AppendReply>(Op::kAppend, request, data);
  const UniqueFd fd = open_for_data(known.fd.get());
  const ssize_t written = ::pwrite(fd.get(), data.data(), data.size(), before.st_size);
  expect_same("append", answer.status, static_cast<int>(written));
  expect_attributes("append", answer->attributes, fd.get());
}

void StorageModel::read() {
  Known& known = random_known();
  const struct ::stat before = stat_of(known.fd.get());
  if (!S_ISREG(before.st_mode)) return;
  const std::uint64_t offset = random(kSizeMax);
  std::string expected(random(kSizeMax) + 1, '\0');
  const auto answer =
      session_of(known).read(known.node, offset, static_cast<std::uint32_t>(expected.size()));
  const UniqueFd fd = open_for_data(known.fd.get());
  const ssize_t bytes =
      ::pread(fd.get(), expected.data(), expected.size(), static_cast<off_t>(offset));
  expect_same("read", answer.status, static_cast<int>(bytes));
  expected.resize(static_cast<std::size_t>(std::max<ssize_t>(bytes, 0)));
  EXPECT_TRUE(answer.payload == expected);
  EXPECT_TRUE(md5_pieces_equal(offset, bytes_of(answer.payload), answer->digests, nullptr));
}

void StorageModel::copy() {
  Known& source = random_known();
  Known& target = random_known_of(source.session);
  const struct ::stat from = stat_of(source.fd.get());
  const struct ::stat to = stat_of(target.fd.get());
  if (!S_ISREG(from.st_mode) || !S_ISREG(to.st_mode) || from.st_ino == to.st_ino) return;
  CopyRequest request{.source = source.node,
                      .source_offset = random(kSizeMax),
                      .target = target.node,
                      .target_offset = random(kSizeMax),
                      .length = random(50'000)};
  const auto answer = session_of(source).call<CopyReply>(Op::kCopy, request);
  const UniqueFd in = open_for_data(source.fd.get());
  const UniqueFd out = open_for_data(target.fd.get());
  std::string data(request.length, '\0');
  const ssize_t bytes =
      ::pread(in.get(), data.data(), data.size(), static_cast<off_t>(request.source_offset));
  const ssize_t written = ::pwrite(out.get(), data.data(), static_cast<std::size_t>(bytes),
                                   static_cast<off_t>(request.target_offset));
  expect_same("copy", answer.status, static_cast<int>(written));
  EXPECT_EQ(answer->length, static_cast<std::uint64_t>(written));
  ::fchmod(out.get(), answer->attributes.mode & 07777);
  expect_attributes("copy", answer->attributes, out.get());
}

void StorageModel::fallocate() {
  Known& known = random_known();
  if (!S_ISREG(stat_of(known.fd.get()).st_mode)) return;
  constexpr int kFlags[] = {0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                            FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
  const unsigned mode = random(5);
  const FallocateRequest request{.node = known.node,
                                 .mode = static_cast<FallocateMode>(mode),
                                 .offset = random(kSizeMax),
                                 .length = random(50'000)};
  const auto answer = session_of(known).call<ChangeReply>(Op::kFallocate, request);
  const UniqueFd fd = open_for_data(known.fd.get());
  const int done = ::fallocate(fd.get(), kFlags[mode], static_cast<off_t>(request.offset),
                               static_cast<off_t>(request.length));
  expect_same("fallocate", answer.status, done);
  if (done == 0 && answer.is_ok()) {
    expect_attributes("fallocate", answer->attributes, fd.get());
  }
}

void StorageModel::change_xattr() {
  Known& known = random_known();
  const std::string path = proc_path(known.fd.get());
  const std::string name = "user." + random_name();
  const std::string value = pattern(random(100), engine_());
  const int flags = static_cast<int>(random(3));
  if (random(3) == 0) {
    const auto answer = session_of(known).call<ChangeReply>(
        Op::kRemovexattr, XattrRequest{.node = known.node, .name = name});
    expect_same("removexattr", answer.status, ::removexattr(path.c_str(), name.c_str()));
    return;
  }
  const auto answer = session_of(known).call<ChangeReply>(
      Op::kSetxattr,
      SetxattrRequest{.node = known.node, .name = name, .mode = static_cast<XattrMode>(flags)},
      value);
  expect_same("setxattr", answer.status,
              ::setxattr(path.c_str(), name.c_str(), value.data(), value.size(), flags));
}

void StorageModel::step() {
  using Operation = void (StorageModel::*)();
  static constexpr Operation kOperations[] = {&StorageModel::create,
                                              &StorageModel::make_folder,
                                              &StorageModel::make_special,
                                              &StorageModel::link,
                                              &StorageModel::remove,
                                              &StorageModel::remove,
                                              &StorageModel::rename,
                                              &StorageModel::rename,
                                              &StorageModel::look_up,
                                              &StorageModel::look_up,
                                              &StorageModel::change_attributes,
                                              &StorageModel::write,
                                              &StorageModel::append,
                                              &StorageModel::read,
                                              &StorageModel::copy,
                                              &StorageModel::fallocate,
                                              &StorageModel::change_xattr};
  (this->*kOperations[random(std::size(kOperations))])();
}

}  // namespace homefs::test

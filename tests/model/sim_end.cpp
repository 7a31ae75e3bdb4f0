// When all has come to its end: every mount shows what is on the server's disk, and that is what
// was promised.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <fstream>

#include "tests/model/sim_world.h"

namespace homefs::test {
namespace {

struct OnDisk {
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  bool is_folder = false;
  bool has_attribute = false;
  std::string text;
};

std::map<std::string, OnDisk> read_disk(const std::filesystem::path& folder) {
  std::map<std::string, OnDisk> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    struct ::stat s{};
    HOMEFS_CHECK(::lstat(entry.path().c_str(), &s) == 0);
    OnDisk one{.inode = s.st_ino,
               .size = static_cast<std::uint64_t>(s.st_size),
               .is_folder = S_ISDIR(s.st_mode)};
    if (!one.is_folder) {
      std::ifstream in(entry.path(), std::ios::binary);
      one.text.assign(std::istreambuf_iterator<char>(in), {});
      one.has_attribute = ::lgetxattr(entry.path().c_str(), "user.tag", nullptr, 0) >= 0;
    }
    found.emplace(entry.path().filename(), std::move(one));
  }
  return found;
}

}  // namespace

void SimWorld::check_truth(const std::string& folder) {
  const auto disk = read_disk(root_ / folder);
  const std::string before = folder.empty() ? "" : folder + "/";
  for (const char* name : {"a", "b", "c", "log", "l", "e"}) {
    if (!folder.empty() && (*name == 'c' || *name == 'e')) continue;
    const auto found = disk.find(name);
    checker_.read(
        SimChecker::NameRead{.mount = -2,
                             .path = before + name,
                             .is_present = found != disk.end(),
                             .file = found == disk.end() || found->second.is_folder
                                         ? std::optional<FileKey>()
                                         : std::optional(keys_[InodeNumber{found->second.inode}]),
                             .begin = now_,
                             .end = now_,
                             .what = "(the server's disk)"});
  }
  for (const auto& [name, one] : disk) {
    if (one.is_folder) continue;
    const FileKey file = keys_[InodeNumber{one.inode}];
    const SimChecker::DataRead read{.mount = -2,
                                    .file = file,
                                    .length = one.text.size(),
                                    .text = one.text,
                                    .begin = now_,
                                    .end = now_};
    if (logs_.contains(file)) {
      checker_.read_appends(read);
    } else {
      checker_.read(read);
    }
  }
}

void SimWorld::check_all() {
  note("everything has come to its end");
  check_truth("");
  check_truth("d");
  if (!checker_.violations().empty()) return;
  for (const auto& mount : mounts_) {
    if (!mount->is_ready()) {
      checker_.violated(fmt::format("mount {} never begins", mount->number));
      return;
    }
    const auto left = std::make_shared<int>(2);
    fibers_.start([&] {
      (void)runner_.start(check_folder(*mount, "", left));
      (void)runner_.start(check_folder(*mount, "d", left));
    });
    heal();
    if (*left > 0) {
      std::string waiting;
      for (const auto& request : mount->link->under_way()) {
        waiting += fmt::format(" {}", name_of(request.op));
      }
      checker_.violated(fmt::format("mount {} does not answer; asked:{}", mount->number, waiting));
    }
    if (!checker_.violations().empty()) return;
  }
}

Task<> SimWorld::check_folder(SimMount& mount, std::string folder, std::shared_ptr<int> left) {
  const auto disk = read_disk(root_ / folder);
  const std::string before = folder.empty() ? "" : folder + "/";
  const auto violated = [&](const std::string& what) {
    checker_.violated(fmt::format("in the end, mount {}: {}", mount.number, what));
  };
  for (const bool with_lookup : {false, true}) {
    Result<std::vector<std::string>> names = co_await mount.kernel->list(folder, 3, with_lookup);
    if (!names) {
      violated(fmt::format("no listing: {}", names.error().message()));
      break;
    }
    const std::set<std::string> listed(names->begin(), names->end());
    std::set<std::string> there;
    for (const auto& [name, one] : disk) there.insert(name);
    if (listed != there || listed.size() != names->size()) {
      violated(
          fmt::format("\"{}\" lists {} names, there are {}", folder, names->size(), there.size()));
    }
    for (const char* name : {"a", "b", "c", "log", "l", "e"}) {
      const auto found = disk.find(name);
      if (found != disk.end() && !found->second.is_folder) {
        co_await check_file(mount, before + name, found->second.inode, found->second.text,
                            found->second.has_attribute);
        continue;
      }
      Result<Attributes> now = co_await mount.kernel->stat(before + name);
      if (now.has_value() != (found != disk.end())) {
        violated(fmt::format("{} is {}", before + name, now ? "still there" : "not there"));
      }
    }
  }
  --*left;
}

Task<> SimWorld::check_file(SimMount& mount, std::string path, std::uint64_t inode,
                            std::string text, bool has_attribute) {
  const auto violated = [&](const std::string& what) {
    checker_.violated(fmt::format("in the end, mount {}: {} {}", mount.number, path, what));
  };
  note(fmt::format("mount {} shows {}", mount.number, path));
  Result<Attributes> now = co_await mount.kernel->stat(path);
  if (!now) {
    violated(now.error().message());
    co_return;
  }
  if (number_of(now->inode) != inode) {
    violated(fmt::format("is inode {} instead of {}", number_of(now->inode), inode));
    co_return;
  }
  if (now->size != text.size()) {
    violated(fmt::format("has {} bytes instead of {}", now->size, text.size()));
  }
  note(fmt::format("mount {} opens {}", mount.number, path));
  Result<int> fd = co_await mount.kernel->open(path, O_RDONLY);
  if (!fd) {
    violated("cannot be opened: " + fd.error().message());
    co_return;
  }
  Result<std::string> read = co_await mount.kernel->read(*fd, 0, text.size() + 100);
  if (!read) {
    violated("cannot be read: " + read.error().message());
  } else if (*read != text) {
    const auto differs = std::ranges::mismatch(*read, text).in1 - read->begin();
    violated(fmt::format("has other data than the server from slot {} on ({} bytes of {})",
                         static_cast<std::size_t>(differs) / kSlotBytes, read->size(),
                         text.size()));
  }
  note(fmt::format("mount {} has read {}", mount.number, path));
  Result<std::vector<std::string>> names = co_await mount.kernel->listxattr(*fd);
  if (names && names->empty() == has_attribute) {
    violated(has_attribute ? "lacks its attribute" : "has an attribute that is gone");
  }
  // All others have given theirs free: nothing is left that nobody holds.
  for (const LockKind kind : {LockKind::kWhole, LockKind::kRecord}) {
    FileLock lock{.locker = {{}, kind, 1'000'000U + static_cast<std::uint64_t>(*fd)},
                  .type = LockType::kExclusive,
                  .waits = true};
    Result<> locked = co_await mount.kernel->lock(*fd, lock);
    if (!locked) violated("cannot be locked: " + locked.error().message());
    lock.type = LockType::kNone;
    lock.waits = false;
    (void)co_await mount.kernel->lock(*fd, lock);
  }
  (void)co_await mount.kernel->close(*fd);
}

}  // namespace homefs::test

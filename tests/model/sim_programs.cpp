// What programs do in the simulation, and what they tell the checker.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <fstream>

#include "tests/model/sim_world.h"

namespace homefs::test {
namespace {

// Few, so that programs meet.
constexpr std::array kFiles{"a", "b", "d/a"};
constexpr std::array kLogs{"log", "d/log"};
constexpr std::array kLinks{"d/l", "l"};
// Around the ends of pages, and beyond what was written.
constexpr std::array<std::uint64_t, 7> kSlots{0, 1, 2, 255, 256, 257, 300};
constexpr std::size_t kOpenMax = 3;
constexpr std::uint64_t kSlotsInPage = FakeKernel::kPageBytes / kSlotBytes;
constexpr const char* kAttribute = "user.tag";

std::string show(const Error& error) { return error.message(); }

}  // namespace

std::string SimWorld::random_name() {
  if (options_.has_locks && random(2) == 0) return kFiles[0];
  return random(6) == 0 ? kLinks[random(kLinks.size())] : kFiles[random(kFiles.size())];
}

Moment SimWorld::begun(const Program& program, const std::string& what) {
  note(fmt::format("m{} p{} begins {}", program.mount->number, program.number, what));
  return now_;
}

void SimWorld::ended(const Program& program, const std::string& what, const Error* error) {
  note(fmt::format("m{} p{} ends   {}: {}", program.mount->number, program.number, what,
                   error == nullptr ? "done" : show(*error)));
}

std::size_t SimWorld::begins_name(const Program& program, const std::string& path, bool is_present,
                                  Moment begin) {
  return checker_.begin_name({.mount = program.mount->number,
                              .path = path,
                              .is_present = is_present,
                              .file = {},
                              .begin = begin});
}

// With its session a mount loses what is under way, and open files without a name.
bool SimWorld::is_surprising(const Error& error, std::initializer_list<Status> expected) {
  if (is_over_) return false;
  if (std::ranges::find(expected, error.status) != expected.end()) return false;
  const bool is_loss = error.status == Status::kIoError || error.status == Status::kStale;
  if (has_lost_session_ && is_loss) return false;
  checker_.violated(fmt::format("a call fails: {}", show(error)));
  return true;
}

void SimWorld::saw(const Program& program, const std::string& path, std::optional<FileKey> file,
                   bool is_present, Moment begin, const std::string& what) {
  if (is_over_) return;
  checker_.read(SimChecker::NameRead{.mount = program.mount->number,
                                     .path = path,
                                     .is_present = is_present,
                                     .file = file,
                                     .begin = begin,
                                     .end = now_,
                                     .what = what});
}

// Known: a mount introduces what it has open by the name that it heard of last. A file is not found
// by that when another mount has moved it and the server was restarted before that could be told,
// or when it was linked into a folder that the mount has forgotten. Its locks cannot be given free
// then, so programs that lock neither move nor link anything over restarts.
bool SimWorld::is_surprising(const Error& error, const FileKey& file) {
  if (has_restarted_ && error.status == Status::kStale && moved_.contains(file)) {
    if (!path_on_disk(file).empty()) return false;
  }
  return is_surprising(error, {});
}

std::filesystem::path SimWorld::path_on_disk(const FileKey& file) const {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root_)) {
    struct ::stat s{};
    if (::lstat(entry.path().c_str(), &s) != 0 || s.st_ino != number_of(file.inode)) continue;
    return entry.path();
  }
  return {};
}

std::string SimWorld::on_disk(const FileKey& file) const {
  const std::filesystem::path path = path_on_disk(file);
  if (path.empty()) return {};
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

void SimWorld::begin_call(Program& program) {
  if (calls_left_ > 0) --calls_left_;
  program.is_busy = true;
  fibers_.start(
      [this, &program, choice = random_()] { (void)runner_.start(call(program, choice)); });
}

Task<> SimWorld::call(Program& program, std::uint64_t choice) {
  const bool is_of_locks = co_await call_with_locks(program, choice);
  if (!is_of_locks) co_await call_any(program, choice);
  program.is_busy = false;
}

Task<> SimWorld::call_any(Program& program, std::uint64_t choice) {
  const std::uint64_t kind = choice % 100;
  if (program.open.empty() || (kind < 15 && program.open.size() < kOpenMax)) {
    co_await call_open(program, choice / 100 % 3 != 0);
  } else if (kind < 55) {
    const auto [fd, flags] = program.open[choice / 100 % program.open.size()];
    const std::uint64_t which = choice / 10'000 % 12;
    const bool is_writer = (flags & O_ACCMODE) != O_RDONLY;
    if (which < 5 && is_writer) {
      co_await call_write(program, fd, flags);
    } else if (which < 9) {
      co_await call_read(program, fd);
    } else if (which < 10 && is_writer) {
      co_await call_truncate(program, fd);
    } else if (which < 11) {
      co_await call_fsync(program, fd);
    } else {
      co_await call_xattr(program);
    }
  } else if (kind < 65) {
    co_await call_close(program, choice / 100 % program.open.size());
  } else if (kind < 75) {
    co_await call_stat(program);
  } else if (kind < 82) {
    co_await call_remove(program);
  } else if (kind < 93 && options_.has_locks && options_.has_restarts) {
    co_await call_stat(program);  // see is_surprising()
  } else if (kind < 89) {
    co_await call_rename(program);
  } else if (kind < 93) {
    co_await call_link(program);
  } else if (kind < 95) {
    co_await call_mkdir(program);
  } else {
    co_await call_list(program);
  }
}

// ---- Files --------------------------------------------------------------------------------------

Task<> SimWorld::call_open(Program& program, bool creates) {
  const bool wants_log = random(3) == 0;
  const std::size_t logs = random(3) == 0 ? 2 : 1;
  const std::string path = wants_log ? kLogs[random(logs)] : random_name();
  int flags = random(3) == 0 ? O_RDONLY : O_RDWR;
  if (wants_log && flags == O_RDWR) flags |= O_APPEND;
  if (creates) flags |= O_CREAT;
  const bool is_exclusive = creates && random(4) == 0;
  if (is_exclusive) flags |= O_EXCL;
  const std::string what =
      fmt::format("open {}{}{}{}", path, creates ? " O_CREAT" : "", is_exclusive ? " O_EXCL" : "",
                  (flags & O_ACCMODE) == O_RDONLY ? " O_RDONLY" : "");
  const Moment begin = begun(program, what);
  FakeKernel& kernel = *program.mount->kernel;
  const std::size_t change = creates ? begins_name(program, path, true, begin) : 0;
  Result<int> fd = co_await kernel.open(path, flags);
  if (!fd) {
    ended(program, what, &fd.error());
    if (fd.error().status == Status::kExists) {
      saw(program, path, {}, true, begin, "O_EXCL");
    } else if (fd.error().status == Status::kNoSuchFile && !creates) {
      saw(program, path, {}, false, begin, "open");
    } else {
      // Twice in a row another mount may have been quicker.
      (void)is_surprising(fd.error(), {Status::kStale, Status::kExists});
    }
    co_return;
  }
  const FileKey file = kernel.identity_of(*fd);
  ended(program, fmt::format("{} = fd {}, inode {}", what, *fd, number_of(file.inode)));
  program.open.emplace_back(*fd, flags);
  const bool is_new = keys_.emplace(file.inode, file).second;
  if (wants_log) logs_.insert(file);
  if (creates && (is_new || is_exclusive)) checker_.end_name(path, change, now_, file);
  saw(program, path, file, true, begin, "open");
}

Task<> SimWorld::call_close(Program& program, std::size_t place) {
  const auto [fd, flags] = program.open[place];
  program.open.erase(program.open.begin() + static_cast<std::ptrdiff_t>(place));
  const std::string what = fmt::format("close {}", fd);
  const FileKey file = program.mount->kernel->identity_of(fd);
  const Moment begin = begun(program, what);
  begin_closing(program, fd);
  program.lost.erase(fd);
  Result<> done =
      co_await program.mount->kernel->close(fd, static_cast<std::uint64_t>(program.number));
  ended(program, what, done ? nullptr : &done.error());
  if (!done) {
    (void)is_surprising(done.error(), file);
  } else if ((flags & O_ACCMODE) != O_RDONLY) {
    check_disk(program, file, begin, (flags & O_APPEND) != 0);
  }
}

// What the mount wrote before is at the server.
void SimWorld::check_disk(const Program& program, const FileKey& file, Moment begin,
                          bool is_append) {
  if (is_over_) return;
  std::string text = on_disk(file);
  if (text.empty()) return;
  SimChecker::DataRead read{.mount = -1,
                            .file = file,
                            .offset = 0,
                            .length = text.size(),
                            .text = std::move(text),
                            .begin = begin,
                            .end = now_,
                            .of_mount = program.mount->number};
  if (is_append) {
    checker_.read_appends(read);
  } else {
    checker_.read(read);
  }
}

Task<> SimWorld::call_write(Program& program, int fd, int flags) {
  const FileKey file = program.mount->kernel->identity_of(fd);
  const bool is_append = (flags & O_APPEND) != 0;
  std::uint64_t first = kSlots[random(kSlots.size())];
  std::uint64_t count = 1 + random(3);
  if (!is_append && random(12) == 0) {
    first = random(2) * kSlotsInPage;
    count = kSlotsInPage;
  }
  if (is_append) count = 1;
  const std::uint64_t number = checker_.begin_data({.mount = program.mount->number,
                                                    .file = file,
                                                    .is_append = is_append,
                                                    .first = first,
                                                    .count = count,
                                                    .begin = now_,
                                                    .lock = write_lock(program, file)});
  std::string text;
  for (std::uint64_t slot = first; slot < first + count; ++slot) {
    text += slot_text(number, is_append ? 0xfffff : slot);
  }
  const std::string what = is_append ? fmt::format("append #{:x} to fd {}", number, fd)
                                     : fmt::format("write #{:x} to fd {} slots {}..{}", number, fd,
                                                   first, first + count - 1);
  const Moment begin = begun(program, what);
  Result<> done = co_await program.mount->kernel->write(fd, first * kSlotBytes, std::move(text));
  ended(program, what, done ? nullptr : &done.error());
  if (!done) {
    (void)is_surprising(done.error(), file);
    co_return;
  }
  if (is_over_) co_return;
  check_not_lost(program, fd, begin, what);
  const bool is_stable =
      on_disk(file).find(slot_text(number, is_append ? 0xfffff : first)) != std::string::npos;
  checker_.end_data(number, now_, true, is_stable);
}

Task<> SimWorld::call_read(Program& program, int fd) {
  const FileKey file = program.mount->kernel->identity_of(fd);
  const bool is_of_log = logs_.contains(file);
  std::uint64_t first = kSlots[random(kSlots.size())];
  std::uint64_t count = 1 + random(4);
  if (is_of_log || random(4) == 0) {
    first = 0;
    count = 4 * kSlotsInPage;
  }
  const std::string what = fmt::format("read fd {} slots {}..{}", fd, first, first + count - 1);
  const Moment begin = begun(program, what);
  std::vector<std::size_t> locks = held_locks(program, file);
  Result<std::string> text =
      co_await program.mount->kernel->read(fd, first * kSlotBytes, count * kSlotBytes);
  if (!text) {
    ended(program, what, &text.error());
    (void)is_surprising(text.error(), file);
    co_return;
  }
  ended(program,
        fmt::format("{} = {} bytes {}", what, text->size(), count > 4 ? "" : std::string(*text)));
  if (is_over_) co_return;
  const SimChecker::DataRead read{.mount = program.mount->number,
                                  .file = file,
                                  .offset = first * kSlotBytes,
                                  .length = count * kSlotBytes,
                                  .text = *std::move(text),
                                  .begin = begin,
                                  .end = now_,
                                  .locks = std::move(locks)};
  if (is_of_log) {
    checker_.read_appends(read);
  } else {
    checker_.read(read);
  }
}

Task<> SimWorld::call_truncate(Program& program, int fd) {
  const FileKey file = program.mount->kernel->identity_of(fd);
  if (logs_.contains(file)) co_return;
  const std::uint64_t slot = kSlots[random(kSlots.size())];
  const std::uint64_t number = checker_.begin_data(
      {.mount = program.mount->number, .file = file, .is_cut = true, .first = slot, .begin = now_});
  const std::string what = fmt::format("truncate #{:x} fd {} to slot {}", number, fd, slot);
  (void)begun(program, what);
  Result<> done = co_await program.mount->kernel->truncate(fd, slot * kSlotBytes);
  ended(program, what, done ? nullptr : &done.error());
  if (!done) {
    (void)is_surprising(done.error(), file);
  } else if (!is_over_) {
    checker_.end_data(number, now_, true, true);
  }
}

Task<> SimWorld::call_fsync(Program& program, int fd) {
  const FileKey file = program.mount->kernel->identity_of(fd);
  const std::string what = fmt::format("fsync {}", fd);
  const Moment begin = begun(program, what);
  Result<> done = co_await program.mount->kernel->fsync(fd);
  ended(program, what, done ? nullptr : &done.error());
  if (!done) {
    (void)is_surprising(done.error(), file);
  } else {
    check_not_lost(program, fd, begin, what);
    check_disk(program, file, begin, logs_.contains(file));
  }
}

// One attribute of a file, which is there or not.
Task<> SimWorld::call_xattr(Program& program) {
  const int fd = program.open.front().first;
  FakeKernel& kernel = *program.mount->kernel;
  const FileKey file = kernel.identity_of(fd);
  const std::string path = fmt::format("xattr of inode {}", number_of(file.inode));
  const std::uint64_t which = random(4);
  const std::string what =
      fmt::format("{}xattr fd {}", std::array{"set", "remove", "get", "list"}[which], fd);
  const Moment begin = begun(program, what);
  if (which < 2) {
    const std::size_t change = begins_name(program, path, which == 0, begin);
    Task<Result<>> work =
        which == 0 ? kernel.setxattr(fd, kAttribute, "value") : kernel.removexattr(fd, kAttribute);
    Result<> done = co_await std::move(work);
    ended(program, what, done ? nullptr : &done.error());
    if (!done && done.error().status != Status::kNoAttribute) {
      (void)is_surprising(done.error(), file);
    }
    if (done) checker_.end_name(path, change, now_);
    co_return;
  }
  bool is_there = false;
  if (which == 2) {
    Result<std::string> value = co_await kernel.getxattr(fd, kAttribute);
    ended(program, what, value ? nullptr : &value.error());
    if (!value && value.error().status != Status::kNoAttribute) {
      (void)is_surprising(value.error(), file);
      co_return;
    }
    is_there = value.has_value();
  } else {
    Result<std::vector<std::string>> names = co_await kernel.listxattr(fd);
    ended(program, what, names ? nullptr : &names.error());
    if (!names) {
      (void)is_surprising(names.error(), file);
      co_return;
    }
    is_there = std::ranges::find(*names, kAttribute) != names->end();
  }
  saw(program, path, {}, is_there, begin, what);
}

void SimWorld::note_moved(const std::string& path) {
  struct ::stat s{};
  if (::lstat((root_ / path).c_str(), &s) != 0) return;
  const auto known = keys_.find(InodeNumber{s.st_ino});
  if (known != keys_.end()) moved_.insert(known->second);
}

// ---- Names --------------------------------------------------------------------------------------

Task<> SimWorld::call_stat(Program& program) {
  const std::string path = random(5) == 0 ? kLogs[random(kLogs.size())] : random_name();
  const std::string what = "stat " + path;
  const Moment begin = begun(program, what);
  Result<Attributes> found = co_await program.mount->kernel->stat(path);
  ended(program, what, found ? nullptr : &found.error());
  if (found) {
    saw(program, path, FileKey{found->inode, found->generation}, true, begin, "stat");
  } else if (found.error().status == Status::kNoSuchFile) {
    saw(program, path, {}, false, begin, "stat");
  } else {
    (void)is_surprising(found.error(), {Status::kStale});
  }
}

Task<> SimWorld::call_remove(Program& program) {
  const std::uint64_t which = random(8);
  const std::string path = which == 0   ? kLogs[random(kLogs.size())]
                           : which == 1 ? kLinks[random(kLinks.size())]
                                        : random_name();
  const std::string what = "unlink " + path;
  const Moment begin = begun(program, what);
  const std::size_t change = begins_name(program, path, false, begin);
  Result<> done = co_await program.mount->kernel->remove(path, /*is_folder=*/false);
  ended(program, what, done ? nullptr : &done.error());
  const bool is_absent = !done && done.error().status == Status::kNoSuchFile;
  if (done) checker_.end_name(path, change, now_);
  if (is_absent) {
    saw(program, path, {}, false, begin, "unlink");
  } else if (!done) {
    (void)is_surprising(done.error(), {Status::kStale});
  }
}

Task<> SimWorld::call_rename(Program& program) {
  const bool is_of_log = random(6) == 0;
  const std::string from = is_of_log ? kLogs[random(kLogs.size())] : random_name();
  const std::string to = is_of_log ? kLogs[random(kLogs.size())] : random_name();
  if (from == to) co_return;
  const std::string what = fmt::format("rename {} {}", from, to);
  const SimMount& mount = *program.mount;
  const std::uint64_t idle_before = mount.kernel->renames_of_one_file();
  const std::uint64_t same_before = mount.renames_of_one_file;
  const Moment begin = begun(program, what);
  note_moved(from);
  const std::size_t source = begins_name(program, from, false, begin);
  const std::size_t target = begins_name(program, to, true, begin);
  Result<> done = co_await mount.kernel->rename(from, to, RenameMode::kReplace);
  ended(program, what, done ? nullptr : &done.error());
  // Two names of one file: rename(2) succeeds, and both stay. The kernel may not even ask.
  const bool is_done = done && mount.kernel->renames_of_one_file() == idle_before;
  if (is_done && mount.renames_of_one_file == same_before) checker_.end_name(from, source, now_);
  if (is_done) checker_.end_name(to, target, now_);
  if (is_done) note_moved(to);
  if (!done && done.error().status == Status::kNoSuchFile) {
    saw(program, from, {}, false, begin, "rename");
  } else if (!done) {
    (void)is_surprising(done.error(), {Status::kStale});
  }
}

Task<> SimWorld::call_link(Program& program) {
  const std::string from = random_name();
  const std::string to = random(3) == 0 ? random_name() : kLinks[random(kLinks.size())];
  if (from == to) co_return;
  const std::string what = fmt::format("link {} {}", from, to);
  const Moment begin = begun(program, what);
  const std::size_t change = begins_name(program, to, true, begin);
  note_moved(from);
  Result<> done = co_await program.mount->kernel->link(from, to);
  ended(program, what, done ? nullptr : &done.error());
  if (done) checker_.end_name(to, change, now_);
  if (!done && done.error().status == Status::kExists) {
    saw(program, to, {}, true, begin, "link");
  } else if (!done) {
    // Its last name may go meanwhile.
    (void)is_surprising(done.error(), {Status::kStale, Status::kNoSuchFile});
  }
}

Task<> SimWorld::call_mkdir(Program& program) {
  const std::string path = "e";
  const bool removes = random(2) == 0;
  const std::string what = (removes ? "rmdir " : "mkdir ") + path;
  const Moment begin = begun(program, what);
  FakeKernel& kernel = *program.mount->kernel;
  const std::size_t change = begins_name(program, path, !removes, begin);
  Task<Result<>> work = removes ? kernel.remove(path, /*is_folder=*/true) : kernel.mkdir(path);
  Result<> done = co_await std::move(work);
  ended(program, what, done ? nullptr : &done.error());
  if (done) {
    checker_.end_name(path, change, now_);
    co_return;
  }
  if (done.error().status == Status::kExists) {
    saw(program, path, {}, true, begin, what);
  } else if (done.error().status == Status::kNoSuchFile ||
             done.error().status == Status::kNoSuchDirectory) {
    saw(program, path, {}, false, begin, what);
  } else {
    (void)is_surprising(done.error(), {Status::kStale});
  }
}

Task<> SimWorld::call_list(Program& program) {
  const std::string folder = random(2) == 0 ? "" : "d";
  const bool with_lookup = random(2) == 0;
  const std::string what = fmt::format("list \"{}\"{}", folder, with_lookup ? " with stat" : "");
  const Moment begin = begun(program, what);
  Result<std::vector<std::string>> names =
      co_await program.mount->kernel->list(folder, 1 + random(3), with_lookup);
  ended(program, what, names ? nullptr : &names.error());
  if (!names) {
    (void)is_surprising(names.error(), {Status::kStale});
    co_return;
  }
  if (is_over_) co_return;
  std::ranges::sort(*names);
  if (std::ranges::adjacent_find(*names) != names->end()) {
    checker_.violated("a listing shows a name twice");
  }
  for (const char* path : {"a", "b", "c", "log", "l", "e", "d/a", "d/b", "d/log", "d/l"}) {
    const std::string_view all(path);
    const bool is_below = all.starts_with("d/");
    if (is_below != (folder == "d")) continue;
    const std::string name(is_below ? all.substr(2) : all);
    saw(program, path, {}, std::ranges::binary_search(*names, name), begin, what);
  }
}

}  // namespace homefs::test

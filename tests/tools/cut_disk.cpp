// A disk whose power can be cut and which can fail: the file disk.img in a folder, for losetup(8).
// What is written to it is volatile until it is synced, as in the cache of a disk: a loop device
// makes an fsync of each FLUSH.
//
// Usage: cut_disk IMAGE FOLDER      (serves until the folder is unmounted)
//
// IMAGE has what is durable. Beside disk.img there is the file `control`, to which is written:
//   cut KEEP SEED  the power goes: of the blocks of 4 KiB that are not synced KEEP percent, chosen
//   by
//                  SEED, got to the disk; every request fails until
//   on             the power is back
//   fail-writes    writing and syncing give EIO (what was written before is not lost)
//   fail-reads     reading gives EIO
//   heal           ends both
// Reading `control` tells how many blocks are not synced, and what the disk was asked for so far.
//
// One thread: a sync covers whatever was written before it was asked for.
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr std::size_t kBlock = 4096;
constexpr fuse_ino_t kDisk = 2;
constexpr fuse_ino_t kControl = 3;
constexpr double kForever = 3600;

class Disk {
 public:
  Disk(int image, std::uint64_t bytes) : image_(image), bytes_(bytes) {}

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

  /// Zero or an errno, as all of these.
  int read(std::uint64_t offset, std::vector<char>& out) {
    ++reads_;
    if (is_off_ || fails_reads_) return EIO;
    out.resize(offset < bytes_ ? std::min<std::uint64_t>(out.size(), bytes_ - offset) : 0);
    for (std::size_t at = 0; at < out.size();) {
      const std::uint64_t block = (offset + at) / kBlock;
      const std::size_t within = (offset + at) % kBlock;
      const std::size_t count = std::min(kBlock - within, out.size() - at);
      std::memcpy(&out[at], newest(block).data() + within, count);
      at += count;
    }
    return 0;
  }

  int write(std::uint64_t offset, std::string_view data) {
    ++writes_;
    if (is_off_ || fails_writes_) return EIO;
    if (offset + data.size() > bytes_) return ENOSPC;
    while (!data.empty()) {
      const std::uint64_t block = offset / kBlock;
      const std::size_t within = offset % kBlock;
      const std::size_t count = std::min(kBlock - within, data.size());
      auto [place, is_new] = volatile_.try_emplace(block);
      if (is_new) place->second = durable(block);
      std::memcpy(place->second.data() + within, data.data(), count);
      data.remove_prefix(count);
      offset += count;
    }
    return 0;
  }

  int sync() {
    ++syncs_;
    if (is_off_ || fails_writes_) return EIO;
    for (const auto& [block, data] : volatile_) keep(block, data);
    volatile_.clear();
    return 0;
  }

  int command(const std::string& text) {
    std::istringstream words(text);
    std::string verb;
    words >> verb;
    if (verb == "cut") {
      unsigned percent = 0;
      std::uint64_t seed = 0;
      if (!(words >> percent >> seed)) return EINVAL;
      cut(percent, seed);
    } else if (verb == "on") {
      is_off_ = false;
    } else if (verb == "fail-writes") {
      fails_writes_ = true;
    } else if (verb == "fail-reads") {
      fails_reads_ = true;
    } else if (verb == "heal") {
      fails_writes_ = false;
      fails_reads_ = false;
    } else {
      return EINVAL;
    }
    return 0;
  }

  [[nodiscard]] std::string facts() const {
    std::ostringstream out;
    out << "unsynced " << volatile_.size() << "\nreads " << reads_ << "\nwrites " << writes_
        << "\nsyncs " << syncs_ << "\ndropped " << dropped_ << "\nkept " << kept_ << '\n';
    return out.str();
  }

 private:
  using Block = std::array<char, kBlock>;

  Block durable(std::uint64_t block) const {
    Block data{};
    if (::pread(image_, data.data(), kBlock, static_cast<off_t>(block * kBlock)) < 0) {
      std::perror("cut_disk: read the image");
      std::_Exit(1);
    }
    return data;
  }

  Block newest(std::uint64_t block) const {
    const auto found = volatile_.find(block);
    return found != volatile_.end() ? found->second : durable(block);
  }

  void keep(std::uint64_t block, const Block& data) const {
    const auto offset = static_cast<off_t>(block * kBlock);
    if (::pwrite(image_, data.data(), kBlock, offset) != static_cast<ssize_t>(kBlock)) {
      std::perror("cut_disk: write the image");
      std::_Exit(1);
    }
  }

  void cut(unsigned percent, std::uint64_t seed) {
    std::mt19937_64 random(seed);
    for (const auto& [block, data] : volatile_) {
      const bool is_kept = random() % 100 < percent;
      if (is_kept) keep(block, data);
      ++(is_kept ? kept_ : dropped_);
    }
    volatile_.clear();
    is_off_ = true;
  }

  int image_;
  std::uint64_t bytes_;
  std::map<std::uint64_t, Block> volatile_;
  bool is_off_ = false;
  bool fails_writes_ = false;
  bool fails_reads_ = false;
  std::uint64_t reads_ = 0;
  std::uint64_t writes_ = 0;
  std::uint64_t syncs_ = 0;
  std::uint64_t dropped_ = 0;
  std::uint64_t kept_ = 0;
};

Disk& disk_of(fuse_req_t request) { return *static_cast<Disk*>(fuse_req_userdata(request)); }

struct stat attributes_of(fuse_req_t request, fuse_ino_t inode) {
  struct stat attributes{};
  attributes.st_ino = inode;
  attributes.st_nlink = 1;
  attributes.st_mode = inode == FUSE_ROOT_ID ? S_IFDIR | 0700 : S_IFREG | 0600;
  if (inode == kDisk) attributes.st_size = static_cast<off_t>(disk_of(request).bytes());
  return attributes;
}

void on_lookup(fuse_req_t request, fuse_ino_t /*parent*/, const char* name) {
  fuse_entry_param entry{};
  entry.ino = name == std::string_view("disk.img")  ? kDisk
              : name == std::string_view("control") ? kControl
                                                    : 0;
  if (entry.ino == 0) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  entry.attr = attributes_of(request, entry.ino);
  entry.attr_timeout = entry.entry_timeout = kForever;
  fuse_reply_entry(request, &entry);
}

void on_getattr(fuse_req_t request, fuse_ino_t inode, fuse_file_info* /*info*/) {
  const struct stat attributes = attributes_of(request, inode);
  fuse_reply_attr(request, &attributes, kForever);
}

// A shell's `> control` truncates.
void on_setattr(fuse_req_t request, fuse_ino_t inode, struct stat* /*wanted*/, int /*which*/,
                fuse_file_info* info) {
  on_getattr(request, inode, info);
}

void on_open(fuse_req_t request, fuse_ino_t /*inode*/, fuse_file_info* info) {
  info->direct_io = 1;  // else the kernel would answer for a disk that is off
  fuse_reply_open(request, info);
}

void on_read(fuse_req_t request, fuse_ino_t inode, std::size_t size, off_t offset,
             fuse_file_info* /*info*/) {
  if (inode == kControl) {
    const std::string facts = disk_of(request).facts();
    const std::size_t at = std::min(facts.size(), static_cast<std::size_t>(offset));
    fuse_reply_buf(request, facts.data() + at, std::min(size, facts.size() - at));
    return;
  }
  std::vector<char> data(size);
  if (const int error = disk_of(request).read(static_cast<std::uint64_t>(offset), data)) {
    fuse_reply_err(request, error);
  } else {
    fuse_reply_buf(request, data.data(), data.size());
  }
}

void on_write(fuse_req_t request, fuse_ino_t inode, const char* data, std::size_t size,
              off_t offset, fuse_file_info* /*info*/) {
  Disk& disk = disk_of(request);
  const int error = inode == kControl
                        ? disk.command(std::string(data, size))
                        : disk.write(static_cast<std::uint64_t>(offset), {data, size});
  if (error != 0) {
    fuse_reply_err(request, error);
  } else {
    fuse_reply_write(request, size);
  }
}

void on_fsync(fuse_req_t request, fuse_ino_t inode, int /*data_only*/, fuse_file_info* /*info*/) {
  fuse_reply_err(request, inode == kDisk ? disk_of(request).sync() : 0);
}

int serve(Disk& disk, char* program, const char* folder) {
  fuse_lowlevel_ops operations{};
  operations.lookup = on_lookup;
  operations.getattr = on_getattr;
  operations.setattr = on_setattr;
  operations.open = on_open;
  operations.read = on_read;
  operations.write = on_write;
  operations.fsync = on_fsync;
  std::string option = "-osubtype=cut_disk";  // by which the scripts know the mount
  char* arguments[] = {program, option.data(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(2, arguments);
  fuse_session* const session = fuse_session_new(&args, &operations, sizeof(operations), &disk);
  if (session == nullptr || fuse_session_mount(session, folder) != 0) return 1;
  (void)std::puts("ready");
  (void)std::fflush(stdout);
  const int status = fuse_session_loop(session);
  fuse_session_unmount(session);
  fuse_session_destroy(session);
  fuse_opt_free_args(&args);
  return status == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    (void)std::fputs("usage: cut_disk IMAGE FOLDER\n", stderr);
    return 2;
  }
  const int image = ::open(argv[1], O_RDWR | O_CLOEXEC);
  struct stat attributes{};
  if (image < 0 || ::fstat(image, &attributes) != 0) {
    std::perror(argv[1]);
    return 2;
  }
  // The kernel must not wait for this disk when this program needs memory. Best effort.
  (void)::prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  Disk disk(image, static_cast<std::uint64_t>(attributes.st_size));
  return serve(disk, argv[0], argv[2]);
}

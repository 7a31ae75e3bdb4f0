#include "fusefs/fuse_session.h"

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include "fusefs/fuse_ops.h"

namespace homefs {
namespace {

// Not in the linux/fuse.h of Debian 12 (protocol 7.38) by every name; numbers of the kernel's ABI.
constexpr std::uint64_t kParallelDirops = 1ull << 18;
constexpr std::uint64_t kHandleKillprivV2 = 1ull << 28;
constexpr std::uint64_t kInitExt = 1ull << 30;
constexpr std::uint64_t kDirectIoAllowMmap = 1ull << 36;
// Mounts of it with mapped ids, Linux 6.12. The kernel decides by the mapped ones (it needs
// default_permissions) and gives those of the caller only with what is made.
constexpr std::uint64_t kAllowIdmap = 1ull << 40;
constexpr std::uint64_t kMissingInLibfuse =
    kParallelDirops | kHandleKillprivV2 | kDirectIoAllowMmap | kAllowIdmap;

// Two readers: one decodes while the other answers. More only compete for the device's queue.
constexpr int kReaders = 2;

thread_local SharedBuffer* this_request = nullptr;

// The arguments of fuse_session_new(), owned.
class FuseArguments {
 public:
  FuseArguments() { add("homefs"); }
  ~FuseArguments() { fuse_opt_free_args(&arguments_); }
  FuseArguments(const FuseArguments&) = delete;
  FuseArguments& operator=(const FuseArguments&) = delete;
  void add(const std::string& text) { fuse_opt_add_arg(&arguments_, text.c_str()); }
  void option(const std::string& text) {
    add("-o");
    add(text);
  }
  fuse_args* get() { return &arguments_; }

 private:
  fuse_args arguments_ = FUSE_ARGS_INIT(0, nullptr);
};

// Takes the mount point away, as the user who mounted it may; what is open in it stays open.
void detach(const std::string& mountpoint) {
  if (::umount2(mountpoint.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) return;  // we are root
  const char* arguments[] = {"fusermount3", "-u", "-z", "-q", "--", mountpoint.c_str(), nullptr};
  pid_t child = 0;
  // posix_spawn() does not change the arguments; its interface is older than const.
  const int error = ::posix_spawnp(&child, arguments[0], nullptr, nullptr,
                                   const_cast<char* const*>(arguments), environ);
  if (error == 0) (void)::waitpid(child, nullptr, 0);  // what fails stays mounted, and is seen
}

// Mounts of daemons that were killed, one over the other, which nothing but a mount removes.
constexpr int kDeadMountsMax = 100;

// stat(2) does not tell: the kernel may have the attributes. statfs(2) is asked of the daemon each
// time, and waits for one that is just dying.
bool is_dead_mount(const std::string& mountpoint) {
  struct statfs figures{};
  if (::statfs(mountpoint.c_str(), &figures) == 0) return false;
  return errno == ENOTCONN || errno == ECONNABORTED;
}

}  // namespace

void remove_dead_mounts(const std::string& mountpoint) {
  for (int i = 0; i < kDeadMountsMax && is_dead_mount(mountpoint); ++i) detach(mountpoint);
}

Result<std::unique_ptr<FuseSession>> FuseSession::mount(const FuseSessionOptions& options,
                                                        FuseOps& ops,
                                                        std::shared_ptr<BufferPool> pool) {
  std::unique_ptr<FuseSession> made(new FuseSession(std::move(pool)));
  FuseArguments arguments;
  arguments.option("default_permissions");
  // A comma or backslash in the name would end the option.
  std::string source;
  for (const char c : options.source) {
    if (c == ',' || c == '\\') source += '\\';
    source += c;
  }
  arguments.option("fsname=" + source);
  arguments.option("subtype=homefs");
  if (options.allow_other) arguments.option("allow_other");
  if (options.read_only) arguments.option("ro");
  if (options.debug) arguments.add("-d");
  for (const std::string& option : options.kernel_options) arguments.option(option);

  // The session's user data serves the operations and the hooks.
  ops.attach(*made);
  made->session_ =
      fuse_session_new(arguments.get(), &FuseOps::table(), sizeof(fuse_lowlevel_ops), &ops);
  if (made->session_ == nullptr) {
    return fail(Status::kConfigError, "libfuse refuses the mount options");
  }
  if (fuse_session_mount(made->session_, options.mountpoint.c_str()) != 0) {
    return fail(Status::kConfigError,
                "cannot mount on " + options.mountpoint +
                    " (is it an empty folder of yours, is fuse3 installed, is /dev/fuse there?)");
  }
  made->mountpoint_ = options.mountpoint;
  made->guard_.start(options.mountpoint);
  fuse_custom_io hooks{};
  hooks.read = &FuseSession::read_hook;
  hooks.writev = &FuseSession::writev_hook;
  if (fuse_session_custom_io(made->session_, &hooks, fuse_session_fd(made->session_)) != 0) {
    return fail(Status::kConfigError, "libfuse refuses the request hooks");
  }
  return made;
}

FuseSession::~FuseSession() {
  if (session_ == nullptr) return;
  fuse_session_unmount(session_);
  fuse_session_destroy(session_);
}

SharedBuffer FuseSession::current_request() {
  return this_request == nullptr ? nullptr : *this_request;
}

bool FuseSession::maps_direct_files() const { return (kernel_offers_ & kDirectIoAllowMmap) != 0; }

bool FuseSession::write_kills_privileges() {
  HOMEFS_CHECK(this_request != nullptr);
  fuse_write_in write{};
  std::memcpy(&write, (*this_request)->bytes().data() + sizeof(fuse_in_header), sizeof write);
  return (write.write_flags & FUSE_WRITE_KILL_SUIDGID) != 0;
}

bool FuseSession::reads_pages() {
  HOMEFS_CHECK(this_request != nullptr);
  fuse_read_in read{};
  std::memcpy(&read, (*this_request)->bytes().data() + sizeof(fuse_in_header), sizeof read);
  return (read.read_flags & FUSE_READ_LOCKOWNER) == 0;
}

ssize_t FuseSession::read_hook(int fd, void* buffer, std::size_t bytes, void* user) {
  const ssize_t count = ::read(fd, buffer, bytes);
  if (count < static_cast<ssize_t>(sizeof(fuse_in_header))) return count;
  fuse_in_header header;
  std::memcpy(&header, buffer, sizeof header);
  FuseSession& self = static_cast<FuseOps*>(user)->session();
  if (header.opcode < kOpcodes) ++self.request_counts_[header.opcode];
  if (header.opcode == FUSE_INIT) {
    fuse_init_in init{};
    std::memcpy(&init, static_cast<const char*>(buffer) + sizeof header,
                std::min(sizeof init, static_cast<std::size_t>(count) - sizeof header));
    const bool has_flags2 = (init.flags & kInitExt) != 0;
    self.kernel_offers_ = init.flags | (has_flags2 ? std::uint64_t{init.flags2} << 32 : 0);
    self.init_unique_ = header.unique;
  }
  return count;
}

ssize_t FuseSession::writev_hook(int fd, iovec* parts, int count, void* user) {
  FuseSession& self = static_cast<FuseOps*>(user)->session();
  const auto* header = static_cast<const fuse_out_header*>(parts[0].iov_base);
  const bool is_init_reply = header->unique != 0 && header->unique == self.init_unique_ &&
                             header->error == 0 && count == 2 &&
                             parts[1].iov_len >= sizeof(fuse_init_out);
  if (!is_init_reply) return ::writev(fd, parts, count);
  self.init_unique_ = 0;
  fuse_init_out reply;
  std::memcpy(&reply, parts[1].iov_base, sizeof reply);
  std::uint64_t flags = reply.flags | std::uint64_t{reply.flags2} << 32;
  flags |= self.kernel_offers_ & kMissingInLibfuse;
  if ((self.kernel_offers_ & kInitExt) != 0) flags |= kInitExt;
  reply.flags = static_cast<std::uint32_t>(flags);
  reply.flags2 = static_cast<std::uint32_t>(flags >> 32);
  iovec changed[2] = {parts[0], {&reply, sizeof reply}};
  fuse_out_header new_header = *header;
  new_header.len = static_cast<std::uint32_t>(sizeof new_header + sizeof reply);
  changed[0] = {&new_header, sizeof new_header};
  self.agreed_flags_ = flags;
  const ssize_t written = ::writev(fd, changed, 2);
  if (self.on_ready_) std::exchange(self.on_ready_, nullptr)();
  // libfuse compares the count with what it wanted to send.
  return written < 0 ? written : static_cast<ssize_t>(parts[0].iov_len + parts[1].iov_len);
}

void FuseSession::read_requests() {
  SharedBuffer buffer = pool_->get(BufferPool::kLargeBytes);
  this_request = &buffer;
  while (fuse_session_exited(session_) == 0) {
    // Somebody kept the data of the last request: it is theirs, take another one.
    if (buffer.use_count() > 1) buffer = pool_->get(BufferPool::kLargeBytes);
    fuse_buf request{};
    request.mem = buffer->writable().data();
    const int bytes = fuse_session_receive_buf(session_, &request);
    if (bytes == -EINTR || bytes == -EAGAIN) continue;
    if (bytes <= 0) break;  // 0: unmounted
    fuse_session_process_buf(session_, &request);
  }
  this_request = nullptr;
  fuse_session_exit(session_);
}

void FuseSession::run(std::function<void()> on_ready) {
  on_ready_ = std::move(on_ready);
  std::vector<std::jthread> readers;
  readers.reserve(kReaders);
  for (int i = 0; i < kReaders; ++i) {
    readers.emplace_back([this, i] {
      pthread_setname_np(pthread_self(), ("fuse-reader-" + std::to_string(i)).c_str());
      read_requests();
    });
  }
}

// Not fuse_session_unmount(): it closes the device under the readers, and they would go on with
// whatever gets its number next.
void FuseSession::unmount() { detach(mountpoint_); }

}  // namespace homefs

// FuseSession: a mount point and the threads that read the kernel's requests from it.
//
// libfuse 3.14 never asks the kernel for FUSE_PARALLEL_DIROPS (it is missing from its INIT reply,
// fixed in 3.17) and does not know FUSE_HANDLE_KILLPRIV_V2: without the first, one lookup a folder
// is under way at a time; without the second, every write costs a GETXATTR. Both bits are put into
// the INIT reply on its way out.
//
// Owner: the mount command. Executor: run() is called by one thread; readers are its own threads,
// which call FuseOps. Blocks: run(), until the mount point is gone.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fusefs/mount_guard.h"
#include "protocol/buffer.h"
#include "protocol/result.h"

struct fuse_session;
struct iovec;

namespace homefs {

class FuseOps;

struct FuseSessionOptions {
  std::string mountpoint;
  std::string source;  ///< as findmnt shows it: alice@files.example.org:/
  bool allow_other = false;
  bool read_only = false;
  bool debug = false;  ///< libfuse prints every request
  /// Options for the kernel that are passed on as they are: "suid", "dev", "noexec" ...
  std::vector<std::string> kernel_options;
};

/// A daemon that was killed leaves its mount behind, where every call fails with ENOTCONN: takes
/// such ones away. When it returns the daemon is gone, with its locks. Blocks: on a daemon that
/// hangs.
void remove_dead_mounts(const std::string& mountpoint);

class FuseSession {
 public:
  /// Mounts. kConfigError: the mount point cannot be used, with what to do about it.
  static Result<std::unique_ptr<FuseSession>> mount(const FuseSessionOptions& options, FuseOps& ops,
                                                    std::shared_ptr<BufferPool> pool);
  ~FuseSession();
  FuseSession(const FuseSession&) = delete;
  FuseSession& operator=(const FuseSession&) = delete;

  /// Answers requests until the mount point is unmounted, by whomever. `on_ready` is called once,
  /// when the kernel's INIT has been answered.
  void run(std::function<void()> on_ready);

  /// Detaches the mount point; open files keep working until their last close, then run() ends.
  /// Thread-safe. Blocks: on the kernel, which may have requests for us meanwhile.
  void unmount();

  /// For the notifier.
  [[nodiscard]] fuse_session* native() const { return session_; }

  /// The buffer that the request being handled by this thread lies in: whoever keeps a share of it
  /// keeps the request's data without a copy. Null outside of a request.
  static SharedBuffer current_request();
  /// Whether the WRITE being handled by this thread has to take suid and sgid away, since whoever
  /// writes may not keep them. libfuse does not hand that on.
  static bool write_kills_privileges();
  /// Whether the READ being handled by this thread fills pages of the kernel. It says who reads
  /// (FUSE_READ_LOCKOWNER) where the data goes to a program instead, and only there. libfuse does
  /// not hand that on.
  static bool reads_pages();

  /// How many requests of each kind the kernel has sent, by its opcode.
  static constexpr std::size_t kOpcodes = 64;  // those of protocol 7.44 end at 53
  [[nodiscard]] std::uint64_t request_count(std::uint32_t opcode) const {
    return opcode < kOpcodes ? request_counts_[opcode].load() : 0;
  }

  /// Flags that the kernel and we have agreed on, for tests and the log.
  /// Whether programs can map a file for sharing that was opened without pages of the kernel.
  [[nodiscard]] bool maps_direct_files() const;
  [[nodiscard]] std::uint64_t agreed_flags() const { return agreed_flags_; }

 private:
  explicit FuseSession(std::shared_ptr<BufferPool> pool) : pool_(std::move(pool)) {}

  // The hooks around every read and write of the device (struct fuse_custom_io).
  static ssize_t read_hook(int fd, void* buffer, std::size_t bytes, void* self);
  static ssize_t writev_hook(int fd, iovec* parts, int count, void* self);
  void read_requests();

  std::shared_ptr<BufferPool> pool_;
  fuse_session* session_ = nullptr;
  std::string mountpoint_;
  MountGuard guard_;
  std::atomic<std::uint64_t> init_unique_{0};    // the INIT request that waits for its reply
  std::atomic<std::uint64_t> kernel_offers_{0};  // its flags
  std::atomic<std::uint64_t> agreed_flags_{0};
  std::array<std::atomic<std::uint64_t>, kOpcodes> request_counts_{};
  std::function<void()> on_ready_;
};

}  // namespace homefs

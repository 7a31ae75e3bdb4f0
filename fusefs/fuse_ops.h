// FuseOps: the kernel's requests, turned into calls of FileSystem, and its results into replies.
// Nothing is decided here but what the kernel's own conventions ask for.
//
// Owner: the mount command. Executor: the session's reader threads; replies come from any thread.
// Blocks: never.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>

#include "fusefs/file_system.h"
#include "fusefs/fuse_waiting.h"
#include "fusefs/id_map.h"
#include "protocol/task.h"

struct fuse_lowlevel_ops;
struct fuse_req;

namespace homefs {

// What programs are told to read and write at a time: two of the kernel's read-ahead windows.
inline constexpr blksize_t kIoBytes = 256 * 1024;

class FuseSession;

struct FuseOpsOptions {
  IdMap idmap = IdMap::kUser;
  uid_t uid = 0;  ///< the mounting user, for IdMap::kUser
  gid_t gid = 0;
};

class FuseOps {
 public:
  FuseOps(FileSystem& files, FuseOpsOptions options) : files_(files), options_(options) {}
  FuseOps(const FuseOps&) = delete;
  FuseOps& operator=(const FuseOps&) = delete;

  /// The functions that libfuse calls, with this object as their user data.
  static const fuse_lowlevel_ops& table();

  void attach(FuseSession& session) { session_ = &session; }
  [[nodiscard]] FuseSession& session() const { return *session_; }
  [[nodiscard]] FileSystem& files() const { return files_; }
  [[nodiscard]] const FuseOpsOptions& options() const { return options_; }
  [[nodiscard]] WaitingRequests& waiting() { return waiting_; }

  /// Runs an operation to its reply.
  void spawn(Task<> task) { running_.spawn(std::move(task)); }
  /// After the session's end: waits for the operations that are still under way.
  void wait_idle() { running_.wait_idle(); }

  /// The attributes as stat(2) shows them in this mount.
  [[nodiscard]] struct stat to_stat(const Attributes& attributes) const;
  /// On whose behalf a request is made.
  [[nodiscard]] static Caller caller_of(fuse_req* request);

 private:
  FileSystem& files_;
  const FuseOpsOptions options_;
  FuseSession* session_ = nullptr;  // set by attach(), before the first request
  WaitingRequests waiting_;
  TaskGroup running_;
};

}  // namespace homefs

// The mount: from a Link that is logged in to a folder that programs use, until it is unmounted.
//
// Owner: the command that mounts. Executor: the calling thread, and the mount's own. Blocks: yes,
// for as long as the folder is mounted.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "fusefs/id_map.h"
#include "fusefs/transfer_events.h"
#include "protocol/result.h"

namespace homefs {

class ControlSocket;
class ServerLink;
class IoThreads;

struct MountOptions {
  std::string source;                ///< as findmnt and df show it: "alice@files.example.org:/"
  std::filesystem::path mountpoint;  ///< absolute, or "/dev/fd/N" from mount.fuse
  bool allow_other = false;
  bool allow_root = false;
  bool read_only = false;
  bool no_suid = true;
  bool no_dev = true;
  bool no_exec = false;
  bool debug = false;
  IdMap id_map = IdMap::kUser;
  std::uint64_t read_cache_bytes = std::uint64_t{256} * 1024 * 1024;
  std::uint64_t write_buffer_bytes = std::uint64_t{128} * 1024 * 1024;
  std::uint64_t names_max = 500'000;
};

/// What the mount works with; all of it outlives run_mount().
struct MountParts {
  ServerLink& link;                  ///< logged in
  IoThreads& io;                     ///< the threads that the link runs on
  TransferEvents& transfers;         ///< the side log
  ControlSocket* control = nullptr;  ///< for status providers and "drain"; null: none
};

/// Blocks SIGTERM, SIGINT and SIGHUP in this thread and those it starts, and ignores SIGPIPE. To be
/// called before the process has a second thread; run_mount() then waits for the signals.
void block_end_signals();

/// Mounts, serves until it is unmounted or a SIGTERM or SIGINT comes, drains what is not on the
/// server yet, and returns the exit status of the process (0). Files that are still open then keep
/// working until their last close. `on_ready` is called once, when the kernel has its answer to
/// INIT: from then on the folder can be used.
/// Errors: kInvalid, kAccessDenied, ... where mounting fails, before on_ready.
Result<int> run_mount(const MountOptions& options, const MountParts& parts,
                      std::function<void()> on_ready);

}  // namespace homefs

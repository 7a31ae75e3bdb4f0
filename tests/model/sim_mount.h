// SimMount: one mount of the simulation: kernel, client core, link, and its session at the server.
//
// Owner: SimWorld. Executor: its thread. Blocks: on the disk.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "tests/model/sim_checker.h"
#include "tests/model/sim_server.h"
#include "tests/support/client/core_rig.h"
#include "tests/support/client/fake_kernel.h"

namespace homefs::test {

struct SimMount {
  SimMount(int number_in, bool has_bulk, const FileSystemOptions& options);
  ~SimMount();

  /// The login was answered: the file system begins.
  void begin();
  /// Passes what the link sends on to the server's side.
  void on_request(const FakeLink::Request& request);
  /// Takes over a connection that the server has attached.
  void adopt(const SimConnectionRef& connection);
  void cut_control();
  void cut_bulk();

  const int number;
  PostedWork posted;
  PostedWork turns;  ///< of the kernel's threads
  NoTransfers transfers;
  FakeNotifier notifier;
  SimClient client;
  std::unique_ptr<FakeLink> link;
  std::unique_ptr<FileSystem> files;
  std::unique_ptr<FakeKernel> kernel;
  Runner runner;
  RunningRef<Result<>> started;

  SimConnectionRef control;             ///< null: none
  SimConnectionRef bulk;                ///< likewise
  SimConnectionRef joining;             ///< will be the control connection
  std::deque<SimConnectionRef> broken;  ///< the server has not noticed
  std::uint64_t incarnation = 0;        ///< of the server, as the client knows it
  Moment reachable_since = kNever;
  bool has_lost_session = false;          // and does not know it yet
  int events_waiting = 0;                 ///< not acknowledged
  bool was_late = false;                  ///< somebody did not wait for an acknowledgement
  bool is_adopting = false;               ///< a thread of the client takes over a connection
  int busy_events = 0;                    ///< threads that handle an event
  std::uint64_t renames_of_one_file = 0;  ///< that the server has answered

  [[nodiscard]] bool is_ready() const {
    return started != nullptr && started->is_done() && files != nullptr;
  }
};

}  // namespace homefs::test

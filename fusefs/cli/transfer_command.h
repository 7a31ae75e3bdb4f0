// TransferCommand: what put and get have in common: look at both sides, plan, carry it out or say
// what would be done, and tell how it ended.
//
// Executor: the main thread. Blocks: run(), until it is done.
#pragma once

#include <string>
#include <vector>

#include "fusefs/cli/remote_command.h"
#include "fusefs/cli/transfer_display.h"
#include "fusefs/cli/transfer_flags.h"
#include "fusefs/transfer/transfer_plan.h"

namespace homefs {

class TransferCommand : public RemoteCommand {
 public:
  /// The exit status: 0, 1 when nothing was done, 8 when a part was, 130 when it was interrupted,
  /// or that of an error of the whole.
  int run(RemoteContext& context) final;
  [[nodiscard]] bool watches_for_end() const final { return true; }

 protected:
  struct Trees {
    TreeEntry source;  ///< what is moved, as children with the names that they will have
    TreeEntry target;  ///< what of that is there already
  };

  explicit TransferCommand(TransferDirection direction) : direction_(direction) {}

  /// Fills `trees`. What cannot be read of the sources goes to the monitor; errors are of the
  /// whole.
  virtual Result<> look(RemoteContext& context, Trees& trees, TransferMonitor& monitor) = 0;
  virtual void carry_out(RemoteContext& context, TransferPlan& plan, TransferMonitor& monitor,
                         const TransferOptions& options) = 0;

  std::vector<std::string> paths_;  ///< the sources, from run() on without the target
  std::string target_text_;         ///< from run() on
  TransferFlags flags_;
  PathFilter filter_;        ///< from run() on
  bool is_merging_ = false;  ///< a source is a folder without a name: what is in it is moved

 private:
  Result<> transfer(RemoteContext& context, const TransferOptions& options,
                    TransferDisplay& display, TransferMonitor& monitor);
  int end(RemoteContext& context, TransferDisplay& display, TransferMonitor& monitor,
          const Result<>& done);

  const TransferDirection direction_;
};

}  // namespace homefs

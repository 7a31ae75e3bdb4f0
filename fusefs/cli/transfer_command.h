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
  /// One of the sources as it was named.
  struct Source {
    TreeEntry entry;
    bool is_contents = false;  ///< "x/.", "..", "/": what is in it, unless it gets a new name
  };
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

  /// Whether only an existing folder can take all in.
  [[nodiscard]] bool needs_folder() const { return paths_.size() > 1; }
  /// Whether `path` stands for what is in the folder, as with cp(1).
  [[nodiscard]] static bool names_contents(std::string_view path);
  /// The sources as children of one folder, in the order of their names there. `new_name` is for
  /// the only one; empty: each keeps its own. Errors: kInvalid, two have one name.
  Result<TreeEntry> join(std::vector<Source> sources, const std::string& new_name);

  std::vector<std::string> paths_;  ///< the sources, from run() on without the target
  std::string target_text_;         ///< from run() on
  TransferFlags flags_;
  PathFilter filter_;  ///< from run() on

 private:
  Result<> transfer(RemoteContext& context, const TransferOptions& options,
                    TransferDisplay& display, TransferMonitor& monitor);
  int end(RemoteContext& context, TransferDisplay& display, TransferMonitor& monitor,
          const Result<>& done);

  const TransferDirection direction_;
  // How to go on after an interruption.
  std::string again_ = "the same command";
};

}  // namespace homefs

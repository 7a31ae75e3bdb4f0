// PutRun: carries out a plan towards the server: folders first, then files (small ones in a stream,
// large ones beside it in jobs of their own), then what folders look like.
//
// Owner: the command. Executor: the calling thread, and `jobs` threads that it joins.
// Blocks: run(), until all is done.
#pragma once

#include <deque>
#include <vector>

#include "fusefs/transfer/put_target.h"
#include "fusefs/transfer/rate_limit.h"
#include "fusefs/transfer/small_puts.h"
#include "fusefs/transfer/transfer_monitor.h"
#include "fusefs/transfer/transfer_options.h"

namespace homefs {

class PutRun {
 public:
  PutRun(RemoteClient& client, TransferMonitor& monitor, const TransferOptions& options)
      : client_(client),
        monitor_(monitor),
        options_(options),
        rate_(options.bytes_per_second, options.is_stopped) {}

  /// What the plan says goes into the folder `target`. The trees of the plan must live so long.
  void run(TransferPlan& plan, NodeId target);

 private:
  struct FolderState {
    NodeId node{};  // kNoNode: it could not be made
    std::filesystem::path local;
    bool is_changed = false;
  };

  void make_folders(const TransferPlan& plan);
  void settle_comparisons(TransferPlan& plan);
  void send_files(const TransferPlan& plan);
  void send_one(const PlanItem& item, SmallPuts& small);
  void run_jobs(std::deque<PutFile>& large, SmallPuts& small, const TransferPlan& plan);
  void make_symlink(const PlanItem& item);
  void set_attributes(const PlanItem& item);
  void set_folder_attributes(const TransferPlan& plan);

  [[nodiscard]] FolderState& folder_of(const PlanItem& item);
  [[nodiscard]] PutFile file_of(const PlanItem& item);

  RemoteClient& client_;
  TransferMonitor& monitor_;
  const TransferOptions& options_;
  RateLimit rate_;
  FolderState top_;
  std::vector<FolderState> folders_;  // by item
};

}  // namespace homefs

// GetRun: carries out a plan from the server to the local disk; the mirror of PutRun.
//
// Owner: the command. Executor: the calling thread, and `jobs` threads that it joins.
// Blocks: run(), until all is done.
#pragma once

#include <deque>
#include <filesystem>
#include <vector>

#include "fusefs/remote/pipeline.h"
#include "fusefs/remote/remote_client.h"
#include "fusefs/transfer/rate_limit.h"
#include "fusefs/transfer/transfer_monitor.h"
#include "fusefs/transfer/transfer_options.h"
#include "fusefs/transfer/transfer_plan.h"

namespace homefs {

/// Where one file of a get comes from and goes to.
struct GetFile {
  std::string path;  ///< for messages
  NodeId node{};
  std::filesystem::path local;
  Attributes attributes;   ///< as listed
  bool has_basis = false;  ///< a file is under the name
};

class GetRun {
 public:
  GetRun(RemoteClient& client, TransferMonitor& monitor, const TransferOptions& options)
      : client_(client),
        monitor_(monitor),
        options_(options),
        rate_(options.bytes_per_second, options.is_stopped) {}

  /// What the plan says goes into the folder `target`. The trees of the plan must live so long.
  void run(TransferPlan& plan, const std::filesystem::path& target);

 private:
  struct FolderState {
    NodeId node{};  // on the server
    std::filesystem::path local;
    bool has_failed = false;
    bool is_changed = false;
  };

  void make_folders(const TransferPlan& plan);
  void settle_comparisons(TransferPlan& plan);
  void fetch_files(const TransferPlan& plan);
  void fetch_one(const PlanItem& item);
  void make_symlink(const PlanItem& item);
  void set_attributes(const PlanItem& item);
  void set_folder_attributes(const TransferPlan& plan);

  // Small files, many in one answer.
  using Batch = std::vector<GetFile>;
  void add_small(GetFile file);
  void send_batch();
  void finish_batch(const Batch& batch, Result<std::vector<SmallFileData>> answer);
  void finish_small(const GetFile& file, Result<Slice> data);
  [[nodiscard]] Result<> store_small(const GetFile& file, const Slice& data);

  [[nodiscard]] FolderState& folder_of(const PlanItem& item);
  [[nodiscard]] GetFile file_of(const PlanItem& item);

  RemoteClient& client_;
  TransferMonitor& monitor_;
  const TransferOptions& options_;
  RateLimit rate_;
  FolderState top_;
  std::vector<FolderState> folders_;  // by item
  Batch batch_;
  std::uint64_t batch_bytes_ = 0;
  Pipeline<std::vector<SmallFileData>> batches_{8};
};

}  // namespace homefs

// LargeGet: one file by blocks, the mirror of LargePut. Blocks that the partial file of an earlier
// try has, or the file under the name, do not cross the network.
//
// Owner: a job of GetRun. Executor: its thread. Blocks: run(), on disk and server.
#pragma once

#include <optional>

#include "fusefs/remote/pipeline.h"
#include "fusefs/transfer/block_diff.h"
#include "fusefs/transfer/get_run.h"
#include "fusefs/transfer/local_file.h"

namespace homefs {

class LargeGet {
 public:
  LargeGet(RemoteClient& client, TransferMonitor& monitor, RateLimit& rate,
           const TransferOptions& options, const GetFile& file);

  /// Tries several times where that may help. Tells the monitor of its end.
  void run();

 private:
  [[nodiscard]] Result<> attempt();
  [[nodiscard]] Result<> transfer(const LocalFile& partial);
  [[nodiscard]] Result<> fetch_blocks(const LocalFile& partial, bool has_blocks);
  [[nodiscard]] Result<> fetch_chunk(const LocalFile& partial, std::uint64_t offset,
                                     std::uint64_t length, std::span<const Md5Digest> wanted);
  void fetch_run(const LocalFile& partial, const BlockRun& run);
  [[nodiscard]] Result<> copy_run(const LocalFile& partial, const BlockRun& run);
  [[nodiscard]] Result<bool> is_whole(const LocalFile& partial);
  void note_error(const Error& error);

  RemoteClient& client_;
  TransferMonitor& monitor_;
  RateLimit& rate_;
  const TransferOptions& options_;
  const GetFile& file_;
  const std::filesystem::path partial_path_;
  Attributes attributes_;  // when it was begun
  std::uint64_t size_ = 0;
  std::optional<LocalFile> basis_;
  std::optional<Error> error_;  // of blocks under way
  Pipeline<ReadData> reads_;
};

}  // namespace homefs

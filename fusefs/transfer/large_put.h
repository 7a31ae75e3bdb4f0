// LargePut: one file by blocks. What the partial file of an earlier try has, or the file under the
// name, is not sent again; when the MD5 of the whole agrees at both ends it gets its name.
//
// Owner: a job of PutRun. Executor: its thread. Blocks: run(), on disk and server.
#pragma once

#include <optional>

#include "fusefs/remote/pipeline.h"
#include "fusefs/transfer/block_diff.h"
#include "fusefs/transfer/local_file.h"
#include "fusefs/transfer/put_target.h"
#include "fusefs/transfer/rate_limit.h"
#include "fusefs/transfer/transfer_monitor.h"
#include "fusefs/transfer/transfer_options.h"
#include "protocol/md5_stream.h"

namespace homefs {

class LargePut {
 public:
  LargePut(RemoteClient& client, TransferMonitor& monitor, RateLimit& rate,
           const TransferOptions& options, const PutFile& file);

  /// Tries several times where that may help. Tells the monitor of its end.
  void run();

 private:
  struct Chunk {
    std::uint64_t offset = 0;
    Slice data;
    std::vector<Md5Digest> digests;
  };

  [[nodiscard]] Result<> attempt();
  [[nodiscard]] Result<bool> is_there_already(const LocalFile& local);
  [[nodiscard]] Result<> check_quota();
  [[nodiscard]] Result<> open_partial();
  [[nodiscard]] Result<RemoteNode> find_or_create_partial();
  [[nodiscard]] Result<> transfer(const LocalFile& local);
  [[nodiscard]] Result<> send_blocks(const LocalFile& local, std::span<const Md5Digest> have,
                                     std::span<const Md5Digest> basis);
  [[nodiscard]] Result<Chunk> read_chunk(const LocalFile& local, std::uint64_t offset);
  void send_chunk(const Chunk& chunk, std::span<const Md5Digest> have,
                  std::span<const Md5Digest> basis);
  void send_run(const Chunk& chunk, const BlockRun& run);
  void copy_run(const BlockRun& run);
  [[nodiscard]] Result<> publish(const LocalFile& local);
  void give_partial_up(const Error& error);
  void note_error(const Error& error);

  RemoteClient& client_;
  TransferMonitor& monitor_;
  RateLimit& rate_;
  const TransferOptions& options_;
  const PutFile& file_;
  const RemotePlace partial_;
  Attributes attributes_;  // of the file here, when it was opened
  NodeId key_{};           // under which the monitor knows it
  RemoteNode node_;        // the partial file
  RemoteNode basis_;       // the file under the name; kNoNode: none
  std::uint64_t session_ = 0;
  Md5Stream whole_;
  std::optional<Error> error_;  // of blocks under way
  Pipeline<ChangeReply> writes_;
  Pipeline<CopyReply> copies_;
};

}  // namespace homefs

// SmallPuts: files that fit into one request, many of them at a time. Each is created under a
// partial name, gets its contents, and then mode, times and its own name; nothing waits for the
// answers in between but the last step, which is taken when the contents have arrived.
//
// Owner: PutRun. Executor: one thread. Blocks: add() when many are under way, and drain().
#pragma once

#include <deque>

#include "fusefs/transfer/put_target.h"
#include "fusefs/transfer/rate_limit.h"
#include "fusefs/transfer/transfer_monitor.h"
#include "fusefs/transfer/transfer_options.h"

namespace homefs {

class SmallPuts {
 public:
  SmallPuts(RemoteClient& client, TransferMonitor& monitor, RateLimit& rate, std::string key);

  void add(PutFile file);
  void drain();

 private:
  struct Put {
    PutFile file;
    Attributes attributes;  // of the file here
    Slice data;
    RemotePlace partial;
    NodeId node{};
    int attempt = 1;
    Answer<EntryReply> created;
    Answer<AppendReply> appended;
    Answer<ChangeReply> set;
    Answer<RenameReply> renamed;
  };

  [[nodiscard]] static Result<> read_file(Put& put);
  [[nodiscard]] static Result<> read_once(Put& put);
  void begin(Put put);
  void publish_first();
  void finish_first();
  void try_again_or_fail(Put put, const Error& error, bool is_partial_there);
  [[nodiscard]] static std::uint64_t bytes_of(const Put& put) { return put.data.bytes.size(); }

  RemoteClient& client_;
  TransferMonitor& monitor_;
  RateLimit& rate_;
  const std::string key_;
  std::deque<Put> writing_;     // created, and being filled
  std::deque<Put> publishing_;  // getting its name
  std::uint64_t bytes_writing_ = 0;
};

}  // namespace homefs

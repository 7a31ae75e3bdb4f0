// Compares files here with files of the server by the MD5 of their blocks; no data is moved.
//
// Owner: the command. Executor: one thread. Blocks: on the disk and on the server's answers.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "fusefs/remote/pipeline.h"
#include "fusefs/remote/remote_client.h"

namespace homefs {

class ContentCompare {
 public:
  using Finish = std::function<void(Result<bool> are_equal)>;

  explicit ContentCompare(RemoteClient& client) : client_(client), answers_(kDepth) {}

  /// Both have `size` bytes. `finish` is called by this or a later call, or by drain().
  void add(const std::filesystem::path& local, NodeId remote, std::uint64_t size, Finish finish);
  void drain() { answers_.drain(); }

 private:
  static constexpr std::size_t kDepth = 64;

  RemoteClient& client_;
  Pipeline<DigestReply> answers_;
};

/// The MD5 of every block of a file of `size` bytes; asked for in parts. An error when the file has
/// another size by now.
[[nodiscard]] Result<std::vector<Md5Digest>> remote_digests(RemoteClient& client, NodeId node,
                                                            std::uint64_t size);

}  // namespace homefs

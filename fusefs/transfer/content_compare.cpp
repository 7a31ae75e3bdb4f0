#include "fusefs/transfer/content_compare.h"

#include <algorithm>

#include "fusefs/transfer/local_file.h"
#include "protocol/block.h"

namespace homefs {
namespace {

// What one request asks for: 16384 blocks, whose digests take 256 KiB.
constexpr std::uint64_t kRangeBytes = std::uint64_t{16384} * kBlockBytes;

Result<bool> is_equal(const std::filesystem::path& local, std::uint64_t size,
                      const std::vector<Md5Digest>& remote) {
  const auto file = LocalFile::open_to_read(local);
  if (!file) return std::unexpected(file.error());
  const auto stat = file->stat();
  if (!stat) return std::unexpected(stat.error());
  if (static_cast<std::uint64_t>(stat->st_size) != size) return false;
  const auto digests = file->digests(0, size);
  if (!digests) return std::unexpected(digests.error());
  return *digests == remote;
}

}  // namespace

void ContentCompare::add(const std::filesystem::path& local, NodeId remote, std::uint64_t size,
                         Finish finish) {
  if (size > kRangeBytes) {
    const auto digests = remote_digests(client_, remote, size);
    if (!digests) return finish(std::unexpected(digests.error()));
    return finish(is_equal(local, size, *digests));
  }
  answers_.push(
      client_.digest({.node = remote, .length = size}),
      [local, size, finish = std::move(finish)](const Result<DigestReply>& reply) {
        if (!reply) return finish(std::unexpected(reply.error()));
        finish(reply->size == size ? is_equal(local, size, reply->digests) : Result<bool>(false));
      });
}

Result<std::vector<Md5Digest>> remote_digests(RemoteClient& client, NodeId node,
                                              std::uint64_t size) {
  std::vector<Md5Digest> digests;
  for (std::uint64_t at = 0; at < size; at += kRangeBytes) {
    auto reply =
        client.digest({.node = node, .offset = at, .length = std::min(kRangeBytes, size - at)})
            .get();
    if (!reply) return std::unexpected(reply.error());
    if (reply->size != size) return fail(Status::kIoError, "its size has changed meanwhile");
    digests.insert(digests.end(), reply->digests.begin(), reply->digests.end());
  }
  return digests;
}

}  // namespace homefs

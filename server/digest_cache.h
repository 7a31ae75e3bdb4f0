// DigestCache: the MD5s of whole files that were asked for last, each with the version that it is
// the MD5 of. Asking again costs no reading while the file is what it was.
//
// Owner: the home. Executor: thread-safe. Blocks: never.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <unordered_map>

#include "protocol/ids.h"
#include "protocol/md5_digest.h"

namespace homefs {

class DigestCache {
 public:
  /// About 150 bytes each.
  static constexpr std::size_t kFilesMax = 4096;

  /// Nothing, unless the file was put with this version.
  std::optional<Md5Digest> find(InodeNumber file, std::uint64_t version);
  void put(InodeNumber file, std::uint64_t version, const Md5Digest& digest);
  [[nodiscard]] std::size_t size() const;

 private:
  struct Entry {
    InodeNumber file{};
    std::uint64_t version = 0;
    Md5Digest digest{};
  };

  mutable std::mutex mutex_;
  std::list<Entry> used_;  // the one used last in front
  std::unordered_map<InodeNumber, std::list<Entry>::iterator> places_;
};

}  // namespace homefs

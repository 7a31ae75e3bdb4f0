// ReadCache: data of one file that was fetched, or is being fetched, ahead of the program.
//
// The kernel keeps what it has read in its page cache and asks for 128 KiB at a time, one or two
// requests ahead; what is kept here is only what it has not asked for yet. A stream gets a window
// that doubles to several MiB, so that a fast link is never idle.
//
// Pure state: it fetches nothing itself. Owner: FileData. Executor: whoever holds the state's lock.
// Blocks: never.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "protocol/buffer.h"
#include "protocol/result.h"

namespace homefs {

/// Where one open handle reads, for telling streams from random access.
struct ReadStream {
  std::uint64_t next_offset = 0;  ///< just behind the furthest read so far
  std::uint64_t window = 0;       ///< bytes to have ready behind next_offset; 0 = random access
};

class ReadCache {
 public:
  /// One READ request.
  static constexpr std::uint64_t kFetchBytes = 1024 * 1024;
  /// The first window: two of the kernel's own read-ahead windows (128 KiB).
  static constexpr std::uint64_t kWindowBytesFirst = 256 * 1024;
  /// 8 MiB is bandwidth x delay of 400 MB/s at 20 ms.
  static constexpr std::uint64_t kWindowBytesMax = 8 * 1024 * 1024;
  /// The kernel's requests of one stream arrive out of order by up to its own window.
  static constexpr std::uint64_t kDisorderBytes = 1024 * 1024;
  /// A file up to this size is fetched whole at its first read.
  static constexpr std::uint64_t kWholeFileBytes = 256 * 1024;

  struct Fetch {
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
    std::uint64_t generation = 0;  ///< for complete(); tells fetches of before a clear()
  };
  using Wake = std::move_only_function<void(Result<>)>;

  /// Notes the read in `stream` and returns what to fetch for it and ahead of it (marked as under
  /// way). Precondition: [offset, offset + length) is inside of the file.
  std::vector<Fetch> plan(ReadStream& stream, std::uint64_t offset, std::uint64_t length,
                          std::uint64_t file_size, bool may_read_ahead);

  /// The bytes, when all of them (or all up to the end of the file) are here.
  std::optional<std::vector<Slice>> collect(std::uint64_t offset, std::uint64_t length) const;

  /// `wake` is called when the first missing piece of the range is here or has failed. False: it is
  /// not being fetched, and `wake` is not kept.
  bool when_fetched(std::uint64_t offset, std::uint64_t length, Wake& wake);

  /// The answer to a fetch. Returns who waits for it, to be called without the lock.
  [[nodiscard]] std::vector<std::move_only_function<void()>> complete(const Fetch& fetch,
                                                                      Result<Slice> data);

  /// A whole small file that was fetched before it was asked for.
  void put_whole(Slice data);

  /// The file changes: nothing that is here or under way may be used.
  [[nodiscard]] std::vector<std::move_only_function<void()>> clear();

  /// Drops what a stream has passed.
  void drop_before(std::uint64_t offset);

  [[nodiscard]] bool is_empty() const { return chunks_.empty(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  struct Chunk {
    std::uint64_t length = 0;  // asked; what is there may be less at the end of the file
    std::uint64_t generation = 0;
    bool is_here = false;
    Slice data;
    std::vector<Wake> waiters;
  };
  using Chunks = std::map<std::uint64_t, Chunk>;  // by offset; never overlapping

  Chunks::const_iterator chunk_at(std::uint64_t offset) const;
  // Marks the parts of [from, to) that no chunk covers as under way, at most kFetchBytes each.
  void fetch_gaps(std::uint64_t from, std::uint64_t to, std::vector<Fetch>& out);

  Chunks chunks_;
  std::size_t bytes_ = 0;  // here or under way
  std::uint64_t generation_ = 1;
};

}  // namespace homefs

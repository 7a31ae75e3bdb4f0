// ReadCache: data of one file that was fetched, or is being fetched, ahead of the program.
// ReadMemory: what the read caches of all files have in common, and the bound on what they hold.
//
// The kernel keeps what it has read in its page cache and asks for 128 KiB at a time, one or two
// requests ahead; what is kept here is only what it has not asked for yet. A stream gets a window
// that doubles to several MiB, so that a fast link is never idle.
//
// Pure state: it fetches nothing itself. Owners: FileData, ClientState. Executor: whoever holds the
// state's lock. Blocks: never.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <vector>

#include "protocol/buffer.h"
#include "protocol/result.h"

namespace homefs {

class ReadCache;

/// Where one open handle reads, for telling streams from random access.
struct ReadStream {
  std::uint64_t id = 0;           ///< the handle
  std::uint64_t next_offset = 0;  ///< just behind the furthest read so far
  std::uint64_t window = 0;       ///< bytes to have ready behind next_offset; 0 = random access
};

class ReadMemory {
 public:
  static constexpr std::size_t kBytesMaxDefault = 256 * 1024 * 1024;

  /// Of all files; what is under way comes on top of it.
  void set_bytes_max(std::size_t bytes_max) { bytes_max_ = bytes_max; }
  [[nodiscard]] std::size_t bytes_max() const { return bytes_max_; }
  /// What is here.
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  friend class ReadCache;
  struct Use {
    ReadCache* cache;
    std::uint64_t offset;  // of its chunk
  };
  using Uses = std::list<Use>;
  // Drops what was not used for the longest time, but for the last one.
  void shrink();

  Uses uses_;  // chunks that are here, the least recently used first
  std::size_t bytes_ = 0;
  std::size_t bytes_max_ = kBytesMaxDefault;
  std::uint64_t last_fetch_ = 0;
};

class ReadCache {
 public:
  /// One READ request.
  static constexpr std::uint64_t kFetchBytes = 1024 * 1024;
  /// The first window: two of the kernel's own read-ahead windows (128 KiB).
  static constexpr std::uint64_t kWindowBytesFirst = 256 * 1024;
  /// 8 MiB is bandwidth x delay of 400 MB/s at 20 ms. A quarter of the memory, where that is less.
  static constexpr std::uint64_t kWindowBytesMax = 8 * 1024 * 1024;
  /// The kernel's requests of one stream arrive out of order by up to its own window.
  static constexpr std::uint64_t kDisorderBytes = 1024 * 1024;
  /// A file up to this size is fetched whole at its first read.
  static constexpr std::uint64_t kWholeFileBytes = 256 * 1024;

  struct Fetch {
    std::uint64_t offset = 0;
    std::uint32_t length = 0;
    std::uint64_t number = 0;  ///< no two fetches of a mount have the same
  };
  using Wake = std::move_only_function<void(Result<>)>;

  /// What becomes of data that the reader has got.
  enum class Keep {
    kUntilPassed,  ///< it may come again: the kernel has no pages of it
    kOnce,         ///< the kernel keeps it
  };

  explicit ReadCache(ReadMemory& memory) : memory_(memory) {}
  ~ReadCache();
  ReadCache(const ReadCache&) = delete;
  ReadCache& operator=(const ReadCache&) = delete;

  /// Notes the read in `stream` and returns what to fetch for it and ahead of it (marked as under
  /// way). Precondition: [offset, offset + length) is inside of the file.
  std::vector<Fetch> plan(ReadStream& stream, std::uint64_t offset, std::uint64_t length,
                          std::uint64_t file_size, bool may_read_ahead);

  /// The bytes, when all of them (or all up to the end of the file) are here. A chunk that was
  /// given away whole is dropped, as `keep` says.
  std::optional<std::vector<Slice>> collect(std::uint64_t offset, std::uint64_t length,
                                            Keep keep = Keep::kUntilPassed);

  /// `wake` is called when the first missing piece of the range is here or has failed. False: it is
  /// not being fetched, and `wake` is not kept.
  bool when_fetched(std::uint64_t offset, std::uint64_t length, Wake& wake);

  /// The answer to a fetch; nothing happens when nobody waits for it any more. Returns who waits,
  /// to be called without the lock.
  [[nodiscard]] std::vector<std::move_only_function<void()>> complete(const Fetch& fetch,
                                                                      Result<Slice> data);

  /// A whole small file that was fetched before it was asked for.
  void put_whole(Slice data);

  /// The file changes: nothing that is here or under way may be used.
  [[nodiscard]] std::vector<std::move_only_function<void()>> clear();

  /// Drops what the stream has had fetched and has passed, now that it reads at `offset`.
  void drop_passed(const ReadStream& stream, std::uint64_t offset);

  [[nodiscard]] bool is_empty() const { return chunks_.empty(); }

 private:
  friend class ReadMemory;
  struct Chunk {
    std::uint64_t length = 0;  // asked; what is there may be less at the end of the file
    std::uint64_t fetch = 0;   // Fetch::number
    std::uint64_t stream = 0;  // for which it is fetched
    bool is_here = false;
    bool is_whole_file = false;
    Slice data;
    std::uint64_t given_bytes = 0;  // to readers, in all
    std::vector<Wake> waiters;
    ReadMemory::Uses::iterator use;  // when it is here
  };
  using Chunks = std::map<std::uint64_t, Chunk>;  // by offset; never overlapping

  Chunks::iterator chunk_at(std::uint64_t offset);
  // Marks the parts of [from, to) that no chunk covers as under way, at most kFetchBytes each.
  void fetch_gaps(const ReadStream& stream, std::uint64_t from, std::uint64_t to,
                  std::vector<Fetch>& out);
  void fill(Chunks::iterator chunk, Slice data);
  Chunks::iterator drop(Chunks::iterator chunk);
  void drop_given(Chunks::iterator chunk, std::uint64_t offset, std::uint64_t end);
  static std::size_t cost_of(const Slice& data);

  ReadMemory& memory_;
  Chunks chunks_;
};

}  // namespace homefs

// FileData: the data of one file that is on its way, in either direction.
#pragma once

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "fusefs/deferred_change.h"
#include "fusefs/read_cache.h"
#include "fusefs/write_behind.h"
#include "protocol/attributes.h"

namespace homefs {

/// Changes of a file's data that the server makes in sequence, which writes are not in: appends,
/// truncations, copies. A write that comes later must not overtake them. Almost always none: the
/// kernel lets one program at a time change a file, but a program that was interrupted is gone.
class ChangesAtServer {
 public:
  using Wake = std::move_only_function<void()>;

  void begin() { ++count_; }
  /// Returns who waits, to be called without the lock.
  [[nodiscard]] std::vector<Wake> end() {
    HOMEFS_CHECK(count_ > 0);
    if (--count_ > 0) return {};
    return std::exchange(waiters_, {});
  }
  [[nodiscard]] bool is_any() const { return count_ > 0; }
  /// `wake` is called when none is under way any more. False: there is none, and it is not kept.
  bool when_over(Wake& wake) {
    if (count_ == 0) return false;
    waiters_.push_back(std::move(wake));
    return true;
  }

 private:
  std::uint32_t count_ = 0;
  std::vector<Wake> waiters_;
};

/// Made when a file is first read or written through the mount, dropped at its last close.
struct FileData {
  explicit FileData(ReadMemory& memory) : reads(memory) {}

  Timestamp last_write;            ///< our clock at the last write that is not acknowledged
  bool is_streaming_up = false;    ///< the transfer was announced
  bool is_streaming_down = false;  ///< likewise
  bool was_closed = false;         ///< close(2), since the last write; not all need have closed it
  std::uint64_t grown_size = 0;  ///< what another mount has made of it, with a change of this order
  std::uint64_t grown_order = 0;
  std::uint32_t resizing = 0;  ///< changes of size: meanwhile the kernel writes no page back
  bool is_void_after = false;  ///< and this was kept from it: its pages are void
  bool keeps_written = false;  ///< `reads` holds what was written, for after the close
  std::uint32_t changes = 0;   ///< by others that were heard of, and by writes of this mount
  std::chrono::steady_clock::time_point heard_at;  ///< the last of the former
  std::uint32_t passing = 0;    ///< writes past the kernel's pages, until it has dropped these
  std::uint32_t page_uses = 0;  ///< grows when the kernel gets or gives what may be in its pages
  WriteQueue writes;
  DeferredChange change;
  ChangesAtServer at_server;
  ReadCache reads;

  /// The server does not have all that was done here yet.
  [[nodiscard]] bool has_unsent() const { return writes.is_dirty() || change.is_pending(); }
  /// It may not be dropped.
  [[nodiscard]] bool is_dirty() const { return has_unsent() || at_server.is_any(); }
};

}  // namespace homefs

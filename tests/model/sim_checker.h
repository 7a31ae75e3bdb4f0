// SimChecker: what docs/SEMANTICS.md promises, checked against what programs did and saw.
//
// Every slot of a file (kSlotBytes, written whole, with the number of the write in it) and every
// name is a register. A read may return what a change has put there that was not certainly
// replaced: no other change of it began after that one was over, and was over itself (or seen)
// before the read began. While a mount cannot be reached, or is late, what others do need not show
// there; once it is back it does.
//
// Owner: the simulation. Executor: its thread. Blocks: never.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/model/sim_locks.h"
#include "tests/model/sim_moment.h"

namespace homefs::test {

inline constexpr std::size_t kSlotBytes = 16;

/// The bytes of a slot that the change `number` has written.
std::string slot_text(std::uint64_t number, std::uint64_t slot);

class SimChecker {
 public:
  /// Since when a mount can be reached without a break, kNever: it cannot now.
  using ReachableSince = std::function<Moment(int mount)>;

  explicit SimChecker(ReachableSince reachable) : reachable_(std::move(reachable)) {}

  [[nodiscard]] const std::vector<std::string>& violations() const { return violations_; }
  void violated(std::string what) { violations_.push_back(std::move(what)); }

  // ---- Data ----

  struct DataChange {
    std::uint64_t number = 0;
    int mount = 0;
    FileKey file;
    bool is_append = false;
    bool is_cut = false;  ///< truncation: blank from `first` on
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    Moment begin = 0;
    Moment end = kNever;     ///< kNever: not over, or nobody knows whether it was done
    Moment stable = kNever;  ///< since when the server has it, as far as is known
    std::optional<std::size_t>
        lock;  ///< an exclusive one of the whole file, under which it is made
  };
  /// A change that begins; the number is in what it writes.
  std::uint64_t begin_data(DataChange change);
  /// It was done (`is_stable`: the server has it), or has failed: then it may have been done.
  void end_data(std::uint64_t number, Moment now, bool is_done, bool is_stable);
  /// What the mount had written to the file by `done` is at the server.
  void settle(int mount, const FileKey& file, Moment done, Moment now);
  /// A program has read this at `offset`, a multiple of kSlotBytes.
  struct DataRead {
    int mount = 0;  ///< negative: the server's disk
    FileKey file;
    std::uint64_t offset = 0;
    std::uint64_t length = 0;  ///< asked
    std::string text;
    Moment begin = 0;
    Moment end = 0;
    int of_mount = -1;  ///< only changes of this mount must be there (fsync); negative: of all
    std::vector<std::size_t> locks;  ///< that the reader held
  };
  void read(const DataRead& read);
  /// The whole of a file: all appends that succeeded are there, once.
  void read_appends(const DataRead& read);
  /// A program has found that such a file ends at `read.length`: behind all of them.
  void found_end(const DataRead& read);

  // ---- Locks ----

  [[nodiscard]] SimLocks& locks() { return locks_; }
  void granted(std::size_t lock, Moment now) {
    if (std::string wrong = locks_.granted(lock, now); !wrong.empty()) violated(std::move(wrong));
  }

  // ---- Names ----

  struct NameChange {
    int mount = 0;
    std::string path;
    bool is_present = false;
    std::optional<FileKey> file;  ///< none: some file
    Moment begin = 0;
    Moment end = kNever;
    bool is_certain = false;  ///< false: it may have been done, or not
  };
  /// A change that begins; until end_name() nobody knows whether it was done. Returns its number
  /// among those of the path.
  std::size_t begin_name(NameChange change);
  /// It was done.
  void end_name(const std::string& path, std::size_t number, Moment now,
                std::optional<FileKey> file = std::nullopt);
  struct NameRead {
    int mount = 0;
    std::string path;
    bool is_present = false;
    std::optional<FileKey> file;
    Moment begin = 0;
    Moment end = 0;
    std::string what;
  };
  void read(const NameRead& read);

 private:
  struct Seen {
    std::uint64_t number;
    Moment end;
    int mount;
  };
  using Slot = std::pair<FileKey, std::uint64_t>;

  [[nodiscard]] bool counts(int writer, Moment done, Moment stable, int reader,
                            Moment read_begin) const;
  [[nodiscard]] bool shows(const DataChange& change, const DataRead& read) const;
  void read_slot(const DataRead& read, std::uint64_t slot, std::string_view text);
  [[nodiscard]] const DataChange* replacing(const DataRead& read, std::uint64_t slot,
                                            const DataChange* change) const;
  static bool covers(const DataChange& change, std::uint64_t slot);

  const ReachableSince reachable_;
  SimLocks locks_;
  std::vector<std::string> violations_;
  std::vector<DataChange> data_;  // by number - 1
  std::map<FileKey, std::vector<std::uint64_t>> of_file_;
  std::map<Slot, std::vector<Seen>> seen_;
  std::map<std::string, std::vector<NameChange>> names_;
};

}  // namespace homefs::test

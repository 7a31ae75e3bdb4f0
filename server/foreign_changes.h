// Which files others have changed while a session was late: they were let into the home, or have
// gone on in it, though the session had not said that all is on the server that it answered writes
// to programs for. What it sends of that afterwards is older than what the others wrote, and must
// not replace it.
//
// Two tables of fixed size, in the session's mapped file, have room for any number of changes and
// forget none. A Bloom filter of inode numbers says which files were changed: it takes one of
// 10,000 for changed that was not, with 1,000 that were. The other one says where: from which
// offset on others may have changed it, or from an earlier one where files share a place. Below it
// all is as the session left it, so what it has sent in parts that overtook each other can become
// whole.
//
// Owner: the session's ReplayRecord keeps the tables; LateSessions of the home knows those that are
// late. Executor: begin(), obey() and be_sole() one at a time, the rest thread-safe. Blocks: never.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "protocol/ids.h"

namespace homefs {

/// As it is kept: two pages. All zeros: nothing was changed.
struct ForeignNotes {
  static constexpr std::size_t kWords = 512;
  std::array<std::uint64_t, kWords> changed;  ///< bits
  std::array<std::uint64_t, kWords> from;     ///< inverted, so that 0 is no offset at all
};

class ForeignChanges {
 public:
  /// Works on what has to outlive it, all zeros at first.
  ForeignChanges(std::uint64_t& state, ForeignNotes& notes) : state_(&state), notes_(&notes) {}

  [[nodiscard]] bool is_late() const;

  /// Another session is in the home, or may come in. Unless the session is known to answer no write
  /// early it is late: from now on what others change is noted. `order`: of now, of this run.
  void begin(std::uint64_t order);
  /// It answers no write early any more, and all that it has answered is on the server.
  void obey();
  /// It has the home alone, and may answer writes early. Not if it is late and others have changed
  /// something: it has to obey first.
  void be_sole();

  /// The session was told of what is in the home, up to `order` of this run.
  void looked(std::uint64_t order);
  /// Whether it may know what was made at `order`; 0: nobody knows when.
  [[nodiscard]] bool may_know(std::uint64_t made_order) const;
  /// Another session is about to change `inode`, at `from` or behind it.
  void note(InodeNumber inode, std::uint64_t from);
  /// Whether data up to `end` that the session has answered early may be older than what another
  /// has done there.
  [[nodiscard]] bool concerns(InodeNumber inode, std::uint64_t end) const;
  /// Whether the client's kernel has been told of nothing that came after begin(), or may have
  /// been.
  [[nodiscard]] bool is_from_before(std::uint64_t page_order) const;

 private:
  static constexpr std::uint64_t kUnknownOrder = ~std::uint64_t{0};

  std::uint64_t* state_;
  ForeignNotes* notes_;
  std::atomic<std::uint64_t> since_{kUnknownOrder};  // unknown: it began in an earlier run
  std::atomic<std::uint64_t> last_look_{0};          // 0: in an earlier run
};

/// A change of a file's data.
struct ForeignChange {
  InodeNumber inode{};
  std::uint64_t from = 0;        ///< the first byte that it may change
  std::uint64_t made_order = 0;  ///< of the file, see Inode
};

/// The sessions of a home that are late.
class LateSessions {
 public:
  /// Nothing happens for one that is not late.
  void add(std::shared_ptr<ForeignChanges> session);
  void remove(const ForeignChanges& session);
  /// `own_or_null` is about to make the change. Called under the inode's size lock, as
  /// ForeignChanges::concerns() is before a late write. A session that has not looked since the
  /// file was made has written nothing to it: so what is built beside one that is away fills no
  /// table.
  void note(const ForeignChange& change, const ForeignChanges* own_or_null);

 private:
  std::atomic<std::size_t> count_{0};  // what every write looks at
  std::mutex mutex_;
  // Guarded by mutex_. Owners: us, where a session is saved; else the session, which leaves in
  // time.
  std::vector<std::shared_ptr<ForeignChanges>> sessions_;
};

}  // namespace homefs

// SessionHome: what one session has of a home. It knows the session's node numbers and its share of
// the quota, and turns requests into replies: the network side of the server sees only this.
//
// The caller's part: sequenced requests (op.h) one at a time and in their order, everything else
// from as many threads as it likes; deduplication and the record of replies; `Reply::changes` to
// the other sessions before the reply leaves.
//
// Owner: the session. Executor: thread-safe. Blocks: on the disk.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "protocol/frame.h"
#include "protocol/login_messages.h"
#include "protocol/messages.h"
#include "protocol/result.h"
#include "server/home.h"
#include "server/lock_table.h"
#include "server/request.h"

namespace homefs {

class ForeignChanges;
class WriteLog;

class SessionHome {
 public:
  /// A session in `home`, or in a folder of it ("a/b"; "" is the whole home). It starts shared,
  /// without a grant, until set_shared(false). kNoSuchDirectory, kNotDirectory.
  /// `id`: of the session; locks that were reserved for it are its own. `lock_journal` outlives it.
  static Result<std::unique_ptr<SessionHome>> open(std::shared_ptr<Home> home,
                                                   const std::string& folder = "",
                                                   const SessionId& id = {},
                                                   LockJournal* lock_journal = nullptr);
  /// As close().
  ~SessionHome();
  SessionHome(const SessionHome&) = delete;
  SessionHome& operator=(const SessionHome&) = delete;

  /// Runs one request of the ops 20 to 73 and says how it went. A request that breaks the protocol
  /// gets kProtocolError: the caller closes the session then. Never throws, never fails otherwise.
  /// kBlockMismatch and kStale: nothing was applied, and the same seq may be sent again.
  /// `journal`: of a change in the sequence, where the session has one. `writes`: of the session,
  /// for a write or an fsync whose number it has admitted.
  Reply handle(const InFrame& request, ChangeJournal* journal = nullptr,
               std::function<bool()> is_cancelled = {}, WriteLog* writes = nullptr);

  /// A change that was made before is answered with `reply` once more. The server may have been
  /// started anew since: what the request introduces becomes known, and the number that it has
  /// given to what it made.
  void introduce_again(const InFrame& request, const Reply& reply);

  /// It has made changes in an earlier run of the server: the next fsync covers them too.
  void owe_all_syncs();

  /// Sole: the grant is topped up with every reply. Shared: it is not; what was granted stays
  /// reserved until release_grant(), because the client may have promised it to programs. Sole is
  /// no more late, if others have changed nothing.
  void set_shared(bool is_shared);
  /// Takes the grant back: the client acknowledged ModeEvent{is_shared}, or did not in time.
  void release_grant();
  /// Where it is noted what others change while the session is late, of its record; it may be late
  /// already. Without it the session never is. To be called before the first request.
  void keep_foreign_changes(ForeignChanges& changes);
  /// The client is late: others are in the home, and it has not said that all is on the server that
  /// it has answered writes for. Until it has, such a write is refused where others have changed
  /// the file since (kLeaseLost). Nothing happens when it has said so since it was sole. This,
  /// set_shared() and end_late() are called one at a time.
  void begin_late();
  /// It has said so.
  void end_late();
  [[nodiscard]] bool is_late() const;
  /// For QuotaEvent and the login's answer: tops up as a reply does, with a stamp of its own.
  GrantState grant_state();

  /// From now on `granted` is called with the id of each lock request that was queued and has its
  /// lock; on any thread, with no lock held.
  void listen_for_locks(std::function<void(std::uint64_t)> granted);
  /// Gives its locks free; it gets none any more. Idempotent.
  void drop_locks();
  /// Leaves its locks for the next run of the server; it gets none any more.
  void keep_locks();

  /// The session was saved and is back: files that others remove are kept for it until it has
  /// introduced what it has open.
  void begin_introduction();
  void end_introduction();

  /// The attributes of the session's root folder, for the login's answer.
  Result<Attributes> root_attributes();

  /// Ends it: nodes are forgotten, the grant is returned, orphans that no other session knows are
  /// deleted (not after Home::stop(), see there). Precondition: no handle() runs.
  void close();

  [[nodiscard]] Home& home() { return *home_; }

 private:
  struct State;
  SessionHome(std::shared_ptr<Home> home, InodeRef root, const SessionId& id,
              LockJournal* lock_journal);
  Result<void> introduce(const Introductions& introductions);
  Result<void> introduce(const Introduction& introduction);

  std::shared_ptr<Home> home_;  // owners: all sessions of the home, and the registry of homes
  std::unique_ptr<State> state_;
};

}  // namespace homefs

// SessionHome: what one session has of a home. It knows the session's node numbers and its share of
// the quota, and turns requests into replies: the network side of the server sees only this.
//
// The caller's part: sequenced requests (op.h) one at a time and in their order, everything else
// from as many threads as it likes; deduplication and the record of replies; `Reply::changes` to
// the other sessions before the reply leaves.
//
// Owner: the session. Executor: thread-safe. Blocks: on the disk.
#pragma once

#include <memory>
#include <string>

#include "protocol/frame.h"
#include "protocol/messages.h"
#include "protocol/result.h"
#include "server/home.h"
#include "server/request.h"

namespace homefs {

class SessionHome {
 public:
  /// A session in `home`, or in a folder of it ("a/b"; "" is the whole home). It starts shared,
  /// without a grant, until set_shared(false). kNoSuchDirectory, kNotDirectory.
  static Result<std::unique_ptr<SessionHome>> open(std::shared_ptr<Home> home,
                                                   const std::string& folder = "");
  /// As close().
  ~SessionHome();
  SessionHome(const SessionHome&) = delete;
  SessionHome& operator=(const SessionHome&) = delete;

  /// Runs one request of the ops 20 to 73 and says how it went. A request that breaks the protocol
  /// gets kProtocolError: the caller closes the session then. Never throws, never fails otherwise.
  /// kBlockMismatch and kStale: nothing was applied, and the same seq may be sent again.
  Reply handle(const InFrame& request);

  /// Sole: the grant is topped up with every reply. Shared: it is not; what was granted stays
  /// reserved until release_grant(), because the client may have promised it to programs.
  void set_shared(bool is_shared);
  /// Takes the grant back: the client acknowledged ModeEvent{is_shared}, or did not in time.
  void release_grant();
  /// For QuotaEvent and the login's answer: tops up as a reply does, with a stamp of its own.
  GrantState grant_state();

  /// The attributes of the session's root folder, for the login's answer.
  Result<Attributes> root_attributes();

  /// Ends it: nodes are forgotten, the grant is returned, orphans that no other session knows are
  /// deleted (not after Home::stop(), see there). Precondition: no handle() runs.
  void close();

  [[nodiscard]] Home& home() { return *home_; }

 private:
  struct State;
  SessionHome(std::shared_ptr<Home> home, InodeRef root);
  Result<void> introduce(const Introductions& introductions);
  Result<void> introduce(const Introduction& introduction);

  std::shared_ptr<Home> home_;  // owners: all sessions of the home, and the registry of homes
  std::unique_ptr<State> state_;
};

}  // namespace homefs

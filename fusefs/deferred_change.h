// DeferredChange: changes of mode, owner and times of a file that is being written, on their way
// with its data: answered at once, joined with those that follow, and sent in the last WRITE, or
// when the data is at the server; at the latest at close(2). tar, cp -p and rsync make three of
// them a file.
//
// Pure state: it sends nothing itself. Owner: FileData. Executor: whoever holds the state's lock.
// Blocks: never.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "protocol/attributes.h"
#include "protocol/messages.h"

namespace homefs {

class DeferredChange {
 public:
  using Wake = std::move_only_function<void()>;

  /// Whether it may wait: not a change of size, which other operations build on.
  static bool may_defer(const SetattrRequest& change) { return (change.which & kSetSize) == 0; }

  /// Something waits or is under way.
  [[nodiscard]] bool is_pending() const { return waiting_ || sent_; }

  /// Takes a change up, behind those that wait. Precondition: may_defer().
  void join(const SetattrRequest& change);
  /// What is to be sent now, marked as sent; nothing when nothing waits, or one is under way.
  std::optional<SetattrRequest> begin_sending();
  /// What was sent was not made, and is to be sent again. Who waits for it goes on waiting.
  void put_back();
  /// It was answered: whom to wake.
  std::vector<Wake> finish();
  /// `wake` is called when what is under way is answered. False: nothing is, and it is not kept.
  bool when_answered(Wake& wake);

  /// What `attributes` are going to be; `now` for times that the server is to set.
  void apply_to(Attributes& attributes) const;

 private:
  std::optional<SetattrRequest> waiting_;
  std::optional<SetattrRequest> sent_;
  Timestamp changed_at_;  // our clock, at the last join()
  std::vector<Wake> waiters_;
};

}  // namespace homefs

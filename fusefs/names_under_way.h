// NamesUnderWay: the names that the server is being asked about, or that are being changed, and
// what has been heard of each meanwhile.
//
// Answers overtake each other and events. Each says where in history it belongs (its order), but a
// cached folder entry has no room for that; so what is newer is noted here, with the questions that
// it overtakes. There are never more of them than requests that have no answer.
//
// Owner: ClientState. Executor: whoever holds the state's lock. Blocks: never.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/ids.h"

namespace homefs {

class NamesUnderWay {
 public:
  using Ticket = std::uint64_t;

  /// `name` in `folder` is asked about, or is to be changed. end() follows, once.
  Ticket begin(NodeId folder, std::string name);
  /// The answer is here. Returns the greatest order of what was heard of the name since; 0:
  /// nothing. An answer with a lower order says nothing of the name any more.
  std::uint64_t end(Ticket ticket);

  /// What is known of the name from now on was true at `order`.
  void heard(NodeId folder, std::string_view name, std::uint64_t order);
  /// Whatever was known before `order` is void. Calls `visit(folder, name)` with each name.
  template <class Visit>
  void heard_of_all(std::uint64_t order, Visit visit) {
    for (Asked& asked : asked_) {
      asked.heard = std::max(asked.heard, order);
      visit(asked.folder, asked.name);
    }
  }

  /// The same, of what is in `folder`. Returns whether that is anything.
  bool heard_of_all_in(NodeId folder, std::uint64_t order) {
    bool is_any = false;
    for (Asked& asked : asked_) {
      if (asked.folder != folder) continue;
      asked.heard = std::max(asked.heard, order);
      is_any = true;
    }
    return is_any;
  }

  [[nodiscard]] std::size_t size() const { return asked_.size(); }

 private:
  struct Asked {
    Ticket ticket = 0;
    NodeId folder{};
    std::string name;
    std::uint64_t heard = 0;
  };

  std::vector<Asked> asked_;
  Ticket last_ = 0;
};

}  // namespace homefs

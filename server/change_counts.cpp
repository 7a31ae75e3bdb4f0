#include "server/change_counts.h"

#include "protocol/result.h"
#include "server/log.h"

namespace homefs {

void ChangeCounts::add(Op op, Status status) {
  const std::size_t at = static_cast<std::size_t>(op) - kFirst;
  HOMEFS_CHECK(at < rows_.size());  // the sequenced operations have the numbers in between
  Row& row = rows_[at];
  (is_success(status) ? row.done : row.refused).fetch_add(1, std::memory_order_relaxed);
}

void ChangeCounts::log() const {
  std::uint64_t all_done = 0;
  std::uint64_t all_refused = 0;
  for (std::size_t i = 0; i < rows_.size(); ++i) {
    const std::uint64_t done = rows_[i].done;
    const std::uint64_t refused = rows_[i].refused;
    if (done + refused == 0) continue;
    all_done += done;
    all_refused += refused;
    const auto op = static_cast<Op>(kFirst + i);
    log_info("changes", {{"op", name_of(op)}, {"done", done}, {"refused", refused}});
  }
  log_info("changes-in-all", {{"done", all_done}, {"refused", all_refused}});
}

}  // namespace homefs

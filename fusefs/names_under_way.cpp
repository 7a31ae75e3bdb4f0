#include "fusefs/names_under_way.h"

#include <algorithm>
#include <utility>

#include "protocol/result.h"

namespace homefs {

NamesUnderWay::Ticket NamesUnderWay::begin(NodeId folder, std::string name) {
  asked_.push_back({.ticket = ++last_, .folder = folder, .name = std::move(name)});
  return last_;
}

std::uint64_t NamesUnderWay::end(Ticket ticket) {
  const auto found = std::ranges::find(asked_, ticket, &Asked::ticket);
  HOMEFS_CHECK(found != asked_.end());
  const std::uint64_t heard = found->heard;
  if (found != asked_.end() - 1) *found = std::move(asked_.back());
  asked_.pop_back();
  return heard;
}

void NamesUnderWay::heard(NodeId folder, std::string_view name, std::uint64_t order) {
  for (Asked& asked : asked_) {
    if (asked.folder == folder && asked.name == name) asked.heard = std::max(asked.heard, order);
  }
}

}  // namespace homefs

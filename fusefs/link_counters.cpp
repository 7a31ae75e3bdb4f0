#include "fusefs/link_counters.h"

namespace homefs {

void LinkCounters::add_bytes(std::uint64_t in, std::uint64_t out) {
  bytes_in_.fetch_add(in, std::memory_order_relaxed);
  bytes_out_.fetch_add(out, std::memory_order_relaxed);
}

void LinkCounters::note_trouble(std::string text) {
  auto troubles = troubles_.lock();
  troubles->push_back({std::chrono::system_clock::now(), std::move(text)});
  if (troubles->size() > kTroublesMax) troubles->pop_front();
}

std::vector<std::pair<std::string, std::uint64_t>> LinkCounters::calls() const {
  std::vector<std::pair<std::string, std::uint64_t>> called;
  for (std::size_t i = 0; i < kOpsMax; ++i) {
    const std::uint64_t count = calls_[i].load(std::memory_order_relaxed);
    if (count != 0) called.emplace_back(name_of(static_cast<Op>(i)), count);
  }
  return called;
}

std::vector<LinkTrouble> LinkCounters::troubles() {
  const auto troubles = troubles_.lock();
  return {troubles->begin(), troubles->end()};
}

}  // namespace homefs

#include "server/foreign_changes.h"

#include <algorithm>

namespace homefs {
namespace {

enum State : std::uint64_t { kSole = 0, kShared = 1, kLate = 2 };

constexpr int kPlacesPerInode = 4;
constexpr std::uint64_t kBits = ForeignNotes::kWords * 64;

// The finalizer of SplitMix64: every bit of the number moves every bit of the result.
constexpr std::uint64_t mixed(std::uint64_t value) {
  value += 0x9e3779b97f4a7c15ull;
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

struct Place {
  std::size_t word = 0;
  std::uint64_t bit = 0;
  std::size_t from = 0;
};

std::array<Place, kPlacesPerInode> places_of(InodeNumber inode) {
  std::array<Place, kPlacesPerInode> places;
  std::uint64_t hash = static_cast<std::uint64_t>(inode);
  for (Place& place : places) {
    hash = mixed(hash);
    const std::uint64_t bit = hash % kBits;
    place = {.word = bit / 64,
             .bit = std::uint64_t{1} << (bit % 64),
             .from = (hash >> 32) % ForeignNotes::kWords};
  }
  return places;
}

std::uint64_t load(std::uint64_t& word) {
  return std::atomic_ref(word).load(std::memory_order_acquire);
}

void raise_to(std::uint64_t& word, std::uint64_t value) {
  std::atomic_ref shared(word);
  std::uint64_t there = shared.load(std::memory_order_relaxed);
  while (there < value && !shared.compare_exchange_weak(there, value, std::memory_order_release)) {
  }
}

bool is_empty(ForeignNotes& notes) {
  return std::ranges::all_of(notes.changed, [](std::uint64_t& word) { return load(word) == 0; });
}

}  // namespace

bool ForeignChanges::is_late() const { return load(*state_) == kLate; }

void ForeignChanges::begin(std::uint64_t order) {
  if (load(*state_) != kSole) return;
  if (!is_empty(*notes_)) *notes_ = {};  // of the last time; nobody looks at it now
  since_ = order;
  std::atomic_ref(*state_).store(kLate, std::memory_order_release);
}

void ForeignChanges::obey() { std::atomic_ref(*state_).store(kShared, std::memory_order_release); }

void ForeignChanges::be_sole() {
  if (is_late() && !is_empty(*notes_)) return;
  std::atomic_ref(*state_).store(kSole, std::memory_order_release);
}

void ForeignChanges::looked(std::uint64_t order) {
  std::uint64_t last = last_look_.load();
  while (last < order && !last_look_.compare_exchange_weak(last, order)) {
  }
}

bool ForeignChanges::may_know(std::uint64_t made_order) const {
  return made_order <= last_look_.load();
}

void ForeignChanges::note(InodeNumber inode, std::uint64_t from) {
  for (const Place& place : places_of(inode)) raise_to(notes_->from[place.from], ~from);
  for (const Place& place : places_of(inode)) {
    std::atomic_ref(notes_->changed[place.word]).fetch_or(place.bit, std::memory_order_release);
  }
}

bool ForeignChanges::concerns(InodeNumber inode, std::uint64_t end) const {
  std::uint64_t from = 0;
  for (const Place& place : places_of(inode)) {
    if ((load(notes_->changed[place.word]) & place.bit) == 0) return false;
    from = std::max(from, ~load(notes_->from[place.from]));
  }
  return end > from;
}

bool ForeignChanges::is_from_before(std::uint64_t page_order) const {
  return page_order == kUnknownOrder || page_order < since_;
}

void LateSessions::add(std::shared_ptr<ForeignChanges> session) {
  const std::lock_guard lock(mutex_);
  const bool is_there = std::ranges::find(sessions_, session) != sessions_.end();
  if (is_there || !session->is_late()) return;
  sessions_.push_back(std::move(session));
  count_.store(sessions_.size(), std::memory_order_release);
}

void LateSessions::remove(const ForeignChanges& session) {
  const std::lock_guard lock(mutex_);
  std::erase_if(sessions_, [&](const auto& each) { return each.get() == &session; });
  count_.store(sessions_.size(), std::memory_order_release);
}

void LateSessions::note(const ForeignChange& change, const ForeignChanges* own_or_null) {
  if (count_.load(std::memory_order_acquire) == 0) return;
  const std::lock_guard lock(mutex_);
  for (const auto& session : sessions_) {
    if (session.get() == own_or_null || !session->may_know(change.made_order)) continue;
    session->note(change.inode, change.from);
  }
}

}  // namespace homefs

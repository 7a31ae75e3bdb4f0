// The table of locks against the simplest thing that could be right: a letter for each byte, owner
// and file, and a list of who waits.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>

#include "server/lock_table.h"

namespace homefs {
namespace {

constexpr std::size_t kBytes = 12;
constexpr std::size_t kOwners = 4;
constexpr std::size_t kFiles = 2;

class Reference {
 public:
  LockOutcome set(const LockWish& wish, LockGrants& grants) {
    if (wish.type == LockType::kNone) {
      put(wish);
      give(grants);
      return LockOutcome::kGranted;
    }
    if (conflicts(wish) || (wish.waits && has_to_queue(wish, queue_.size()))) {
      if (!wish.waits) return LockOutcome::kWouldBlock;
      if (reaches(wish, owner_of(wish), 0)) return LockOutcome::kDeadlock;
      queue_.push_back(wish);
      return LockOutcome::kQueued;
    }
    put(wish);
    give(grants);
    return LockOutcome::kGranted;
  }

  bool cancel(std::uint64_t session, std::uint64_t id, LockGrants& grants) {
    const auto removed = std::erase_if(queue_, [&](const LockWish& wish) {
      return wish.owner.session == session && wish.id == id;
    });
    give(grants);
    return removed > 0;
  }

  void drop_session(std::uint64_t session, LockGrants& grants) {
    std::erase_if(queue_, [&](const LockWish& wish) { return wish.owner.session == session; });
    for (auto& file : held_) file[session - 1].fill(' ');
    give(grants);
  }

  [[nodiscard]] bool conflicts(const LockWish& wish) const {
    for (std::size_t other = 0; other < kOwners; ++other) {
      if (other != owner_of(wish) && blocks(other, wish)) return true;
    }
    return false;
  }
  [[nodiscard]] const std::vector<LockWish>& queue() const { return queue_; }

 private:
  static std::size_t owner_of(const LockWish& wish) { return wish.owner.session - 1; }
  static std::size_t file_of(const LockWish& wish) { return number_of(wish.file.inode) - 1; }

  [[nodiscard]] bool blocks(std::size_t other, const LockWish& wish) const {
    for (std::size_t byte = wish.range.begin; byte < wish.range.end; ++byte) {
      const char held = held_[file_of(wish)][other][byte];
      if (held == 'x' || (held == 's' && wish.type == LockType::kExclusive)) return true;
    }
    return false;
  }

  [[nodiscard]] bool has_to_queue(const LockWish& wish, std::size_t place) const {
    for (const auto& file : held_) {
      for (const char held : file[owner_of(wish)]) {
        if (held != ' ') return false;
      }
    }
    for (std::size_t i = 0; i < place; ++i) {
      const LockWish& earlier = queue_[i];
      const bool is_shared = earlier.type == LockType::kShared && wish.type == LockType::kShared;
      if (earlier.file == wish.file && earlier.owner != wish.owner && !is_shared &&
          earlier.range.overlaps(wish.range)) {
        return true;
      }
    }
    return false;
  }

  // Whether `target` is among those whom `wish` waits for.
  [[nodiscard]] bool reaches(const LockWish& wish, std::size_t target, std::size_t depth) const {
    if (depth > kOwners) return false;
    for (std::size_t other = 0; other < kOwners; ++other) {
      if (other == owner_of(wish) || !blocks(other, wish)) continue;
      if (other == target) return true;
      for (const LockWish& queued : queue_) {
        if (owner_of(queued) == other && reaches(queued, target, depth + 1)) return true;
      }
    }
    return false;
  }

  void put(const LockWish& wish) {
    const char letter = wish.type == LockType::kNone     ? ' '
                        : wish.type == LockType::kShared ? 's'
                                                         : 'x';
    for (std::size_t byte = wish.range.begin; byte < wish.range.end; ++byte) {
      held_[file_of(wish)][owner_of(wish)][byte] = letter;
    }
  }

  // From the front again after each that was given.
  void give(LockGrants& grants) {
    for (std::size_t i = 0; i < queue_.size(); ++i) {
      const LockWish wish = queue_[i];
      if (conflicts(wish) || has_to_queue(wish, i)) continue;
      queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(i));
      put(wish);
      grants.push_back({wish.owner.session, wish.id});
      i = static_cast<std::size_t>(-1);
    }
  }

  using Bytes = std::array<char, kBytes>;
  std::array<std::array<Bytes, kOwners>, kFiles> held_ = [] {
    std::array<std::array<Bytes, kOwners>, kFiles> none{};
    for (auto& file : none) {
      for (auto& bytes : file) bytes.fill(' ');
    }
    return none;
  }();
  std::vector<LockWish> queue_;
};

bool is_less(const LockGrant& a, const LockGrant& b) {
  return std::pair(a.session, a.id) < std::pair(b.session, b.id);
}

class Comparison {
 public:
  explicit Comparison(unsigned seed) : random_(seed) {}

  void step() {
    LockGrants expected;
    LockGrants got;
    const std::uint64_t session = 1 + random_() % kOwners;
    const unsigned what = random_() % 100;
    if (what < 3) {
      reference_.drop_session(session, expected);
      table_.drop_session(session, got);
    } else if (what < 10 && !reference_.queue().empty()) {
      const LockWish wish = reference_.queue()[random_() % reference_.queue().size()];
      EXPECT_TRUE(reference_.cancel(wish.owner.session, wish.id, expected));
      table_.cancel(wish.owner.session, wish.id, got);
    } else {
      const LockWish wish = random_wish(session);
      if (wish.type != LockType::kNone) {
        ASSERT_EQ(table_.find_conflict(wish).has_value(), reference_.conflicts(wish));
      }
      ASSERT_EQ(table_.set(wish, got), reference_.set(wish, expected));
    }
    // Who waits in different files has no order.
    std::ranges::sort(expected, is_less);
    std::ranges::sort(got, is_less);
    ASSERT_EQ(got, expected);
  }

  void end() {
    LockGrants grants;
    for (std::uint64_t session = 1; session <= kOwners; ++session) {
      table_.drop_session(session, grants);
    }
    EXPECT_EQ(table_.size(), 0u);
  }

 private:
  LockWish random_wish(std::uint64_t session) {
    const std::uint64_t begin = random_() % kBytes;
    LockWish wish{.file = {InodeNumber{1 + random_() % kFiles}, LockKind::kRecord},
                  .owner = {session, 1},
                  .range = {begin, begin + 1 + random_() % (kBytes - begin)}};
    const unsigned type = random_() % 10;
    wish.type = type < 4 ? LockType::kShared : type < 7 ? LockType::kExclusive : LockType::kNone;
    wish.waits = wish.type != LockType::kNone && random_() % 3 == 0;
    if (wish.waits) wish.id = ++last_id_;
    return wish;
  }

  std::mt19937 random_;
  LockTable table_;
  Reference reference_;
  std::uint64_t last_id_ = 0;
};

TEST(LockTableModel, DoesWhatALetterForEachByteDoes) {
  for (unsigned seed = 1; seed <= 300; ++seed) {
    Comparison run(seed);
    for (int i = 0; i < 300 && !::testing::Test::HasFailure(); ++i) run.step();
    run.end();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "seed " << seed;
  }
}

}  // namespace
}  // namespace homefs

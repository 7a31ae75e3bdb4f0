// Histories of several mounts, chosen by seeds: see sim_world.h. By hand:
//
//   HOMEFS_HISTORIES=1000000 model_test --gtest_filter='Interleavings.*'   so many of each kind
//   HOMEFS_SEED=N HOMEFS_HISTORIES=1 model_test ...                          one again, with its
//   story
//   HOMEFS_GROUND=/var/tmp              the home lies there: numbers of inodes come again on ext4
//   HOMEFS_STORY=1                      the story has each request, answer and notice
//   HOMEFS_YIELDS=0                     no change of threads before locks, as under a sanitizer
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "tests/model/sim_world.h"
#include "tests/support/seed.h"

namespace homefs {
namespace {

using test::SimDisk;
using test::SimOptions;
using test::SimWorld;

constexpr unsigned kHistories = 100;

unsigned histories() {
  const char* const text = std::getenv("HOMEFS_HISTORIES");
  return text == nullptr ? kHistories : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
}

// A home in memory where there is some, for many histories: each has a folder of its own.
class Ground {
 public:
  Ground() {
    const bool has_memory = std::filesystem::is_directory("/dev/shm");
    const char* const chosen = std::getenv("HOMEFS_GROUND");
    std::string pattern = chosen != nullptr ? chosen : has_memory ? "/dev/shm" : "/var/tmp";
    pattern += "/homefs-sim-XXXXXX";
    HOMEFS_CHECK(mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
    disk_ = std::make_unique<SimDisk>(path_);
  }
  ~Ground() {
    disk_.reset();
    std::filesystem::remove_all(path_);
  }

  // False: something was violated, and is told.
  bool play(SimOptions options) {
    const std::string folder = fmt::format("h{}", ++count_);
    std::filesystem::create_directories(disk_->home() / folder / "d");
    bool is_right = true;
    {
      SimWorld world(options, *disk_, folder);
      const std::vector<std::string> violations = world.run();
      is_right = violations.empty();
      if (!is_right) tell(options, world, violations);
    }
    std::filesystem::remove_all(disk_->home() / folder);
    return is_right;
  }

 private:
  static void tell(const SimOptions& options, const SimWorld& world,
                   const std::vector<std::string>& violations) {
    std::string story;
    for (const std::string& line : world.history()) story += line + "\n";
    std::cout << story;
    for (const std::string& violation : violations) std::cout << "VIOLATED: " << violation << "\n";
    std::cout << fmt::format("HOMEFS_SEED={} HOMEFS_HISTORIES=1 shows it again", options.seed)
              << std::endl;
  }

  std::filesystem::path path_;
  std::unique_ptr<SimDisk> disk_;
  unsigned count_ = 0;
};

void play(SimOptions options) {
  Ground ground;
  const unsigned first = test::test_seed();
  options.tells_all = std::getenv("HOMEFS_STORY") != nullptr;
  const char* const yields = std::getenv("HOMEFS_YIELDS");
  options.yields = yields == nullptr || std::string_view(yields) != "0";
  for (unsigned i = 0; i < histories(); ++i) {
    options.seed = first + i;
    if (!ground.play(options)) FAIL() << "seed " << options.seed << ", history " << i + 1;
  }
}

TEST(Interleavings, OfOneMount) { play({.mounts = 1, .programs = 3}); }

TEST(Interleavings, OfTwoMounts) { play({.mounts = 2}); }

TEST(Interleavings, OverBreaks) { play({.mounts = 2, .has_breaks = true, .has_bulk = true}); }

TEST(Interleavings, OfMountsThatAreLate) {
  play({.mounts = 2, .has_breaks = true, .has_lateness = true});
}

TEST(Interleavings, OfMountsThatComeAndGo) { play({.mounts = 1, .has_comings = true}); }

TEST(Interleavings, OverLossesOfTheSession) {
  play({.mounts = 2, .has_breaks = true, .has_session_losses = true});
}

TEST(Interleavings, OfLocks) { play({.mounts = 2, .has_locks = true}); }

TEST(Interleavings, OfLocksOverBreaks) {
  play({.mounts = 2, .has_breaks = true, .has_locks = true});
}

TEST(Interleavings, OfLocksThatAreLost) {
  play({.mounts = 2,
        .has_breaks = true,
        .has_lateness = true,
        .has_session_losses = true,
        .has_locks = true});
}

TEST(Interleavings, OverRestarts) {
  play({.mounts = 2, .has_breaks = true, .has_restarts = true, .has_bulk = true});
}

TEST(Interleavings, OfOneMountOverRestarts) {
  play({.mounts = 1, .programs = 3, .has_restarts = true});
}

TEST(Interleavings, OfLocksOverRestarts) {
  play({.mounts = 2, .has_breaks = true, .has_restarts = true, .has_locks = true});
}

}  // namespace
}  // namespace homefs

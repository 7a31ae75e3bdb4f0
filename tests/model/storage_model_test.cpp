// Random operations on a home and on a plain folder: names, attributes, data, errors and the use
// have to agree. HOMEFS_SEED chooses another run.

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "tests/model/storage_model.h"
#include "tests/support/seed.h"

namespace homefs::test {
namespace {

class Storage : public testing::TestWithParam<unsigned> {};

TEST_P(Storage, DoesWhatAPlainFolderDoes) {
  const unsigned seed = test_seed(GetParam());
  SCOPED_TRACE("HOMEFS_SEED=" + std::to_string(seed));
  ::umask(0);  // the reference's system calls would be under it
  StorageModel model(seed, /*descriptors_max=*/seed % 2 == 0 ? 8 : 256);
  constexpr int kSteps = 3000;
  for (int step = 0; step < kSteps && !testing::Test::HasFailure(); ++step) {
    SCOPED_TRACE("step " + std::to_string(step));
    model.step();
    if (step % 300 == 299) model.compare_trees();
    if (step % 1000 == 700) model.kill_and_restart();
  }
  if (!testing::Test::HasFailure()) model.compare_trees();
}

INSTANTIATE_TEST_SUITE_P(Seeds, Storage, testing::Range(1u, 9u));

}  // namespace
}  // namespace homefs::test

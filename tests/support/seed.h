// The seed of a test's random numbers. It is fixed, so that every run decides the same and a
// failure can be repeated; HOMEFS_SEED=N chooses another one, HOMEFS_SEED=random a new one in each
// run.
//
// Executor: any thread. Blocks: never.
#pragma once

namespace homefs::test {

/// `fixed`, or what HOMEFS_SEED says; printed, and worth a SCOPED_TRACE where the test can fail.
unsigned test_seed(unsigned fixed = 1);

}  // namespace homefs::test

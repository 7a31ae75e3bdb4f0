// What a thread allocates, for tests that say that something must not: the operator new of the test
// program is replaced by one that keeps count.
//
// Executor: thread-safe, each thread has its own count. Blocks: never.
#pragma once

#include <cstddef>

namespace homefs::testing {

/// From now on this thread's largest allocation is counted anew.
void forget_allocations();

/// Bytes of the largest allocation of this thread since then.
std::size_t largest_allocation();

}  // namespace homefs::testing

// In a file of its own: where a compiler sees these bodies and inlines one of a pair, it takes the
// other for a mistake.
#include "tests/support/protocol/allocations.h"

#include <algorithm>
#include <cstdlib>
#include <new>

namespace homefs::testing {
namespace {

thread_local std::size_t largest = 0;

void* counted(std::size_t bytes) {
  largest = std::max(largest, bytes);
  return std::malloc(bytes == 0 ? 1 : bytes);
}

}  // namespace

void forget_allocations() { largest = 0; }

std::size_t largest_allocation() { return largest; }

}  // namespace homefs::testing

void* operator new(std::size_t bytes) {
  if (void* memory = homefs::testing::counted(bytes)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return homefs::testing::counted(bytes);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { std::free(memory); }

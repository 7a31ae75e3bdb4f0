#include "tests/support/seed.h"

#include <cstdio>
#include <cstdlib>
#include <random>
#include <string_view>

namespace homefs::test {

unsigned test_seed(unsigned fixed) {
  unsigned seed = fixed;
  if (const char* given = std::getenv("HOMEFS_SEED"); given != nullptr && *given != '\0') {
    seed = std::string_view(given) == "random"
               ? std::random_device{}()
               : static_cast<unsigned>(std::strtoul(given, nullptr, 10));
  }
  std::printf("HOMEFS_SEED=%u\n", seed);
  std::fflush(stdout);  // also when the test ends by an abort
  return seed;
}

}  // namespace homefs::test

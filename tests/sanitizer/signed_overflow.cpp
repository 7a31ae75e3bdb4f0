// Adds past the largest int. Must be caught by UndefinedBehaviorSanitizer.
#include <limits>

int main(int argc, char**) {
  volatile int largest = std::numeric_limits<int>::max();
  volatile int sum = largest + argc;
  return sum == 0 ? 1 : 0;
}

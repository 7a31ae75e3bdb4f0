// Two threads change a number without a lock. Must be caught by ThreadSanitizer.
#include <thread>

namespace {
int counter = 0;
void count() {
  for (int i = 0; i < 100'000; ++i) ++counter;
}
}  // namespace

int main() {
  std::thread first(count);
  std::thread second(count);
  first.join();
  second.join();
  return counter == 0 ? 1 : 0;
}

// Forgets memory. Must be caught by LeakSanitizer.
#include <cstdlib>

namespace {
void* volatile forgotten;
}

int main() {
  forgotten = std::malloc(64);
  forgotten = nullptr;
  return 0;
}

#include "tests/model/sim_fibers.h"

#include <ucontext.h>

#include <cstdint>
#include <utility>

namespace homefs::test {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kYields = false;
#else
constexpr bool kYields = true;
#endif

constexpr std::size_t kStackBytes = 512 * 1024;

}  // namespace

struct Fibers::Fiber {
  ucontext_t own{};
  ucontext_t caller{};
  std::vector<std::byte> stack;
  Work work;
  bool is_over = false;
};

namespace {

// makecontext() passes integers only.
template <class Fiber>
void enter(unsigned high, unsigned low) {
  const auto bits = (static_cast<std::uintptr_t>(high) << 32) | low;
  auto* const fiber = reinterpret_cast<Fiber*>(bits);  // NOLINT(performance-no-int-to-ptr)
  while (true) {
    fiber->work();
    fiber->work = nullptr;
    fiber->is_over = true;
    swapcontext(&fiber->own, &fiber->caller);
  }
}

}  // namespace

// By itself: what stands beside a call of getcontext() the compiler holds for lost.
void Fibers::prepare(Fiber& fiber) {
  getcontext(&fiber.own);
  fiber.own.uc_stack.ss_sp = fiber.stack.data();
  fiber.own.uc_stack.ss_size = fiber.stack.size();
  const auto bits = reinterpret_cast<std::uintptr_t>(&fiber);
  makecontext(&fiber.own, reinterpret_cast<void (*)()>(&enter<Fiber>), 2,
              static_cast<unsigned>(bits >> 32), static_cast<unsigned>(bits));
}

Fibers::Fibers() = default;
Fibers::~Fibers() = default;

void Fibers::start(Work work) {
  if (!kYields || running_ != nullptr) return work();
  std::unique_ptr<Fiber> fiber;
  if (free_.empty()) {
    fiber = std::make_unique<Fiber>();
    fiber->stack.resize(kStackBytes);
    prepare(*fiber);
  } else {
    fiber = std::move(free_.back());
    free_.pop_back();
  }
  fiber->work = std::move(work);
  fiber->is_over = false;
  run(std::move(fiber));
}

void Fibers::resume(std::size_t place) {
  const auto found = yielded_.begin() + static_cast<std::ptrdiff_t>(place);
  std::unique_ptr<Fiber> fiber = std::move(*found);
  yielded_.erase(found);
  run(std::move(fiber));
}

void Fibers::run(std::unique_ptr<Fiber> fiber) {
  running_ = fiber.get();
  swapcontext(&fiber->caller, &fiber->own);
  running_ = nullptr;
  auto& list = fiber->is_over ? free_ : yielded_;
  list.push_back(std::move(fiber));
}

void Fibers::yield() {
  Fiber* const self = running_;
  if (self == nullptr) return;
  swapcontext(&self->own, &self->caller);
}

}  // namespace homefs::test

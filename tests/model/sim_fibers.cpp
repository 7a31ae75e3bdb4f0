#include "tests/model/sim_fibers.h"

#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
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

// It goes round: when its work is over it waits for the next.
struct Fibers::Fiber {
  Fiber()
      : own(std::allocator_arg, boost::context::fixedsize_stack(kStackBytes),
            [this](boost::context::fiber&& first) { return go_round(std::move(first)); }) {}

  boost::context::fiber go_round(boost::context::fiber&& first) {
    caller = std::move(first);
    while (work) {
      work();
      work = nullptr;
      is_over = true;
      leave();
    }
    return std::move(caller);
  }
  void enter() { own = std::move(own).resume(); }
  void leave() { caller = std::move(caller).resume(); }

  boost::context::fiber own;     // where it goes on
  boost::context::fiber caller;  // where who has entered it goes on
  Work work;
  bool is_over = false;
};

Fibers::Fibers() = default;

Fibers::~Fibers() {
  for (const auto& fiber : free_) fiber->enter();  // without work: it ends
}

void Fibers::start(Work work) {
  if (!kYields || running_ != nullptr) return work();
  std::unique_ptr<Fiber> fiber;
  if (free_.empty()) {
    fiber = std::make_unique<Fiber>();
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
  fiber->enter();
  running_ = nullptr;
  auto& list = fiber->is_over ? free_ : yielded_;
  list.push_back(std::move(fiber));
}

void Fibers::yield() {
  if (running_ != nullptr) running_->leave();
}

}  // namespace homefs::test

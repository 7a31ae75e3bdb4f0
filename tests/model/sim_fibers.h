// Fibers: threads of a simulation. One runs at a time, until it ends or yields; who goes on is
// decided by the caller. Where a sanitizer follows the stack they do not yield.
//
// Owner: the simulation. Executor: its thread. Blocks: never.
#pragma once

#include <functional>
#include <memory>
#include <vector>

namespace homefs::test {

class Fibers {
 public:
  using Work = std::move_only_function<void()>;

  Fibers();
  ~Fibers();
  Fibers(const Fibers&) = delete;
  Fibers& operator=(const Fibers&) = delete;

  /// Runs `work` until it ends or yields.
  void start(Work work);
  /// The same for one that has yielded.
  void resume(std::size_t place);
  [[nodiscard]] std::size_t yielded() const { return yielded_.size(); }
  [[nodiscard]] bool is_inside() const { return running_ != nullptr; }
  /// Lets another one run; called from inside of one.
  void yield();

 private:
  struct Fiber;
  void run(std::unique_ptr<Fiber> fiber);

  std::vector<std::unique_ptr<Fiber>> yielded_;
  std::vector<std::unique_ptr<Fiber>> free_;
  Fiber* running_ = nullptr;
};

}  // namespace homefs::test

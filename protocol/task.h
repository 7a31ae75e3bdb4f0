// Task<T>: a coroutine that is awaited by its one caller, or spawned. It has no executor: it goes
// on in the thread that completes what it awaits (a reader of requests, or the net thread that
// received an answer), so an answer reaches the kernel without a change of thread. asio::awaitable
// would bind each of them to an executor and cost a post a hop.
//
// Rules (g++ 12 destroys captured temporaries twice otherwise): coroutines are named functions,
// their parameters values (or references that outlive them), and a co_await stands alone or on the
// right of one assignment.
//
// Executor: see above. Blocks: never.
#pragma once

#include <atomic>
#include <condition_variable>
#include <coroutine>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

#include "protocol/result.h"

namespace homefs {

template <class T = void>
class Task;

namespace detail {

struct TaskPromiseBase {
  std::coroutine_handle<> caller = std::noop_coroutine();

  struct FinalAwaiter {
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    template <class Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> done) noexcept {
      return done.promise().caller;
    }
    void await_resume() const noexcept {}
  };

  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  // An exception that reaches here is our bug (or out of memory): errors are values.
  [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
};

template <class T>
struct TaskPromise : TaskPromiseBase {
  std::optional<T> value;

  Task<T> get_return_object();
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
  T take() { return std::move(*value); }
};

template <>
struct TaskPromise<void> : TaskPromiseBase {
  Task<void> get_return_object();
  void return_void() {}
  void take() {}
};

}  // namespace detail

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::TaskPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (handle_) handle_.destroy();
  }

  struct Awaiter {
    Handle handle;
    [[nodiscard]] bool await_ready() const noexcept { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) noexcept {
      handle.promise().caller = caller;
      return handle;
    }
    T await_resume() { return handle.promise().take(); }
  };
  /// Runs the task; the caller goes on when it has returned.
  Awaiter operator co_await() && noexcept { return Awaiter{handle_}; }

 private:
  Handle handle_;
};

namespace detail {

template <class T>
Task<T> TaskPromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<TaskPromise>::from_promise(*this));
}

// Frees itself at its end.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    [[noreturn]] void unhandled_exception() noexcept { std::terminate(); }
  };
};

}  // namespace detail

/// Counts what was spawned, so that an owner can wait for all of it before it goes away.
/// Thread-safe. wait_idle() blocks: only a thread that runs no task may call it.
class TaskGroup {
 public:
  TaskGroup() = default;
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  ~TaskGroup() { HOMEFS_CHECK(running_ == 0); }

  /// Starts `task` in this thread; it runs until it first waits.
  void spawn(Task<void> task) {
    enter();
    run(this, std::move(task));
  }
  /// Returns when nothing that was spawned is still running.
  void wait_idle() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return running_ == 0; });
  }

 private:
  void enter() {
    const std::lock_guard lock(mutex_);
    ++running_;
  }
  void leave() {
    // Notified under the lock: the waiter may destroy the group as soon as it has it.
    const std::lock_guard lock(mutex_);
    if (--running_ == 0) idle_.notify_all();
  }
  static detail::Detached run(TaskGroup* group, Task<void> task) {
    co_await std::move(task);
    group->leave();
  }

  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t running_ = 0;  // guarded by mutex_
};

/// Waits for a value that a callback brings: `co_await Completion<T>(start)`, where start is given
/// the function to call exactly once, from any thread, also before it returns.
template <class T>
class Completion {
 public:
  using Done = std::move_only_function<void(T)>;
  using Start = std::move_only_function<void(Done)>;

  explicit Completion(Start start) : start_(std::move(start)) {}

  [[nodiscard]] bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiting) {
    // The callback may run, resume the coroutine and destroy this object before start_ returns:
    // whoever comes second (the callback or the end of this function) resumes it.
    waiting_ = waiting;
    Start start = std::move(start_);
    start([this](T value) {
      value_.emplace(std::move(value));
      if (is_second_.exchange(true, std::memory_order_acq_rel)) waiting_.resume();
    });
    return !is_second_.exchange(true, std::memory_order_acq_rel);
  }
  T await_resume() { return std::move(*value_); }

 private:
  Start start_;
  std::coroutine_handle<> waiting_;
  std::optional<T> value_;
  std::atomic<bool> is_second_{false};
};

}  // namespace homefs

// Guarded<T>: a value that cannot be reached without its lock.
//
// The lock is a leaf: while it is held nothing is called that locks, waits, does I/O, hashes or
// copies payload, and no co_await. Executor: thread-safe. Blocks: for microseconds.
#pragma once

#include <mutex>
#include <utility>

namespace homefs {

#ifdef HOMEFS_FAULTS
/// Called before a lock is taken, where a test lets another thread of its simulation go first.
inline thread_local void (*before_guarded_lock)() = nullptr;
#endif

template <class T>
class Guarded {
 public:
  class Access {
   public:
    Access(T& value, std::mutex& mutex) : lock_(mutex), value_(&value) {}
    T* operator->() const { return value_; }
    T& operator*() const { return *value_; }
    /// Gives the lock back early; the value must not be touched afterwards.
    void unlock() { lock_.unlock(); }

   private:
    std::unique_lock<std::mutex> lock_;
    T* value_;
  };

  template <class... Arguments>
  explicit Guarded(Arguments&&... arguments) : value_(std::forward<Arguments>(arguments)...) {}
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  /// The value, for as long as the Access lives.
  [[nodiscard]] Access lock() {
#ifdef HOMEFS_FAULTS
    if (before_guarded_lock != nullptr) before_guarded_lock();
#endif
    return Access(value_, mutex_);
  }

 private:
  std::mutex mutex_;
  T value_;
};

}  // namespace homefs

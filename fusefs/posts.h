// Posts: the functions of one object that wait for the io threads, or run there. The object is not
// gone before they are.
//
// Owner: the object. Executor: thread-safe. Blocks: wait_idle(), until all have run; nothing else.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "protocol/result.h"

namespace homefs {

class Posts {
 public:
  /// Runs a function later, on an io thread. Thread-safe, never runs it at once.
  using Post = std::function<void(std::move_only_function<void()>)>;

  explicit Posts(Post post) : post_(std::move(post)) {}
  ~Posts() { HOMEFS_CHECK(count_ == 0); }
  Posts(const Posts&) = delete;
  Posts& operator=(const Posts&) = delete;

  void operator()(std::move_only_function<void()> work) {
    // Also of one that is never run: io threads that end drop what they have.
    post_([counted = std::make_unique<Counted>(*this), work = std::move(work)]() mutable {
      work();
      work = nullptr;  // what it holds goes before the object may
      counted.reset();
    });
  }
  /// Only a thread that runs none of them may call it.
  void wait_idle() {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return count_ == 0; });
  }

 private:
  class Counted {
   public:
    explicit Counted(Posts& posts) : posts_(posts) {
      const std::lock_guard lock(posts_.mutex_);
      ++posts_.count_;
    }
    ~Counted() {
      // Notified under the lock: who waits may destroy the object as soon as it has it.
      const std::lock_guard lock(posts_.mutex_);
      if (--posts_.count_ == 0) posts_.idle_.notify_all();
    }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;

   private:
    Posts& posts_;
  };

  const Post post_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t count_ = 0;  // guarded by mutex_
};

}  // namespace homefs

// DirectLink: the client core on the server's file side, without a network in between. Requests in
// sequence are applied by one thread in their order; all others by several, which answer them in
// any order.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <vector>

#include "fusefs/link.h"
#include "server/session_home.h"

namespace homefs {

class DirectLink final : public Link {
 public:
  explicit DirectLink(SessionHome& server);
  ~DirectLink() override;

  void attach(IntroductionSource& introductions) { introductions_ = &introductions; }
  /// Runs `work` on one of the threads, as the io threads of a mount do.
  void post(std::move_only_function<void()> work);

  std::uint64_t send(Call call, Done done) override;
  void interrupt(std::uint64_t) override {}
  void note_damaged_block(NodeId, std::uint64_t, int) override {}

  /// How many requests of each kind were made, by Op's number.
  std::array<std::atomic<int>, 128> counts{};

 private:
  class Queue {
   public:
    explicit Queue(int threads);
    ~Queue();
    void push(std::move_only_function<void()> work);

   private:
    void run(const std::stop_token& stop);
    std::mutex mutex_;
    std::condition_variable_any ready_;
    std::deque<std::move_only_function<void()>> work_;
    std::vector<std::jthread> threads_;
  };
  void serve(Call call, Done done, int attempt);

  SessionHome& server_;
  IntroductionSource* introductions_ = nullptr;
  Queue ordered_{1};
  Queue unordered_{3};
};

}  // namespace homefs

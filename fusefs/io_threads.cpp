#include "fusefs/io_threads.h"

#include <pthread.h>

#include <csignal>

namespace homefs {
namespace {

// Signals are for the main thread: a handler that runs here could interrupt anything.
void block_signals() {
  sigset_t all;
  sigfillset(&all);
  (void)::pthread_sigmask(SIG_SETMASK, &all, nullptr);  // fails only for a bad `how`
}

}  // namespace

IoThreads::IoThreads(unsigned count)
    : context_(static_cast<int>(count)), work_(context_.get_executor()) {
  for (unsigned i = 0; i < count; ++i) {
    threads_.emplace_back([this] {
      block_signals();
      (void)::pthread_setname_np(::pthread_self(), "homefs-io");  // a name is a comfort, no more
      context_.run();
    });
  }
}

IoThreads::~IoThreads() {
  work_.reset();
  for (std::thread& thread : threads_) thread.join();
}

}  // namespace homefs

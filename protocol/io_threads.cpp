#include "protocol/io_threads.h"

#include <pthread.h>

#include <csignal>
#include <string>

namespace homefs {

IoThreads::IoThreads(Counts counts)
    : io_count_(counts.io),
      poller_(std::make_shared<Poller>(counts.net)),
      context_(static_cast<int>(counts.io)),
      work_(context_.get_executor()) {}

IoThreads::~IoThreads() {
  work_.reset();
  threads_.clear();  // joins
  stop();
}

void IoThreads::start() {
  poller_->start();
  for (std::size_t i = 0; i < io_count_; ++i) {
    threads_.emplace_back([this, i] {
      begin_thread("io-" + std::to_string(i));
      context_.run();
    });
  }
}

void IoThreads::stop() {
  work_.reset();
  context_.stop();
  threads_.clear();
  poller_->stop();
}

}  // namespace homefs

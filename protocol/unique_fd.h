// A file descriptor with one owner.
//
// Owner: whoever holds it. Executor: one thread at a time. Blocks: close() may, on files.
#pragma once

#include <unistd.h>

#include <utility>

namespace homefs {

class UniqueFd {
 public:
  UniqueFd() = default;
  /// Takes the descriptor; -1 is "none".
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { reset(); }
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  explicit operator bool() const { return is_open(); }
  /// Gives the descriptor away, unclosed.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1) {
    // EINTR and EIO of close: the descriptor is gone either way on Linux.
    if (fd_ >= 0) (void)::close(fd_);
    fd_ = fd;
  }

 private:
  int fd_ = -1;
};

}  // namespace homefs

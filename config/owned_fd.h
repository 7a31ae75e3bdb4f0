// A file descriptor with one owner, closed when the owner goes.
//
// Executor: a value, movable. Blocks: closing may, on a network file system.
#pragma once

#include <unistd.h>

#include <utility>

namespace homefs {

class OwnedFd {
 public:
  OwnedFd() = default;
  /// Takes over `fd`; a negative number is "none".
  explicit OwnedFd(int fd) : fd_(fd) {}
  OwnedFd(OwnedFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  OwnedFd& operator=(OwnedFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  OwnedFd(const OwnedFd&) = delete;
  OwnedFd& operator=(const OwnedFd&) = delete;
  ~OwnedFd() {
    if (fd_ >= 0) ::close(fd_);
  }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace homefs

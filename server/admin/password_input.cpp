#include "server/admin/password_input.h"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <string_view>

#include "protocol/scram_crypto.h"
#include "protocol/unique_fd.h"

namespace homefs {
namespace {

// Switches the terminal's echo off, and on again however it ends.
class SilentTerminal {
 public:
  explicit SilentTerminal(int fd) : fd_(fd) {
    if (::tcgetattr(fd_, &before_) != 0) return;
    termios silent = before_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    is_changed_ = ::tcsetattr(fd_, TCSAFLUSH, &silent) == 0;
  }
  ~SilentTerminal() {
    if (is_changed_) (void)::tcsetattr(fd_, TCSAFLUSH, &before_);  // nothing else can be done
  }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;

 private:
  const int fd_;
  termios before_{};
  bool is_changed_ = false;
};

void say(int fd, std::string_view text) {
  (void)!::write(fd, text.data(), text.size());  // a terminal that is gone is noticed at the read
}

// Byte by byte: what follows the line is left for whoever reads next.
Result<std::string> read_line(int fd) {
  std::string line;
  for (char byte = 0; line.size() <= kPasswordBytesMax;) {
    const ssize_t count = ::read(fd, &byte, 1);
    if (count < 0) return fail(Status::kInvalid, "cannot read the password");
    if (count == 0 || byte == '\n') return line;
    line += byte;
  }
  return fail(Status::kInvalid, "the password is too long");
}

Result<std::string> ask(int terminal, std::string_view question) {
  say(terminal, question);
  Result<std::string> answer = read_line(terminal);
  say(terminal, "\n");
  return answer;
}

Result<std::string> ask_twice() {
  const UniqueFd terminal(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!terminal) {
    return fail(Status::kInvalid, "no terminal to ask for the password: use --password-stdin");
  }
  const SilentTerminal silent(terminal.get());
  Result<std::string> first = ask(terminal.get(), "New password: ");
  if (!first) return first;
  const Result<std::string> second = ask(terminal.get(), "The same again: ");
  if (!second) return second;
  if (*first != *second) return fail(Status::kInvalid, "the two passwords differ: try again");
  return first;
}

}  // namespace

Result<std::string> read_new_password(bool from_stdin) {
  Result<std::string> password = from_stdin ? read_line(STDIN_FILENO) : ask_twice();
  if (!password) return password;
  if (Result<void> usable = check_password(*password); !usable) {
    return std::unexpected(usable.error());
  }
  return password;
}

}  // namespace homefs

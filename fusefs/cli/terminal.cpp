#include "fusefs/cli/terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "protocol/unique_fd.h"

namespace homefs {
namespace {

constexpr std::size_t kAnswerBytesMax = 4096;

// Reads to the end of the line, which is not part of the answer.
Result<std::string> read_line(int terminal) {
  std::string line;
  for (char c = 0; line.size() < kAnswerBytesMax;) {
    const ssize_t count = ::read(terminal, &c, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return fail(Status::kInterrupted, "no answer was given");
    if (c == '\n') return line;
    line += c;
  }
  return fail(Status::kInvalid, "the answer is too long");
}

void say(int terminal, std::string_view text) {
  (void)!::write(terminal, text.data(), text.size());  // who does not see it cannot answer either
}

// No echo while it lives. The signals that would leave the terminal silent wait until it is gone.
class Silence {
 public:
  explicit Silence(int terminal) : terminal_(terminal) {
    sigset_t ending;
    sigemptyset(&ending);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGQUIT}) sigaddset(&ending, signal);
    (void)::sigprocmask(SIG_BLOCK, &ending, &before_);
    is_terminal_ = ::tcgetattr(terminal_, &modes_) == 0;
    if (!is_terminal_) return;
    termios silent = modes_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    silent.c_lflag |= ECHONL;
    // Ctrl-C becomes the end of the input: the signal would wait for it anyway.
    silent.c_lflag &= ~static_cast<tcflag_t>(ISIG);
    silent.c_cc[VEOF] = silent.c_cc[VINTR];
    (void)::tcsetattr(terminal_, TCSAFLUSH, &silent);
  }
  ~Silence() {
    if (is_terminal_) (void)::tcsetattr(terminal_, TCSAFLUSH, &modes_);
    (void)::sigprocmask(SIG_SETMASK, &before_, nullptr);
  }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

 private:
  const int terminal_;
  termios modes_{};
  sigset_t before_{};
  bool is_terminal_ = false;
};

Result<UniqueFd> open_terminal() {
  UniqueFd terminal(::open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal) return fail(Status::kNotSupported, "there is no terminal to ask on");
  return terminal;
}

}  // namespace

void print_error(std::string_view text) {
  std::string line = "homefs: ";
  for (const char c : text) {
    const bool is_control = static_cast<unsigned char>(c) < ' ' || c == 0x7f;
    line += is_control ? ' ' : c;
  }
  line += '\n';
  (void)!::write(STDERR_FILENO, line.data(), line.size());  // nowhere else to say it
}

std::string text_for_person(const Error& error) {
  switch (error.status) {
    case Status::kInvalid:
    case Status::kConfigError:
    case Status::kDisconnected:
    case Status::kNotLoggedIn:
    case Status::kBusy:
      // Their own text is a whole sentence; the status would only repeat it in other words.
      if (!error.context.empty()) return error.context;
      break;
    default:
      break;
  }
  return error.message();
}

bool has_terminal() { return open_terminal().has_value(); }

Result<std::string> ask_password(const std::string& prompt) {
  const auto terminal = open_terminal();
  if (!terminal) return std::unexpected(terminal.error());
  const Silence silence(terminal->get());
  say(terminal->get(), prompt);
  return read_line(terminal->get());
}

Result<bool> ask_yes_no(const std::string& question) {
  const auto terminal = open_terminal();
  if (!terminal) return std::unexpected(terminal.error());
  say(terminal->get(), question);
  for (;;) {
    say(terminal->get(), " (yes/no) ");
    const auto answer = read_line(terminal->get());
    if (!answer) return std::unexpected(answer.error());
    if (*answer == "yes") return true;
    if (*answer == "no") return false;
    say(terminal->get(), "Please type yes or no:");
  }
}

int terminal_columns(int fd) {
  winsize size{};
  constexpr int kUnknown = 80;
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUnknown;
  return size.ws_col;
}

std::size_t terminal_rows(int fd) {
  winsize size{};
  constexpr std::size_t kUnknown = 24;
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return kUnknown;
  return size.ws_row;
}

}  // namespace homefs

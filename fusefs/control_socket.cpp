#include "fusefs/control_socket.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>

namespace homefs {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kQuestionBytesMax = 4096;
constexpr std::size_t kAnswerBytesMax = std::size_t{1024} * 1024;

Result<sockaddr_un> address_of(const std::filesystem::path& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.native().size() >= sizeof address.sun_path) {
    return fail(Status::kNameTooLong, path.string());
  }
  std::memcpy(address.sun_path, path.c_str(), path.native().size() + 1);
  return address;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

Result<> wait_ready(int fd, short events) {
  pollfd wait{fd, events, 0};
  const auto deadline = std::chrono::milliseconds(kControlDeadline).count();
  const int ready = ::poll(&wait, 1, static_cast<int>(deadline));
  if (ready < 0) return fail_errno(errno, "poll");
  if (ready == 0) return fail(Status::kTimedOut, "the mount's daemon does not answer");
  return {};
}

Result<std::string> read_line(int fd, std::size_t bytes_max) {
  std::string line;
  char buffer[4096];
  while (line.size() <= bytes_max) {
    if (const Result<> ready = wait_ready(fd, POLLIN); !ready)
      return std::unexpected(ready.error());
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "read");
    if (count == 0) return fail(Status::kDisconnected, "the mount's daemon has hung up");
    line.append(buffer, static_cast<std::size_t>(count));
    const std::size_t end = line.find('\n');
    if (end != line.npos) return line.substr(0, end);
  }
  return fail(Status::kProtocolError, "the line is too long");
}

Result<> write_line(int fd, const Json& json) {
  const std::string line = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  std::string_view rest = line;
  while (!rest.empty()) {
    if (const Result<> ready = wait_ready(fd, POLLOUT); !ready) return ready;
    const ssize_t count = ::send(fd, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(errno, "send");
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  return {};
}

Result<UniqueFd> connect_to(const std::filesystem::path& path) {
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return fail_errno(errno, "socket");
  if (::connect(fd.get(), generic(*address), sizeof *address) != 0) {
    if (errno == ENOENT) return fail(Status::kNoSuchFile, path.string());
    return fail(Status::kDisconnected, path.string() + ": " + std::strerror(errno));
  }
  return fd;
}

}  // namespace

Result<std::unique_ptr<ControlSocket>> ControlSocket::listen(std::filesystem::path path) {
  const auto address = address_of(path);
  if (!address) return std::unexpected(address.error());
  if (connect_to(path)) return fail(Status::kBusy, path.string() + ": a daemon answers there");
  UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!listener) return fail_errno(errno, "socket");
  (void)::unlink(path.c_str());  // what a killed daemon has left, or nothing
  constexpr int kBacklog = 8;
  if (::bind(listener.get(), generic(*address), sizeof *address) != 0 ||
      ::listen(listener.get(), kBacklog) != 0) {
    return fail_errno(errno, path.string());
  }
  return std::unique_ptr<ControlSocket>(new ControlSocket(std::move(path), std::move(listener)));
}

ControlSocket::ControlSocket(std::filesystem::path path, UniqueFd listener)
    : path_(std::move(path)), listener_(std::move(listener)), thread_([this] { run(); }) {}

ControlSocket::~ControlSocket() {
  stopping_.set();
  thread_.join();
  (void)::unlink(path_.c_str());  // the next daemon would replace it anyway
}

void ControlSocket::add_status(std::string section, StatusOf status_of) {
  const std::lock_guard lock(mutex_);
  providers_.emplace_back(std::move(section), std::move(status_of));
}

void ControlSocket::remove_status(const std::string& section) {
  const std::lock_guard lock(mutex_);
  std::erase_if(providers_, [&](const auto& provider) { return provider.first == section; });
}

void ControlSocket::on_connect(std::function<void()> connect) {
  const std::lock_guard lock(mutex_);
  connect_ = std::move(connect);
}

void ControlSocket::run() {
  sigset_t all;
  sigfillset(&all);
  (void)::pthread_sigmask(SIG_SETMASK, &all, nullptr);             // fails only for a bad `how`
  (void)::pthread_setname_np(::pthread_self(), "homefs-control");  // a name is a comfort, no more
  for (;;) {
    pollfd waits[2] = {{listener_.get(), POLLIN, 0}, {stopping_.fd(), POLLIN, 0}};
    (void)::poll(waits, 2, -1);  // EINTR: looks again
    if (waits[1].revents != 0) return;
    if (waits[0].revents == 0) continue;
    const UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection) serve(connection.get());
  }
}

void ControlSocket::serve(int connection) {
  const auto question = read_line(connection, kQuestionBytesMax);
  if (!question) return;
  (void)write_line(connection, answer(*question));  // who has hung up does not want it
}

Json ControlSocket::answer(const std::string& question) {
  const Json json = Json::parse(question, nullptr, /*allow_exceptions=*/false);
  const Json ask = json.is_object() ? json.value("ask", Json()) : Json();
  Json status = Json::object();
  const std::lock_guard lock(mutex_);
  if (ask == "connect") {
    if (connect_) connect_();
    return status;
  }
  if (ask != "status") return {{"error", "unknown question"}};
  for (const auto& [section, status_of] : providers_) status[section] = status_of();
  return status;
}

Result<Json> ask_control(const std::filesystem::path& path, const Json& question) {
  const auto connection = connect_to(path);
  if (!connection) return std::unexpected(connection.error());
  if (const auto asked = write_line(connection->get(), question); !asked) {
    return std::unexpected(asked.error());
  }
  const auto line = read_line(connection->get(), kAnswerBytesMax);
  if (!line) return std::unexpected(line.error());
  Json answer = Json::parse(*line, nullptr, /*allow_exceptions=*/false);
  if (!answer.is_object()) return fail(Status::kProtocolError, "an answer that is none");
  return answer;
}

}  // namespace homefs

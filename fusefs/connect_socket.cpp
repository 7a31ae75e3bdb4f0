#include "fusefs/connect_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace homefs {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

struct Address {
  sockaddr_storage bytes{};
  socklen_t length = 0;
};

// getaddrinfo can hang for the resolver's whole patience (30 s and more) and cannot be broken. It
// runs in a thread of its own, which outlives a caller that does not want to wait any longer.
struct Resolution {
  std::mutex mutex;
  UniqueFd done{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  int error = 0;                   // guarded by mutex: of getaddrinfo
  std::vector<Address> addresses;  // guarded by mutex
};

void resolve(const std::string& host, std::uint16_t port, Resolution& resolution) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* list = nullptr;
  int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  if (error == EAI_ADDRFAMILY || error == EAI_NONAME) {
    // AI_ADDRCONFIG hides loopback addresses on a machine without a network.
    hints.ai_flags = 0;
    error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  }
  {
    const std::lock_guard lock(resolution.mutex);
    resolution.error = error;
    for (const addrinfo* each = list; error == 0 && each != nullptr; each = each->ai_next) {
      Address address;
      if (each->ai_addrlen > sizeof address.bytes) continue;
      std::memcpy(&address.bytes, each->ai_addr, each->ai_addrlen);
      address.length = each->ai_addrlen;
      resolution.addresses.push_back(address);
    }
  }
  if (list != nullptr) ::freeaddrinfo(list);
  (void)::eventfd_write(resolution.done.get(), 1);  // cannot fail: the counter is 0
}

// Waits for `events` on `fd`. kTimedOut, kInterrupted.
Result<> wait_for(int fd, short events, Clock::time_point deadline, const BreakSignal& broken) {
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return fail(Status::kTimedOut);
    pollfd waits[2] = {{fd, events, 0}, {broken.fd(), POLLIN, 0}};
    const int ready =
        ::poll(waits, 2, static_cast<int>(std::min<std::int64_t>(left.count(), 60000)));
    if (ready < 0 && errno != EINTR) return fail_errno(errno, "poll");
    if (waits[1].revents != 0) return fail(Status::kInterrupted, "the attempt was broken off");
    if (ready > 0 && waits[0].revents != 0) return {};
  }
}

Result<std::vector<Address>> resolve_until(const ConnectTarget& target, Clock::time_point deadline,
                                           const BreakSignal& broken) {
  // Owners: this call, and the thread, which may end later.
  const auto resolution = std::make_shared<Resolution>();
  std::thread([host = target.host, port = target.port, resolution] {
    resolve(host, port, *resolution);
  }).detach();
  const Result<> waited = wait_for(resolution->done.get(), POLLIN, deadline, broken);
  if (!waited && waited.error().status == Status::kInterrupted)
    return std::unexpected(waited.error());
  if (!waited) return fail(Status::kDisconnected, "find " + target.host + ": no answer in time");
  const std::lock_guard lock(resolution->mutex);
  if (resolution->error != 0) {
    return fail(Status::kDisconnected,
                "find " + target.host + ": " + ::gai_strerror(resolution->error));
  }
  return std::move(resolution->addresses);
}

void set_options(int fd, milliseconds dead_peer_after) {
  // Best effort: without them the link is slower or notices a dead peer later.
  const int on = 1;
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  (void)::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  const auto timeout = static_cast<unsigned>(dead_peer_after.count());
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof timeout);
}

Result<UniqueFd> connect_one(const Address& address, Clock::time_point deadline,
                             milliseconds dead_peer_after, const BreakSignal& broken) {
  UniqueFd fd(::socket(address.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail_errno(errno, "socket");
  set_options(fd.get(), dead_peer_after);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address.bytes);
  if (::connect(fd.get(), generic, address.length) == 0) return fd;
  if (errno != EINPROGRESS) return fail(Status::kDisconnected, std::strerror(errno));
  if (const Result<> waited = wait_for(fd.get(), POLLOUT, deadline, broken); !waited) {
    return std::unexpected(waited.error());
  }
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  if (error != 0) return fail(Status::kDisconnected, std::strerror(error));
  return fd;
}

std::string text_of_address(const Address& address) {
  char host[NI_MAXHOST] = "?";
  char port[NI_MAXSERV] = "?";
  const auto* generic = reinterpret_cast<const sockaddr*>(&address.bytes);
  (void)::getnameinfo(generic, address.length, host, sizeof host, port, sizeof port,
                      NI_NUMERICHOST | NI_NUMERICSERV);
  const bool is_v6 = address.bytes.ss_family == AF_INET6;
  return (is_v6 ? "[" + std::string(host) + "]" : std::string(host)) + ":" + port;
}

}  // namespace

BreakSignal::BreakSignal() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  HOMEFS_CHECK(event_.is_open());
}

void BreakSignal::set() { (void)::eventfd_write(event_.get(), 1); }  // full means set already

void BreakSignal::reset() {
  eventfd_t value = 0;
  (void)::eventfd_read(event_.get(), &value);  // empty means reset already
}

Result<UniqueFd> connect_socket(const ConnectTarget& target, milliseconds deadline,
                                milliseconds dead_peer_after, const BreakSignal& broken) {
  const auto end = Clock::now() + deadline;
  const auto addresses = resolve_until(target, end, broken);
  if (!addresses) return std::unexpected(addresses.error());
  std::string problem = "find " + target.host + ": it has no address";
  for (std::size_t i = 0; i < addresses->size(); ++i) {
    // An address that swallows packets must leave time for those after it.
    const auto share = (end - Clock::now()) / static_cast<std::int64_t>(addresses->size() - i);
    const Address& address = (*addresses)[i];
    auto fd = connect_one(address, Clock::now() + share, dead_peer_after, broken);
    if (fd) return fd;
    if (fd.error().status == Status::kInterrupted) return fd;
    problem = "connect to " + text_of_address(address) + ": " +
              (fd.error().status == Status::kTimedOut ? "no answer in time" : fd.error().context);
  }
  return fail(Status::kDisconnected, problem);
}

}  // namespace homefs

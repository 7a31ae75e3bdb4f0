#include "fusefs/network_watch.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>

namespace homefs {
namespace {

struct Address {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }

  void clear_port() {
    // At the same place in both: that of sin6_port is that of sin_port.
    static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));
    reinterpret_cast<sockaddr_in*>(&storage)->sin_port = 0;
  }
};

bool is_same_host(const Address& a, const Address& b) {
  if (a.storage.ss_family != b.storage.ss_family) return false;
  if (a.storage.ss_family == AF_INET) {
    return reinterpret_cast<const sockaddr_in&>(a.storage).sin_addr.s_addr ==
           reinterpret_cast<const sockaddr_in&>(b.storage).sin_addr.s_addr;
  }
  return std::memcmp(&reinterpret_cast<const sockaddr_in6&>(a.storage).sin6_addr,
                     &reinterpret_cast<const sockaddr_in6&>(b.storage).sin6_addr,
                     sizeof(in6_addr)) == 0;
}

UniqueFd datagram_socket(int family) {
  return UniqueFd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
}

}  // namespace

NetworkWatch::NetworkWatch()
    : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)) {
  if (!socket_) return;
  sockaddr_nl groups{};
  groups.nl_family = AF_NETLINK;
  groups.nl_groups =
      RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
  if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&groups), sizeof groups) != 0) {
    socket_.reset();
  }
}

bool NetworkWatch::has_changed() {
  if (!socket_) return false;
  bool has_changed = false;
  std::array<std::byte, 8192> message;
  for (;;) {
    if (::recv(socket_.get(), message.data(), message.size(), 0) >= 0 || errno == ENOBUFS) {
      has_changed = true;  // ENOBUFS: more was said than the socket holds
    } else if (errno != EINTR) {
      return has_changed;
    }
  }
}

ConnectionWay way_of(int fd) {
  Address own;
  Address peer;
  if (::getsockname(fd, own.get(), &own.size) != 0 ||
      ::getpeername(fd, peer.get(), &peer.size) != 0) {
    return ConnectionWay::kSame;
  }
  const int family = own.storage.ss_family;
  if (family != AF_INET && family != AF_INET6) return ConnectionWay::kSame;
  own.clear_port();
  const UniqueFd bound = datagram_socket(family);
  const UniqueFd routed = datagram_socket(family);
  if (!bound || !routed) return ConnectionWay::kSame;
  if (::bind(bound.get(), own.get(), own.size) != 0 && errno == EADDRNOTAVAIL) {
    return ConnectionWay::kNoAddress;
  }
  Address chosen;
  if (::connect(routed.get(), peer.get(), peer.size) != 0) return ConnectionWay::kOther;
  if (::getsockname(routed.get(), chosen.get(), &chosen.size) != 0) return ConnectionWay::kSame;
  return is_same_host(own, chosen) ? ConnectionWay::kSame : ConnectionWay::kOther;
}

}  // namespace homefs

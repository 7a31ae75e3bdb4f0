// Built without the precompiled header: <linux/tcp.h>, which alone knows all of tcp_info, and the
// <netinet/tcp.h> in there exclude each other.
#include "fusefs/tcp_figures.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace homefs {

TcpFigures tcp_figures(int socket) {
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) return {};
  return {.round_trip = std::chrono::microseconds(info.tcpi_rtt),
          .bytes_acknowledged = info.tcpi_bytes_acked};
}

}  // namespace homefs

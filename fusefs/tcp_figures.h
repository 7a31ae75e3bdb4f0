// What the kernel knows of a TCP connection.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <chrono>
#include <cstdint>

namespace homefs {

struct TcpFigures {
  std::chrono::microseconds round_trip{};  ///< smoothed
  std::uint64_t bytes_acknowledged = 0;
};

/// Zeros for a socket that is none, or not of TCP.
[[nodiscard]] TcpFigures tcp_figures(int socket);

}  // namespace homefs

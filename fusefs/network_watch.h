// Whether this machine's addresses or routes have changed (another Wi-Fi, a cable pulled, a VPN
// that came up), and whether a connection that was made before still goes the way a new one would.
//
// Owner: NetworkWatch: ServerLink. Executor: one thread at a time. Blocks: never.
#pragma once

#include "protocol/unique_fd.h"

namespace homefs {

/// What the kernel says of links, addresses and routes (rtnetlink(7)).
class NetworkWatch {
 public:
  /// Where there is no such thing (a sandbox without AF_NETLINK), nothing ever changes.
  NetworkWatch();

  /// Whether anything was said since the last call. Much of it concerns nobody: a container that
  /// starts, an IPv6 address that was announced again.
  bool has_changed();

 private:
  UniqueFd socket_;
};

enum class ConnectionWay {
  kSame,       ///< a new connection would come from the same address, or it is not known
  kOther,      ///< it would come from another one, or there is no way at present
  kNoAddress,  ///< the connection's own address is no longer one of this machine
};

/// How the connected TCP socket `fd` stands to the addresses and routes of now. Sends nothing.
[[nodiscard]] ConnectionWay way_of(int fd);

}  // namespace homefs

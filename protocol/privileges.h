// What a chown and a write by an ordinary user take from a mode. The server does it; a client that
// has answered a change before the server has made it shows the same.
//
// Executor: thread-safe (a pure function). Blocks: never.
#pragma once

#include <sys/stat.h>

#include <cstdint>

namespace homefs {

/// `mode` (with its type bits) after a write or chown by an ordinary user: all but folders are
/// without suid, and without sgid where the group may execute (without that the bit means mandatory
/// locking).
constexpr std::uint32_t without_privileges(std::uint32_t mode) {
  if (S_ISDIR(mode)) return mode;
  std::uint32_t taken = S_ISUID;
  if ((mode & S_IXGRP) != 0) taken |= S_ISGID;
  return mode & ~taken;
}

}  // namespace homefs

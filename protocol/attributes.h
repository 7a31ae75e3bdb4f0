// What is known of a file, as both ends say it.
#pragma once

#include <cstdint>

#include "protocol/ids.h"

namespace homefs {

/// Seconds since 1970 and nanoseconds (0 to 999,999,999), as struct timespec.
struct Timestamp {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;

  auto operator<=>(const Timestamp&) const = default;
};

/// The attributes of one inode. `mode` holds the type bits too (S_IFMT).
struct Attributes {
  InodeNumber inode{};
  std::uint32_t mode = 0;
  std::uint32_t links = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t device = 0;  ///< st_rdev of a device node
  /// Tells it from another inode that had, or will have, its number; 0 where the server cannot.
  std::uint32_t generation = 0;
  std::uint64_t size = 0;    ///< bytes
  std::uint64_t blocks = 0;  ///< units of 512 bytes that are allocated
  Timestamp atime, mtime, ctime;
  std::uint64_t version = 0;  ///< differs after every change of data or attributes; only compared

  /// Grows from one look of the server at any inode to the next: of two answers about one inode the
  /// one with the greater order is true. Independent of clocks; starts anew with the server.
  std::uint64_t order = 0;

  bool operator==(const Attributes&) const = default;
};

/// As much of the grant as there is: what a session asks for that promises nothing to programs.
inline constexpr std::uint64_t kWholeGrant = ~std::uint64_t{0};

/// Where the home's quota stands. A state with an older stamp than one already seen is ignored.
struct GrantState {
  std::uint64_t stamp = 0;    ///< grows with every state that this session is told
  std::uint64_t granted = 0;  ///< bytes reserved for this session's writes, after this request
  std::uint64_t used = 0;     ///< logical bytes in use in the home
  std::uint64_t limit = 0;    ///< the quota in bytes; 0 = unlimited

  bool operator==(const GrantState&) const = default;
};

}  // namespace homefs

// How the mode of a file is kept on the disk, and in homes that preserve owners its owner.
//
// The service user owns all files and must always be able to open them, whatever their mode says;
// and a set-user-id program of the service user must never lie on the server's disk. So the mode on
// the disk is not always the true one:
//
//   what             true mode                 on the disk            xattr user.homefs.mode
//   regular file     rw for owner, no suid/    the same               none (a stale one is ignored)
//                    sgid/sticky
//                    r but not w for owner,    marked, with rw for    none
//                    no suid/sgid/sticky       the owner
//                    all others                marked, with rw for    the true mode, 2 bytes
//                                              the owner, no suid/sgid  little-endian
//   folder           rwx for owner, no         the same (a sticky     none
//                    suid/sgid                 one is marked thereby)
//                    all others                marked, with rwx for   the true mode
//                                              the owner, no suid/sgid
//   anything else    any                       the same               none (not possible there)
//
// The mark is the sticky bit, which means nothing on a file, and on a folder of one owner neither.
// So the xattr is looked for only at marked inodes, and files that git makes (mode 0444) need none.
// A change of the mode of a file writes the xattr before it sets the mark and removes it after it
// takes the mark away: a stop of the server at any point leaves the old or the new mode.
//
// That is the short form. In a home that preserves owners everything that is made has the xattr in
// its whole form: owner, group, mode with its type, and the number of a device. On the disk it is
// then, whatever it is for the clients, a marked file of mode 0600, or a marked folder of mode
// 0700: devices, FIFOs and sockets are empty files, symlinks are files whose data is the target. A
// change of owner or mode is one setting of the xattr, which the file system makes whole or not at
// all. The whole form is understood, and stays what it is, in a home that preserves owners no
// longer.
//
// Executor: thread-safe (pure functions). Blocks: never.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace homefs {

inline constexpr const char* kModeXattr = "user.homefs.mode";
/// Names that homefs keeps for itself: clients neither see nor set them.
inline constexpr std::string_view kOwnXattrPrefix = "user.homefs.";

/// The permission bits that are in play: chmod's.
inline constexpr std::uint32_t kModeBits = 07777;

struct DiskMode {
  std::uint32_t mode = 0;  ///< for the disk; the type bits as given
  bool has_xattr = false;  ///< the true mode has to be in the xattr
  bool operator==(const DiskMode&) const = default;
};

/// What the whole form of the xattr says.
struct Ownership {
  std::uint32_t mode = 0;  ///< the true one, with its type bits
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint32_t device = 0;  ///< of a character or block device: its number, as st_rdev
  bool operator==(const Ownership&) const = default;
};

/// Five numbers of 4 bytes, little-endian: version (1), mode, uid, gid, device.
using OwnershipBytes = std::array<std::byte, 20>;
OwnershipBytes encode_ownership(const Ownership& ownership);
/// Nothing for anything but what encode_ownership() makes: another length, version or type.
std::optional<Ownership> decode_ownership(std::span<const std::byte> value);

/// The mode on the disk, with type bits, of what is kept in the whole form.
std::uint32_t whole_disk_mode(std::uint32_t true_mode);

/// How to keep `true_mode` (with its type bits) in the short form.
DiskMode disk_mode_of(std::uint32_t true_mode);

/// Whether the xattr has to be looked for.
bool is_marked(std::uint32_t disk_mode);

/// The true mode: `xattr` is the xattr's value if there is one. Precondition: is_marked().
std::uint32_t true_mode_of(std::uint32_t disk_mode, std::optional<std::uint32_t> xattr);

}  // namespace homefs

// The system calls on files that the server makes, as Results: errno becomes a Status here and
// nowhere else. Everything is relative to a descriptor and one validated component, nothing follows
// a symlink, and every descriptor is close-on-exec.
//
// Owner: descriptors belong to the FdRef or UniqueFd that is returned. Executor: thread-safe.
// Blocks: on the disk.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/attributes.h"
#include "protocol/result.h"
#include "protocol/unique_fd.h"

namespace homefs::disk {

/// A descriptor that several operations use at once. Owners: the descriptor cache, and each of
/// them; it is closed when the last lets go.
using FdRef = std::shared_ptr<const UniqueFd>;

/// What the disk says of an inode: its attributes as they are on the disk (disk_mode.h says what
/// they stand for and replaces them) and no version; and what identifies it.
struct Stat {
  Attributes attributes;
  std::uint32_t disk_mode = 0;  ///< with type bits, whatever attributes.mode was made
  bool is_whole = false;        ///< attributes are those of the xattr's whole form (file_mode.h)
  std::int64_t birth_ns = 0;    ///< 0 where the file system does not record it
  std::uint64_t device = 0;     ///< of the file system
  bool is_mount = false;        ///< something else is mounted here
};

/// Attributes::generation of an inode that was born then; 0 for one whose birth is not known.
std::uint32_t generation_of(std::int64_t birth_ns);

/// Nanoseconds since 1970, as far as 64 bits reach (the year 2262).
std::int64_t nanoseconds_of(const Timestamp& time);

// ---- Opening --------------------------------------------------------------------------------

/// Opens a path given by the administrator (it may have symlinks).
Result<UniqueFd> open_root(const std::string& path);
/// The folder that `folder` is in.
Result<UniqueFd> open_parent(int folder);
/// openat2 of one component: never leaves the folder, follows no symlink, enters no mount.
/// `mode` is for O_CREAT only.
Result<UniqueFd> open_at(int folder, const char* name, int flags, std::uint32_t mode = 0);
/// An unnamed regular file in `folder`'s file system, readable and writable.
Result<UniqueFd> open_unnamed(int folder, std::uint32_t mode);

// ---- Looking --------------------------------------------------------------------------------

Result<Stat> stat_at(int folder, const char* name);
Result<Stat> stat_fd(int fd);
Result<std::string> readlink_at(int folder, const char* name);
/// `fd`: the symlink itself, O_PATH.
Result<std::string> readlink_fd(int fd);

/// Takes an entry of a folder; false ends the reading.
using EntryVisitor = std::function<bool(std::uint64_t number, std::string_view name)>;
/// The next number of Attributes::order: greater than that of every look that was begun before.
std::uint64_t next_order();

/// Calls `visit` for every entry but "." and "..", in the order of the disk. The position of the
/// descriptor is not touched.
Result<void> read_folder(int folder, const EntryVisitor& visit);

struct FileSystemSpace {
  std::uint64_t bytes = 0;
  std::uint64_t bytes_free = 0;  ///< for an ordinary user
};
Result<FileSystemSpace> space_of(int fd);

// ---- Names ----------------------------------------------------------------------------------

Result<void> make_folder_at(int folder, const char* name, std::uint32_t mode);
Result<void> make_node_at(int folder, const char* name, std::uint32_t mode);
Result<void> make_symlink_at(int folder, const char* name, const std::string& target);
/// A further name for the inode behind `fd` (of any kind, also O_PATH or unnamed).
Result<void> link_fd_at(int fd, int folder, const char* name);
Result<void> unlink_at(int folder, const char* name);
Result<void> remove_folder_at(int folder, const char* name);
/// `flags`: those of renameat2.
Result<void> rename_at(int folder, const char* name, int new_folder, const char* new_name,
                       unsigned flags);

// ---- Attributes -----------------------------------------------------------------------------

/// Works on every kind of descriptor. kNotSupported for a symlink.
Result<void> change_mode(int fd, std::uint32_t mode);
/// Updates ctime, as a chown that changes nothing does. Works on every kind.
Result<void> touch(int fd);
/// As utimensat: UTIME_NOW and UTIME_OMIT in tv_nsec. Works on every kind.
Result<void> change_times(int fd, const timespec& atime, const timespec& mtime);

// The xattr calls take a descriptor that is not O_PATH.
Result<std::vector<std::byte>> get_xattr(int fd, const char* name);
Result<void> set_xattr(int fd, const char* name, std::span<const std::byte> value, int flags);
Result<void> remove_xattr(int fd, const char* name);
Result<std::vector<std::byte>> list_xattrs(int fd);
/// Of an entry that is not open: fills `value`, returns the bytes used.
Result<std::size_t> get_xattr_at(int folder, const char* name, const char* xattr,
                                 std::span<std::byte> value);

// ---- Data -----------------------------------------------------------------------------------

/// Reads until `out` is full or the file ends; returns the bytes read.
Result<std::size_t> read_at(int fd, std::span<std::byte> out, std::uint64_t offset);
/// Writes all of `data`. After an error some of it may have been written.
Result<void> write_at(int fd, std::span<const std::byte> data, std::uint64_t offset);
Result<void> truncate(int fd, std::uint64_t size);
/// `mode`: the FALLOC_FL_ bits.
Result<void> allocate(int fd, int mode, std::uint64_t offset, std::uint64_t length);
/// `whence`: SEEK_DATA or SEEK_HOLE.
Result<std::uint64_t> seek(int fd, std::uint64_t offset, int whence);
/// Copies up to `length` bytes, sharing the disk's blocks where the file system can; fewer at the
/// end of the source. kOverflow never; kInvalid for ranges of one file that overlap.
Result<std::uint64_t> copy_range(int source, std::uint64_t source_offset, int target,
                                 std::uint64_t target_offset, std::uint64_t length);
Result<void> sync(int fd, bool data_only);
/// The whole file system that `fd` is on.
Result<void> sync_file_system(int fd);

}  // namespace homefs::disk

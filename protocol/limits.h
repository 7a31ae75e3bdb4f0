// The limits of the protocol, each a named constant. PROTOCOL.md lists the same numbers; both ends
// check them on sending and on receiving.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace homefs {

inline constexpr std::uint16_t kProtocolVersion = 1;
inline constexpr std::uint16_t kDefaultPort = 7070;

/// Payload of one READ, WRITE or listing page: the largest request the kernel makes (256 pages).
inline constexpr std::size_t kPayloadBytesMax = 1024 * 1024;
/// The fields before the payload: a chain of introductions, 17 digests, a name.
inline constexpr std::size_t kFieldBytesMax = 4096;
/// Everything after the frame's header.
inline constexpr std::size_t kBodyBytesMax = kPayloadBytesMax + kFieldBytesMax;
/// The same before a login: nothing but small JSON crosses the wire then.
inline constexpr std::size_t kLoginBodyBytesMax = 8192;

inline constexpr std::size_t kNameBytesMax = 255;          ///< NAME_MAX of Linux.
inline constexpr std::size_t kSymlinkBytesMax = 4095;      ///< PATH_MAX less the NUL; any string.
inline constexpr std::size_t kXattrValueBytesMax = 65536;  ///< XATTR_SIZE_MAX of Linux.
inline constexpr std::size_t kXattrListBytesMax = 65536;   ///< XATTR_LIST_MAX of Linux.
inline constexpr std::size_t kXattrNameBytesMax = 255;     ///< XATTR_NAME_MAX of Linux.

/// Items of any list of a message: one digest for each block of 4 GiB. Each use has a tighter bound
/// of its own where it is applied.
inline constexpr std::size_t kListItemsMax = 65536;
/// Introductions in one request: the depth of folders that may be unknown to the server at once.
/// With names of 1 byte this is what kFieldBytesMax holds; deeper chains are introduced in steps.
inline constexpr std::size_t kIntroductionsMax = 64;
/// Nodes in one FORGET, one READ_MANY.
inline constexpr std::size_t kNodesPerRequestMax = 256;
/// Folders in one answer to LIST.
inline constexpr std::size_t kFoldersPerListMax = 4096;
/// Bytes that one COPY moves: it is answered within a second on a slow disk, and can be cut off.
inline constexpr std::uint64_t kCopyBytesMax = 64ull * 1024 * 1024;

/// Ranges that the owners of one session have locked, and lock requests of it that are queued.
inline constexpr std::size_t kLocksPerSessionMax = 16384;
inline constexpr std::size_t kLockWaitsPerSessionMax = 1024;

/// Requests of one session that wait for an answer. 2 x the kernel's max_background of 128.
inline constexpr std::size_t kRequestsInFlightMax = 256;
/// Bytes queued on one connection before the sender has to wait.
inline constexpr std::size_t kSendQueueBytesMax = 16 * 1024 * 1024;

/// How often a block that fails its MD5 is sent again before the operation fails with EIO.
inline constexpr int kBlockRetriesMax = 3;

inline constexpr std::chrono::seconds kHandshakeDeadline{10};
inline constexpr std::chrono::seconds kKeepAliveDefault{10};
inline constexpr std::chrono::seconds kSessionLingerDefault{600};

}  // namespace homefs

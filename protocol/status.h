// The status codes of the wire: what an operation came to, as both ends say it.
//
// Codes 700-751 are inherited and keep their numbers and meanings; those from 760 extend them.
// errno exists only at the two edges (the kernel's FUSE requests, the server's system calls);
// the one table in status.cpp maps between the two.
//
// Executor: immutable data, thread-safe. Blocks: never.
#pragma once

#include <cstdint>
#include <string_view>

namespace homefs {

enum class Status : std::uint16_t {
  // Inherited.
  kOk = 700,            ///< The request was done.
  kUnknownUser = 701,   ///< Login: no such user (only where the server's config allows saying so).
  kLoginRefused = 702,  ///< Login: name or password is wrong.
  kLoginOk = 703,       ///< Login: accepted.
  kAccountDisabled = 704,     ///< Login: the account is switched off.
  kLockedOut = 705,           ///< Login: too many failures, try again later.
  kTransferReady = 710,       ///< Transfer: the other side may begin.
  kNoSuchFile = 711,          ///< ENOENT: no such file.
  kSizeSame = 712,            ///< Transfer: size and MD5 agree, nothing to send.
  kSizeDiffers = 713,         ///< Transfer: size or MD5 differ.
  kNoSuchDirectory = 721,     ///< ENOENT for a directory on the way.
  kExists = 731,              ///< EEXIST.
  kCopied = 740,              ///< A copy inside the home was done on the server.
  kRenamed = 750,             ///< A rename was done.
  kRenameTargetExists = 751,  ///< EEXIST: rename without replacing, and the target is there.
  // Extended.
  kOverQuota = 760,        ///< EDQUOT.
  kNoSpace = 761,          ///< ENOSPC: the server's disk is full.
  kNotDirectory = 762,     ///< ENOTDIR.
  kIsDirectory = 763,      ///< EISDIR.
  kNotEmpty = 764,         ///< ENOTEMPTY.
  kNotPermitted = 765,     ///< EPERM.
  kAccessDenied = 766,     ///< EACCES.
  kNameTooLong = 767,      ///< ENAMETOOLONG.
  kInvalid = 768,          ///< EINVAL.
  kBlockMismatch = 769,    ///< The MD5 of a block does not fit its bytes: send it again.
  kStale = 770,            ///< ESTALE: the server does not know this node (any more).
  kIoError = 771,          ///< EIO.
  kNotSupported = 772,     ///< EOPNOTSUPP.
  kNoAttribute = 773,      ///< ENODATA: no such extended attribute.
  kWouldBlock = 774,       ///< EAGAIN.
  kTooManyLinks = 775,     ///< EMLINK.
  kLeaseLost = 776,        ///< ESTALE: the authority this change was made under is gone.
  kReadOnly = 777,         ///< EROFS.
  kCrossDevice = 778,      ///< EXDEV.
  kTooBig = 779,           ///< EFBIG.
  kOutOfRange = 780,       ///< ERANGE: a buffer is too small for an attribute.
  kAttributeTooBig = 781,  ///< E2BIG.
  kBusy = 782,             ///< EBUSY.
  kTextBusy = 783,         ///< ETXTBSY.
  kLoop = 784,             ///< ELOOP.
  kNoDeviceAddress =
      785,                ///< ENXIO: no such address (SEEK_DATA past the end, FIFO without reader).
  kInterrupted = 786,     ///< EINTR: the caller was signalled.
  kTimedOut = 787,        ///< ETIMEDOUT: no answer within the time the mount allows (soft).
  kDeadlock = 788,        ///< EDEADLK.
  kNoLocks = 789,         ///< ENOLCK.
  kTooManyOpen = 790,     ///< ENFILE: the server is at a limit of open files.
  kNoMemory = 791,        ///< ENOMEM.
  kNotImplemented = 792,  ///< ENOSYS.
  kOverflow = 793,        ///< EOVERFLOW.
  // Never answers to a file operation.
  kProtocolError = 800,     ///< The peer broke the protocol; the session is closed.
  kVersionMismatch = 801,   ///< No protocol version in common.
  kNotLoggedIn = 802,       ///< The request needs a login first.
  kSessionUnknown = 803,    ///< The session to re-join does not exist (any more).
  kSequenceGap = 804,       ///< A seq was skipped; nothing was applied.
  kSequenceConflict = 805,  ///< A seq was used again for another request.
  kTooManySessions = 806,   ///< A limit of the server is reached; try again later.
  kDisconnected = 807,      ///< Local: the connection broke before the answer came.
  kServerKeyUnknown = 808,  ///< Local: the server's key is not known yet.
  kServerKeyChanged = 809,  ///< Local: the server's key is not the pinned one.
  kGoingAway = 810,         ///< The peer is shutting down.
  kConfigError = 811,       ///< Local: a file or option says something that cannot be used.
};

/// The errno a program is given for `status`; 0 for the success codes. Total: an unknown code is
/// EIO.
int errno_of(Status status);

/// The status for an errno of a server's system call; kIoError for an errno not in the table.
Status status_of_errno(int error);

/// A short English text, as shown in verbose mode and in messages. Never empty.
std::string_view text_of(Status status);

/// True for a number that this version knows.
bool is_known_status(std::uint16_t number);

/// True for the codes that say "done" (700, 703, 710, 712, 740, 750).
bool is_success(Status status);

}  // namespace homefs

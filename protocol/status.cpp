#include "protocol/status.h"

#include <cerrno>
#include <span>

namespace homefs {
namespace {

struct Row {
  Status status;
  int error;        // errno at the client's edge; 0 = success
  bool from_errno;  // this row is also the answer of status_of_errno(error)
  std::string_view text;
};

// One row a code. `from_errno` is set once per errno: the inverse is a function.
constexpr Row kRows[] = {
    {Status::kOk, 0, true, "done"},
    {Status::kUnknownUser, EACCES, false, "no such user"},
    {Status::kLoginRefused, EACCES, false, "user name or password is wrong"},
    {Status::kLoginOk, 0, false, "logged in"},
    {Status::kAccountDisabled, EACCES, false, "the account is disabled"},
    {Status::kLockedOut, EACCES, false, "too many failed logins, try again later"},
    {Status::kTransferReady, 0, false, "ready for the transfer"},
    {Status::kNoSuchFile, ENOENT, true, "no such file or directory"},
    {Status::kSizeSame, 0, false, "size and MD5 agree"},
    {Status::kSizeDiffers, EIO, false, "size or MD5 differ"},
    {Status::kNoSuchDirectory, ENOENT, false, "no such directory"},
    {Status::kExists, EEXIST, true, "file exists"},
    {Status::kCopied, 0, false, "copied on the server"},
    {Status::kRenamed, 0, false, "renamed"},
    {Status::kRenameTargetExists, EEXIST, false, "the target of the rename exists"},
    {Status::kOverQuota, EDQUOT, true, "the quota is used up"},
    {Status::kNoSpace, ENOSPC, true, "the disk is full"},
    {Status::kNotDirectory, ENOTDIR, true, "not a directory"},
    {Status::kIsDirectory, EISDIR, true, "is a directory"},
    {Status::kNotEmpty, ENOTEMPTY, true, "directory not empty"},
    {Status::kNotPermitted, EPERM, true, "operation not permitted"},
    {Status::kAccessDenied, EACCES, true, "permission denied"},
    {Status::kNameTooLong, ENAMETOOLONG, true, "name too long"},
    {Status::kInvalid, EINVAL, true, "invalid argument"},
    {Status::kBlockMismatch, EIO, false, "a block does not fit its MD5"},
    {Status::kStale, ESTALE, true, "stale node"},
    {Status::kIoError, EIO, true, "input/output error"},
    {Status::kNotSupported, EOPNOTSUPP, true, "operation not supported"},
    {Status::kNoAttribute, ENODATA, true, "no such attribute"},
    {Status::kWouldBlock, EAGAIN, true, "resource temporarily unavailable"},
    {Status::kTooManyLinks, EMLINK, true, "too many links"},
    {Status::kLeaseLost, ESTALE, false, "the lease was lost"},
    {Status::kReadOnly, EROFS, true, "read-only"},
    {Status::kCrossDevice, EXDEV, true, "not in the same home"},
    {Status::kTooBig, EFBIG, true, "file too large"},
    {Status::kOutOfRange, ERANGE, true, "result too large"},
    {Status::kAttributeTooBig, E2BIG, true, "attribute too big"},
    {Status::kBusy, EBUSY, true, "busy"},
    {Status::kTextBusy, ETXTBSY, true, "text file busy"},
    {Status::kLoop, ELOOP, true, "too many levels of symbolic links"},
    {Status::kNoDeviceAddress, ENXIO, true, "no such device or address"},
    {Status::kInterrupted, EINTR, true, "interrupted"},
    {Status::kTimedOut, ETIMEDOUT, true, "timed out"},
    {Status::kDeadlock, EDEADLK, true, "deadlock avoided"},
    {Status::kNoLocks, ENOLCK, true, "no locks available"},
    {Status::kTooManyOpen, ENFILE, true, "too many open files on the server"},
    {Status::kNoMemory, ENOMEM, true, "out of memory"},
    {Status::kNotImplemented, ENOSYS, true, "not implemented"},
    {Status::kOverflow, EOVERFLOW, true, "value too large"},
    {Status::kProtocolError, EPROTO, false, "protocol error"},
    {Status::kVersionMismatch, EPROTO, false, "no protocol version in common"},
    {Status::kNotLoggedIn, EACCES, false, "not logged in"},
    {Status::kSessionUnknown, ESTALE, false, "the session is not known"},
    {Status::kSequenceGap, EPROTO, false, "a sequence number was skipped"},
    {Status::kSequenceConflict, EPROTO, false, "a sequence number was used twice"},
    {Status::kTooManySessions, EUSERS, false, "the server has too many sessions"},
    {Status::kDisconnected, EIO, false, "disconnected"},
    {Status::kServerKeyUnknown, EACCES, false, "the server's key is not known"},
    {Status::kServerKeyChanged, EACCES, false, "the server's key has changed"},
    {Status::kGoingAway, EIO, false, "the peer is shutting down"},
    {Status::kConfigError, EINVAL, false, "configuration error"},
};

const Row* find(Status status) {
  for (const Row& row : kRows) {
    if (row.status == status) return &row;
  }
  return nullptr;
}

}  // namespace

int errno_of(Status status) {
  const Row* row = find(status);
  return row == nullptr ? EIO : row->error;
}

Status status_of_errno(int error) {
  if (error == EMFILE)
    error = ENFILE;  // a limit of the server, be it the process's or the system's
  for (const Row& row : kRows) {
    if (row.from_errno && row.error == error) return row.status;
  }
  return Status::kIoError;
}

std::string_view text_of(Status status) {
  const Row* row = find(status);
  return row == nullptr ? "unknown status" : row->text;
}

bool is_known_status(std::uint16_t number) { return find(static_cast<Status>(number)) != nullptr; }

bool is_success(Status status) {
  const Row* row = find(status);
  return row != nullptr && row->error == 0;
}

}  // namespace homefs

#include "protocol/op.h"

#include "protocol/result.h"

namespace homefs {
namespace {

constexpr OpTraits kOps[] = {
    {Op::kHello, "hello", false, false},
    {Op::kAuthStart, "auth-start", false, false},
    {Op::kAuthFinish, "auth-finish", false, false},
    {Op::kResume, "resume", false, false},
    {Op::kToken, "token", false, false},
    {Op::kGoodbye, "goodbye", false, false},
    {Op::kPing, "ping", false, false},
    {Op::kCreate, "create", true, false},
    {Op::kMkdir, "mkdir", true, false},
    {Op::kMknod, "mknod", true, false},
    {Op::kSymlink, "symlink", true, true},  // a target of up to 4095 bytes beside its name
    {Op::kLink, "link", true, false},
    {Op::kUnlink, "unlink", true, false},
    {Op::kRmdir, "rmdir", true, false},
    {Op::kRename, "rename", true, false},
    {Op::kSetattr, "setattr", true, false},
    {Op::kSetxattr, "setxattr", true, true},
    {Op::kRemovexattr, "removexattr", true, false},
    {Op::kFallocate, "fallocate", true, false},
    {Op::kCopy, "copy", true, false},
    {Op::kAppend, "append", true, true},
    {Op::kLock, "lock", true, false},
    {Op::kCancelLock, "cancel-lock", true, false},
    {Op::kLookup, "lookup", false, false},
    {Op::kGetattr, "getattr", false, false},
    {Op::kList, "list", false, false},
    {Op::kReadlink, "readlink", false, false},
    {Op::kGetxattr, "getxattr", false, false},
    {Op::kListxattr, "listxattr", false, false},
    {Op::kStatfs, "statfs", false, false},
    {Op::kForget, "forget", false, false},
    {Op::kSeek, "seek", false, false},
    {Op::kDigest, "digest", false, false},
    {Op::kTestLock, "test-lock", false, false},
    {Op::kRead, "read", false, false},
    {Op::kReadMany, "read-many", false, true},  // up to 256 nodes, each with introductions
    {Op::kWrite, "write", false, true},
    {Op::kFsync, "fsync", false, false},
    {Op::kMode, "mode", false, false},
    {Op::kChanged, "changed", false, true},
    {Op::kQuotaChanged, "quota-changed", false, false},
    {Op::kGoingAway, "going-away", false, false},
    {Op::kLockGranted, "lock-granted", false, false},
};

}  // namespace

const OpTraits* find_op(std::uint16_t number) {
  for (const OpTraits& traits : kOps) {
    if (static_cast<std::uint16_t>(traits.op) == number) return &traits;
  }
  return nullptr;
}

std::string_view name_of(Op op) {
  const OpTraits* traits = find_op(static_cast<std::uint16_t>(op));
  return traits == nullptr ? "unknown" : traits->name;
}

bool is_sequenced(Op op) {
  const OpTraits* traits = find_op(static_cast<std::uint16_t>(op));
  HOMEFS_CHECK(traits != nullptr);
  return traits->is_sequenced;
}

}  // namespace homefs

#include "server/request_class.h"

namespace homefs {

RequestClass class_of(Op op) {
  switch (op) {
    case Op::kHello:
    case Op::kAuthStart:
    case Op::kAuthFinish:
    case Op::kResume:
    case Op::kMode:
    case Op::kChanged:
    case Op::kQuotaChanged:
    case Op::kGoingAway:
    case Op::kLockGranted:
      return RequestClass::kRefused;
    case Op::kCreate:
    case Op::kMkdir:
    case Op::kMknod:
    case Op::kSymlink:
    case Op::kLink:
    case Op::kUnlink:
    case Op::kRmdir:
    case Op::kRename:
    case Op::kSetattr:
    case Op::kSetxattr:
    case Op::kRemovexattr:
    case Op::kFallocate:
    case Op::kCopy:
    case Op::kAppend:
    case Op::kLock:
    case Op::kCancelLock:
      return RequestClass::kChange;
    case Op::kLookup:
    case Op::kGetattr:
    case Op::kReadlink:
    case Op::kGetxattr:
    case Op::kListxattr:
    case Op::kStatfs:
    case Op::kForget:
    case Op::kSeek:
    case Op::kTestLock:
      return RequestClass::kQuick;
    case Op::kList:
    case Op::kRead:
    case Op::kReadMany:
    case Op::kWrite:
      return RequestClass::kData;
    case Op::kFsync:
    case Op::kDigest:
      return RequestClass::kSlow;
    case Op::kToken:
    case Op::kGoodbye:
    case Op::kPing:
      return RequestClass::kSession;
  }
  return RequestClass::kRefused;
}

bool is_long_change(Op op) { return op == Op::kCopy || op == Op::kFallocate || op == Op::kAppend; }

}  // namespace homefs

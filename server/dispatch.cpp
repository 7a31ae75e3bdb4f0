#include "server/dispatch.h"

#include <array>

#include "protocol/limits.h"
#include "server/handlers.h"

namespace homefs {
namespace {

// Decodes the message that `handler` takes, and calls it. With a payload parameter in the handler,
// what follows the message is the payload; without, nothing may follow.
template <auto handler>
struct Decoded;

template <class Message, Reply (*handler)(HandlerContext&, const Message&)>
struct Decoded<handler> {
  static Reply run(HandlerContext& context, std::span<const std::byte> body) {
    const Result<Message> message = decode_all<Message>(body);
    if (!message) return error_reply(message.error());
    return handler(context, *message);
  }
};

template <class Message, Reply (*handler)(HandlerContext&, const Message&, Payload)>
struct Decoded<handler> {
  static Reply run(HandlerContext& context, std::span<const std::byte> body) {
    ByteReader in(body);
    const Result<Message> message = decode<Message>(in);
    if (!message) return error_reply(message.error());
    return handler(context, *message, in.rest());
  }
};

constexpr std::array kFileOps = {
    FileOp{Op::kCreate, 0, Decoded<&handlers::create>::run},
    FileOp{Op::kMkdir, 0, Decoded<&handlers::mkdir>::run},
    FileOp{Op::kMknod, 0, Decoded<&handlers::mknod>::run},
    FileOp{Op::kSymlink, kSymlinkBytesMax, Decoded<&handlers::symlink>::run},
    FileOp{Op::kLink, 0, Decoded<&handlers::link>::run},
    FileOp{Op::kUnlink, 0, Decoded<&handlers::unlink>::run},
    FileOp{Op::kRmdir, 0, Decoded<&handlers::rmdir>::run},
    FileOp{Op::kRename, 0, Decoded<&handlers::rename>::run},
    FileOp{Op::kSetattr, 0, Decoded<&handlers::setattr>::run},
    FileOp{Op::kSetxattr, kXattrValueBytesMax, Decoded<&handlers::setxattr>::run},
    FileOp{Op::kRemovexattr, 0, Decoded<&handlers::removexattr>::run},
    FileOp{Op::kFallocate, 0, Decoded<&handlers::fallocate>::run},
    FileOp{Op::kCopy, 0, Decoded<&handlers::copy>::run},
    FileOp{Op::kAppend, kPayloadBytesMax, Decoded<&handlers::append>::run},
    FileOp{Op::kLock, 0, Decoded<&handlers::lock>::run},
    FileOp{Op::kCancelLock, 0, Decoded<&handlers::cancel_lock>::run},
    FileOp{Op::kLookup, 0, Decoded<&handlers::lookup>::run},
    FileOp{Op::kGetattr, 0, Decoded<&handlers::getattr>::run},
    FileOp{Op::kList, 0, Decoded<&handlers::list>::run},
    FileOp{Op::kReadlink, 0, Decoded<&handlers::readlink>::run},
    FileOp{Op::kGetxattr, 0, Decoded<&handlers::getxattr>::run},
    FileOp{Op::kListxattr, 0, Decoded<&handlers::listxattr>::run},
    FileOp{Op::kStatfs, 0, Decoded<&handlers::statfs>::run},
    FileOp{Op::kForget, 0, Decoded<&handlers::forget>::run},
    FileOp{Op::kSeek, 0, Decoded<&handlers::seek>::run},
    FileOp{Op::kDigest, 0, Decoded<&handlers::digest>::run},
    FileOp{Op::kTestLock, 0, Decoded<&handlers::test_lock>::run},
    FileOp{Op::kRead, 0, Decoded<&handlers::read>::run},
    FileOp{Op::kReadMany, 0, Decoded<&handlers::read_many>::run},
    FileOp{Op::kWrite, kPayloadBytesMax, Decoded<&handlers::write>::run},
    FileOp{Op::kFsync, 0, Decoded<&handlers::fsync>::run},
};

}  // namespace

const FileOp* find_file_op(Op op) {
  for (const FileOp& row : kFileOps) {
    if (row.op == op) return &row;
  }
  return nullptr;
}

std::span<const FileOp> file_ops() { return kFileOps; }

}  // namespace homefs

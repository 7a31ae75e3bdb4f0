// The table of file operations: everything that a logged-in peer can make the server do to files,
// on one screen (dispatch.cpp). What is not in it is refused.
//
// Executor: immutable data, thread-safe. Blocks: as the handlers do (on the disk).
#pragma once

#include <cstddef>
#include <span>

#include "protocol/bytes.h"
#include "protocol/op.h"
#include "server/request.h"

namespace homefs {

struct HandlerContext;

/// A row of the table. `run` gets the request's body behind the introductions.
struct FileOp {
  Op op;
  std::size_t payload_bytes_max;  ///< what the body may have over kFieldBytesMax; 0 for most
  Reply (*run)(HandlerContext& context, std::span<const std::byte> body);
};

/// The row of `op`, or null for what is no file operation (login, events).
const FileOp* find_file_op(Op op);

/// All rows, for the tests and for PROTOCOL.md's check.
std::span<const FileOp> file_ops();

}  // namespace homefs

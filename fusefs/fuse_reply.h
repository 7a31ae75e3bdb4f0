// The replies to the kernel's requests: each coroutine here awaits an operation's result and sends
// it, exactly once; or gives it back (a name looked up, an open handle) when a signal has ended the
// wait before.
//
// Executor: the thread that completes the operation. Blocks: never.
#pragma once

#include "fusefs/fuse_ops.h"

namespace homefs {

/// libfuse's fuse_req_t and fuse_ino_t, without its header.
using FuseRequest = fuse_req*;

Task<> reply_done(FuseRequest request, Task<Result<>> work);
/// To a change of what is `concerned`, as the four below with one: the kernel is told of it when
/// the change has ended after its program got another answer, or when it is in doubt. The kernel
/// may have asked meanwhile, and keep what was then.
Task<> reply_change(FuseOps& ops, FuseRequest request, Concerned concerned, Task<Result<>> work);
/// The same for a close(2), which may be the kernel's own at a program's end.
Task<> reply_flush(FuseRequest request, Task<Result<>> work);
Task<> reply_entry(FuseOps& ops, FuseRequest request, Task<Result<EntryOut>> work,
                   Concerned concerned = {});
Task<> reply_attributes(FuseOps& ops, FuseRequest request, Task<Result<AttributesOut>> work,
                        Concerned concerned = {});
Task<> reply_target(FuseRequest request, Task<Result<std::string>> work);
Task<> reply_open(FuseOps& ops, FuseRequest request, int flags, Task<Result<OpenOut>> work,
                  Concerned concerned = {});
Task<> reply_create(FuseOps& ops, FuseRequest request, int flags, Task<Result<CreateOut>> work,
                    Concerned concerned);
Task<> reply_folder(FuseOps& ops, FuseRequest request, Task<Result<FolderOut>> work);
Task<> reply_data(FuseRequest request, Task<Result<std::vector<Slice>>> work);
/// An extended attribute's value or list; `size` 0 asks for its length alone.
Task<> reply_xattr(FuseRequest request, std::size_t size, Task<Result<SharedBuffer>> work);
/// The home's quota is the size of the file system, as df(1) shows it.
Task<> reply_statfs(FuseRequest request, Task<StatfsReply> work);
Task<> reply_count(FuseOps& ops, FuseRequest request, Task<Result<std::uint64_t>> work,
                   Concerned concerned);
Task<> reply_offset(FuseRequest request, Task<Result<std::uint64_t>> work);
void reply_error(FuseRequest request, const Error& error);
/// The change may have been done all the same.
[[nodiscard]] bool is_in_doubt(const Error& error);

}  // namespace homefs

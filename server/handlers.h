// The handlers of the file operations: each decodes one message, asks Home, binds the node it
// names, and encodes the answer. What changed is noted by Home (Touched). One function an
// operation; dispatch.cpp lists them all.
//
// Executor: thread-safe. Blocks: on the disk.
#pragma once

#include <cstddef>
#include <span>

#include "protocol/codec.h"
#include "protocol/messages.h"
#include "server/home.h"
#include "server/listing_snapshots.h"
#include "server/node_table.h"
#include "server/quota.h"
#include "server/request.h"
#include "server/sync_debt.h"
#include "server/touched.h"
#include "server/write_log.h"

namespace homefs {

/// What of a session the handlers see.
struct HandlerContext {
  Home& home;
  NodeTable& nodes;
  Grant& grant;
  ListingSnapshots& listings;
  std::uint64_t locker;  ///< the session's number in HomeLocks
  Touched& touched;
  SyncDebt& sync_debt;
  WriteLog* writes = nullptr;               ///< or fsyncs, of the session; null where `number` is 0
  std::uint64_t number = 0;                 ///< of a write or an fsync; 0: it is not sent again
  const ForeignChanges* foreign = nullptr;  ///< see Actor
  /// Of a change in the sequence, where the session has one; else null.
  ChangeJournal* journal = nullptr;
  /// Whether nobody wants the answer any more; empty: somebody does.
  std::function<bool()> is_cancelled = {};

  [[nodiscard]] Actor actor(const Caller& caller = {},
                            std::uint64_t from_grant = kWholeGrant) const {
    return {.grant = grant,
            .nodes = nodes,
            .touched = touched,
            .caller = caller,
            .from_grant = from_grant,
            .journal = journal,
            .foreign = foreign};
  }
  [[nodiscard]] Actor writer(const WriteTurn* turn, const WriteRequest& request) const {
    return {.grant = grant,
            .nodes = nodes,
            .touched = touched,
            .caller = {},
            .from_grant = request.from_grant,
            .write = turn,
            .foreign = foreign,
            .is_buffered = request.page_order == kBufferedWrite};
  }
};

using Payload = std::span<const std::byte>;

namespace handlers {

// Names (handlers_names.cpp).
Reply create(HandlerContext& context, const CreateRequest& request);
Reply mkdir(HandlerContext& context, const MkdirRequest& request);
Reply mknod(HandlerContext& context, const MknodRequest& request);
Reply symlink(HandlerContext& context, const SymlinkRequest& request);
Reply link(HandlerContext& context, const LinkRequest& request);
Reply unlink(HandlerContext& context, const UnlinkRequest& request);
Reply rmdir(HandlerContext& context, const RmdirRequest& request);
Reply rename(HandlerContext& context, const RenameRequest& request);
Reply lookup(HandlerContext& context, const LookupRequest& request);
Reply readlink(HandlerContext& context, const NodeRequest& request);
Reply forget(HandlerContext& context, const ForgetRequest& request);

// Attributes (handlers_attributes.cpp).
Reply getattr(HandlerContext& context, const NodeRequest& request);
Reply setattr(HandlerContext& context, const SetattrRequest& request);
Reply setxattr(HandlerContext& context, const SetxattrRequest& request, Payload value);
Reply removexattr(HandlerContext& context, const XattrRequest& request);
Reply getxattr(HandlerContext& context, const XattrRequest& request);
Reply listxattr(HandlerContext& context, const NodeRequest& request);
Reply statfs(HandlerContext& context, const NodeRequest& request);

// Data (handlers_data.cpp).
Reply read(HandlerContext& context, const ReadRequest& request);
Reply read_many(HandlerContext& context, const ReadManyRequest& request);
Reply write(HandlerContext& context, const WriteRequest& request, Payload data);
Reply append(HandlerContext& context, const AppendRequest& request, Payload data);
Reply copy(HandlerContext& context, const CopyRequest& request);
Reply fallocate(HandlerContext& context, const FallocateRequest& request);
Reply seek(HandlerContext& context, const SeekRequest& request);
Reply fsync(HandlerContext& context, const FsyncRequest& request);
Reply digest(HandlerContext& context, const DigestRequest& request);

// Locks (handlers_locks.cpp).
Reply lock(HandlerContext& context, const LockRequest& request);
Reply cancel_lock(HandlerContext& context, const CancelLockRequest& request);
Reply test_lock(HandlerContext& context, const TestLockRequest& request);

// Listings (handlers_listing.cpp).
Reply list(HandlerContext& context, const ListRequest& request);

}  // namespace handlers

/// The reply that carries `message`.
template <class Message>
Reply reply_with(const Message& message, Status status = Status::kOk) {
  return Reply{.status = status, .fields = encode_fields(message)};
}

}  // namespace homefs

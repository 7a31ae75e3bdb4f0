// The messages of the file operations, one plain struct each. The bodies of frames are these, in
// the order of their fields; PROTOCOL.md section "Messages" lists the same.
//
// The body of a request is: the introductions (a list), the message, the payload. The body of a
// reply that succeeded is: the message, the payload. Of one that failed: an ErrorReply.
//
// Every struct names its fields once, in visit(), for the encoder and for the decoder (codec.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "protocol/attributes.h"
#include "protocol/ids.h"
#include "protocol/lock_messages.h"
#include "protocol/md5_digest.h"
#include "protocol/message_fields.h"
#include "protocol/name.h"

namespace homefs {

/// "From now on `node` is the inode `inode`, which was last seen as `name` in `parent`." Sent with
/// a request whose nodes the server may not know (yet, or any more); known nodes are left as they
/// are. With parent kNoNode it is an orphan, found by its inode alone.
struct Introduction {
  NodeId node{};
  NodeId parent{};
  std::string name;  ///< a valid Name, or empty for an orphan
  InodeNumber inode{};
  std::uint32_t generation = 0;  ///< Attributes::generation of that inode
  bool operator==(const Introduction&) const = default;
  HOMEFS_FIELDS(&Introduction::node, &Introduction::parent, &Introduction::name,
                &Introduction::inode, &Introduction::generation)
};

struct Introductions {
  std::vector<Introduction> list;
  bool operator==(const Introductions&) const = default;
  HOMEFS_FIELDS(&Introductions::list)
};

struct ErrorReply {
  std::string text;  ///< for a person, may be empty
  bool operator==(const ErrorReply&) const = default;
  HOMEFS_FIELDS(&ErrorReply::text)
};

/// The reply that says nothing but its status.
struct EmptyMessage {
  bool operator==(const EmptyMessage&) const = default;
  template <class Self, class Archive>
  static void visit(Self&, Archive&) {}
};

/// Who is asking, for homes that preserve owners; ignored in others.
struct Caller {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  bool operator==(const Caller&) const = default;
  HOMEFS_FIELDS(&Caller::uid, &Caller::gid)
};

// ---- Names ----------------------------------------------------------------------------------

/// Makes a regular file. If the name exists: kExists.
struct CreateRequest {
  NodeId parent{};
  std::string name;
  NodeId node{};  ///< the number the new file will be known under
  std::uint32_t mode = 0;
  Caller caller;
  bool operator==(const CreateRequest&) const = default;
  HOMEFS_FIELDS(&CreateRequest::parent, &CreateRequest::name, &CreateRequest::node,
                &CreateRequest::mode, &CreateRequest::caller)
};

struct MkdirRequest {
  NodeId parent{};
  std::string name;
  NodeId node{};
  std::uint32_t mode = 0;
  Caller caller;
  bool operator==(const MkdirRequest&) const = default;
  HOMEFS_FIELDS(&MkdirRequest::parent, &MkdirRequest::name, &MkdirRequest::node,
                &MkdirRequest::mode, &MkdirRequest::caller)
};

/// A FIFO, a socket, an empty regular file, or (where owners are preserved) a device.
struct MknodRequest {
  NodeId parent{};
  std::string name;
  NodeId node{};
  std::uint32_t mode = 0;
  std::uint32_t device = 0;
  Caller caller;
  bool operator==(const MknodRequest&) const = default;
  HOMEFS_FIELDS(&MknodRequest::parent, &MknodRequest::name, &MknodRequest::node,
                &MknodRequest::mode, &MknodRequest::device, &MknodRequest::caller)
};

struct SymlinkRequest {
  NodeId parent{};
  std::string name;
  NodeId node{};
  std::string target;  ///< any bytes but NUL, 1 to kSymlinkBytesMax
  Caller caller;
  bool operator==(const SymlinkRequest&) const = default;
  HOMEFS_FIELDS(&SymlinkRequest::parent, &SymlinkRequest::name, &SymlinkRequest::node,
                &SymlinkRequest::target, &SymlinkRequest::caller)
};

struct LinkRequest {
  NodeId node{};  ///< the file that gets a further name
  NodeId parent{};
  std::string name;
  bool operator==(const LinkRequest&) const = default;
  HOMEFS_FIELDS(&LinkRequest::node, &LinkRequest::parent, &LinkRequest::name)
};

/// Reply to create, mkdir, mknod, symlink and link.
struct EntryReply {
  Attributes attributes;  ///< of the new or linked inode
  Attributes parent;
  GrantState grant;
  bool operator==(const EntryReply&) const = default;
  HOMEFS_FIELDS(&EntryReply::attributes, &EntryReply::parent, &EntryReply::grant)
};

struct UnlinkRequest {
  NodeId parent{};
  std::string name;
  /// This session may have the file open: if this was its last name, it is kept as an orphan.
  bool keep = false;
  /// What this session takes the file for; 0: it does not say. `keep` speaks of this one: if the
  /// name means another by now, that one is kept where this session knows it.
  NodeId node{};
  bool operator==(const UnlinkRequest&) const = default;
  HOMEFS_FIELDS(&UnlinkRequest::parent, &UnlinkRequest::name, &UnlinkRequest::keep,
                &UnlinkRequest::node)
};

struct RmdirRequest {
  NodeId parent{};
  std::string name;
  bool operator==(const RmdirRequest&) const = default;
  HOMEFS_FIELDS(&RmdirRequest::parent, &RmdirRequest::name)
};

/// Reply to unlink and rmdir.
struct RemoveReply {
  Attributes attributes;  ///< of what was removed; links says how many names are left
  Attributes parent;
  GrantState grant;
  bool operator==(const RemoveReply&) const = default;
  HOMEFS_FIELDS(&RemoveReply::attributes, &RemoveReply::parent, &RemoveReply::grant)
};

enum class RenameMode : std::uint8_t { kReplace = 0, kNoReplace = 1, kExchange = 2 };

struct RenameRequest {
  NodeId parent{};
  std::string name;
  NodeId new_parent{};
  std::string new_name;
  RenameMode mode = RenameMode::kReplace;
  bool keep = false;  ///< as in unlink, for the file that is replaced
  NodeId node{};      ///< likewise
  bool operator==(const RenameRequest&) const = default;
  HOMEFS_FIELDS(&RenameRequest::parent, &RenameRequest::name, &RenameRequest::new_parent,
                &RenameRequest::new_name, &RenameRequest::mode, &RenameRequest::keep,
                &RenameRequest::node)
};

struct RenameReply {
  Attributes attributes;            ///< of what was moved
  Attributes parent;                ///< where it was
  Attributes new_parent;            ///< where it is now
  std::optional<Attributes> other;  ///< what was replaced, or exchanged with it
  GrantState grant;
  bool operator==(const RenameReply&) const = default;
  HOMEFS_FIELDS(&RenameReply::attributes, &RenameReply::parent, &RenameReply::new_parent,
                &RenameReply::other, &RenameReply::grant)
};

// ---- Attributes -----------------------------------------------------------------------------

/// Bits of SetattrRequest::which.
enum SetattrBits : std::uint32_t {
  kSetMode = 1,
  kSetUid = 2,
  kSetGid = 4,
  kSetSize = 8,
  kSetAtime = 16,
  kSetMtime = 32,
  kSetAtimeNow = 64,
  kSetMtimeNow = 128,
  kSetKillPrivileges = 256,  ///< clear suid and sgid as before a write by an ordinary user
  kSetBitsAll = 511,
};

struct SetattrRequest {
  NodeId node{};
  std::uint32_t which = 0;
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size = 0;
  Timestamp atime, mtime;
  std::uint64_t from_grant = kWholeGrant;  ///< what of the grant a growth may use
  bool operator==(const SetattrRequest&) const = default;
  HOMEFS_FIELDS(&SetattrRequest::node, &SetattrRequest::which, &SetattrRequest::mode,
                &SetattrRequest::uid, &SetattrRequest::gid, &SetattrRequest::size,
                &SetattrRequest::atime, &SetattrRequest::mtime, &SetattrRequest::from_grant)
};

/// Reply to setattr, fallocate, setxattr, removexattr and write.
struct ChangeReply {
  Attributes attributes;
  GrantState grant;
  bool operator==(const ChangeReply&) const = default;
  HOMEFS_FIELDS(&ChangeReply::attributes, &ChangeReply::grant)
};

/// Names a node: getattr, readlink, listxattr, statfs.
struct NodeRequest {
  NodeId node{};
  bool operator==(const NodeRequest&) const = default;
  HOMEFS_FIELDS(&NodeRequest::node)
};

struct AttributesReply {
  Attributes attributes;
  bool operator==(const AttributesReply&) const = default;
  HOMEFS_FIELDS(&AttributesReply::attributes)
};

/// Reply to readlink.
struct TargetReply {
  std::string target;
  bool operator==(const TargetReply&) const = default;
  HOMEFS_FIELDS(&TargetReply::target)
};

struct LookupRequest {
  NodeId parent{};
  std::string name;
  NodeId node{};  ///< the number it will be known under, if it is found
  bool operator==(const LookupRequest&) const = default;
  HOMEFS_FIELDS(&LookupRequest::parent, &LookupRequest::name, &LookupRequest::node)
};

struct LookupReply {
  Attributes attributes;
  std::string target;  ///< of a symlink; else empty
  bool operator==(const LookupReply&) const = default;
  HOMEFS_FIELDS(&LookupReply::attributes, &LookupReply::target)
};

// ---- Listings -------------------------------------------------------------------------------

/// Lists a folder, and with `bytes_below` > 0 folders below it, nearest first, until the answer
/// holds that many bytes. The entries of a folder come in the order of their inode numbers.
struct ListRequest {
  NodeId folder{};
  std::uint64_t cursor = 0;       ///< 0, or next_cursor of the answer before
  std::uint32_t bytes_max = 0;    ///< of the folder itself; the server may answer less
  std::uint32_t bytes_below = 0;  ///< in all, for the folders below; 0 = none of them
  bool operator==(const ListRequest&) const = default;
  HOMEFS_FIELDS(&ListRequest::folder, &ListRequest::cursor, &ListRequest::bytes_max,
                &ListRequest::bytes_below)
};

struct ListedEntry {
  std::string name;
  Attributes attributes;
  std::string target;  ///< of a symlink; else empty
  bool operator==(const ListedEntry&) const = default;
  HOMEFS_FIELDS(&ListedEntry::name, &ListedEntry::attributes, &ListedEntry::target)
};

struct ListedFolder {
  Attributes folder;              ///< its inode says which folder this is
  std::uint64_t next_cursor = 0;  ///< 0: the listing is complete
  std::vector<ListedEntry> entries;
  bool operator==(const ListedFolder&) const = default;
  HOMEFS_FIELDS(&ListedFolder::folder, &ListedFolder::next_cursor, &ListedFolder::entries)
};

/// The first folder is the one asked for; those below come after their parents.
struct ListReply {
  std::vector<ListedFolder> folders;
  bool operator==(const ListReply&) const = default;
  HOMEFS_FIELDS(&ListReply::folders)
};

struct ForgetRequest {
  std::vector<NodeId> nodes;
  bool operator==(const ForgetRequest&) const = default;
  HOMEFS_FIELDS(&ForgetRequest::nodes)
};

struct StatfsReply {
  GrantState grant;
  std::uint64_t files_used = 0;
  std::uint64_t files_max = 0;        ///< 0 = unlimited
  std::uint64_t disk_bytes = 0;       ///< size of the server's file system
  std::uint64_t disk_bytes_free = 0;  ///< what an ordinary user can still write there
  bool operator==(const StatfsReply&) const = default;
  HOMEFS_FIELDS(&StatfsReply::grant, &StatfsReply::files_used, &StatfsReply::files_max,
                &StatfsReply::disk_bytes, &StatfsReply::disk_bytes_free)
};

// ---- Extended attributes --------------------------------------------------------------------

enum class XattrMode : std::uint8_t { kSet = 0, kCreate = 1, kReplace = 2 };

/// The value is the payload.
struct SetxattrRequest {
  NodeId node{};
  std::string name;
  XattrMode mode = XattrMode::kSet;
  bool operator==(const SetxattrRequest&) const = default;
  HOMEFS_FIELDS(&SetxattrRequest::node, &SetxattrRequest::name, &SetxattrRequest::mode)
};

/// getxattr and removexattr. The reply to getxattr and listxattr is an EmptyMessage with the value,
/// or the names each ended by NUL, as its payload.
struct XattrRequest {
  NodeId node{};
  std::string name;
  bool operator==(const XattrRequest&) const = default;
  HOMEFS_FIELDS(&XattrRequest::node, &XattrRequest::name)
};

// ---- Data -----------------------------------------------------------------------------------

struct ReadRequest {
  NodeId node{};
  std::uint64_t offset = 0;
  std::uint32_t length = 0;  ///< at most kPayloadBytesMax
  bool operator==(const ReadRequest&) const = default;
  HOMEFS_FIELDS(&ReadRequest::node, &ReadRequest::offset, &ReadRequest::length)
};

/// The payload is the data; shorter than asked only at the end of the file. Digests: one for each
/// piece between multiples of kBlockBytes in the file.
struct ReadReply {
  std::uint64_t version = 0;  ///< Attributes::version of what was read
  std::uint64_t size = 0;     ///< of the file
  std::vector<Md5Digest> digests;
  bool operator==(const ReadReply&) const = default;
  HOMEFS_FIELDS(&ReadReply::version, &ReadReply::size, &ReadReply::digests)
};

/// Whole small files at once. Files over `bytes_each` are answered with their size and no data.
struct ReadManyRequest {
  std::vector<NodeId> nodes;
  std::uint32_t bytes_each = 0;
  bool operator==(const ReadManyRequest&) const = default;
  HOMEFS_FIELDS(&ReadManyRequest::nodes, &ReadManyRequest::bytes_each)
};

struct ReadManyFile {
  NodeId node{};
  std::uint16_t status = 0;  ///< a Status; kWouldBlock: no room left in this answer, ask again
  std::uint64_t version = 0;
  std::uint64_t size = 0;
  std::uint32_t bytes = 0;  ///< its share of the payload
  std::vector<Md5Digest> digests;
  bool operator==(const ReadManyFile&) const = default;
  HOMEFS_FIELDS(&ReadManyFile::node, &ReadManyFile::status, &ReadManyFile::version,
                &ReadManyFile::size, &ReadManyFile::bytes, &ReadManyFile::digests)
};

struct ReadManyReply {
  std::vector<ReadManyFile> files;  ///< in the order asked; the payload holds their data, joined
  bool operator==(const ReadManyReply&) const = default;
  HOMEFS_FIELDS(&ReadManyReply::files)
};

inline constexpr std::uint64_t kBufferedWrite = 1;  ///< see WriteRequest::page_order

/// The payload is the data, 1 to kPayloadBytesMax bytes. Answered with ChangeReply, or with
/// kBlockMismatch when a piece does not fit its digest: nothing was written then.
struct WriteRequest {
  NodeId node{};
  std::uint64_t offset = 0;
  std::vector<Md5Digest> digests;
  /// At most one change of the same node, not of its size; made when the data is written.
  std::vector<SetattrRequest> then;
  /// 0: the program waits for the answer. kBufferedWrite: it was told before that it is done. More:
  /// no write(2), but pages of a mapping that the kernel writes back at some time after the stores.
  /// It had been told of other sessions' changes up to this order.
  std::uint64_t page_order = 0;
  std::uint64_t from_grant = kWholeGrant;  ///< what of the grant a growth may use
  bool operator==(const WriteRequest&) const = default;
  HOMEFS_FIELDS(&WriteRequest::node, &WriteRequest::offset, &WriteRequest::digests,
                &WriteRequest::then, &WriteRequest::page_order, &WriteRequest::from_grant)
};

/// Data for the end of the file, wherever that is. Digests as if it was written at offset 0.
struct AppendRequest {
  NodeId node{};
  std::vector<Md5Digest> digests;
  std::uint64_t from_grant = kWholeGrant;  ///< what of the grant a growth may use
  bool operator==(const AppendRequest&) const = default;
  HOMEFS_FIELDS(&AppendRequest::node, &AppendRequest::digests, &AppendRequest::from_grant)
};

struct AppendReply {
  std::uint64_t offset = 0;  ///< where the data is now
  Attributes attributes;
  GrantState grant;
  bool operator==(const AppendReply&) const = default;
  HOMEFS_FIELDS(&AppendReply::offset, &AppendReply::attributes, &AppendReply::grant)
};

struct FsyncRequest {
  NodeId node{};
  bool data_only = false;  ///< fdatasync
  bool operator==(const FsyncRequest&) const = default;
  HOMEFS_FIELDS(&FsyncRequest::node, &FsyncRequest::data_only)
};

struct CopyRequest {
  NodeId source{};
  std::uint64_t source_offset = 0;
  NodeId target{};
  std::uint64_t target_offset = 0;
  std::uint64_t length = 0;                ///< at most kCopyBytesMax
  std::uint64_t from_grant = kWholeGrant;  ///< what of the grant a growth may use
  bool operator==(const CopyRequest&) const = default;
  HOMEFS_FIELDS(&CopyRequest::source, &CopyRequest::source_offset, &CopyRequest::target,
                &CopyRequest::target_offset, &CopyRequest::length, &CopyRequest::from_grant)
};

/// Status kCopied.
struct CopyReply {
  std::uint64_t length = 0;  ///< bytes copied; less than asked at the source's end
  Attributes attributes;     ///< of the target
  GrantState grant;
  bool operator==(const CopyReply&) const = default;
  HOMEFS_FIELDS(&CopyReply::length, &CopyReply::attributes, &CopyReply::grant)
};

enum class FallocateMode : std::uint8_t {
  kAllocate = 0,
  kKeepSize = 1,
  kPunchHole = 2,
  kZero = 3,
  kZeroKeepSize = 4
};

struct FallocateRequest {
  NodeId node{};
  FallocateMode mode = FallocateMode::kAllocate;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t from_grant = kWholeGrant;  ///< what of the grant a growth may use
  bool operator==(const FallocateRequest&) const = default;
  HOMEFS_FIELDS(&FallocateRequest::node, &FallocateRequest::mode, &FallocateRequest::offset,
                &FallocateRequest::length, &FallocateRequest::from_grant)
};

enum class SeekWhence : std::uint8_t { kData = 0, kHole = 1 };

struct SeekRequest {
  NodeId node{};
  std::uint64_t offset = 0;
  SeekWhence whence = SeekWhence::kData;
  bool operator==(const SeekRequest&) const = default;
  HOMEFS_FIELDS(&SeekRequest::node, &SeekRequest::offset, &SeekRequest::whence)
};

struct SeekReply {
  std::uint64_t offset = 0;
  bool operator==(const SeekReply&) const = default;
  HOMEFS_FIELDS(&SeekReply::offset)
};

/// MD5 of a whole file (`whole`), or of each block that touches [offset, offset + length).
struct DigestRequest {
  NodeId node{};
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  bool whole = false;
  bool operator==(const DigestRequest&) const = default;
  HOMEFS_FIELDS(&DigestRequest::node, &DigestRequest::offset, &DigestRequest::length,
                &DigestRequest::whole)
};

struct DigestReply {
  std::uint64_t version = 0;
  std::uint64_t size = 0;
  std::vector<Md5Digest> digests;
  bool operator==(const DigestReply&) const = default;
  HOMEFS_FIELDS(&DigestReply::version, &DigestReply::size, &DigestReply::digests)
};

// ---- Events ---------------------------------------------------------------------------------

/// The home has one session (sole) or several (shared). Acknowledged when the session's caches
/// and its use of the grant obey.
struct ModeEvent {
  bool is_shared = false;
  bool operator==(const ModeEvent&) const = default;
  HOMEFS_FIELDS(&ModeEvent::is_shared)
};

/// One thing that another session changed.
struct Change {
  InodeNumber inode{};  ///< its attributes or data; a folder: its entries
  std::string name;  ///< the entry of the folder `inode` that came, went or was replaced; or empty
  bool has_data = false;   ///< the contents of the file changed, not only attributes
  InodeNumber target{};    ///< of an entry that came or was replaced: what it leads to; else 0
  std::uint64_t size = 0;  ///< has_data: of the file, after it
  bool operator==(const Change&) const = default;
  HOMEFS_FIELDS(&Change::inode, &Change::name, &Change::has_data, &Change::target, &Change::size)
};

struct ChangedEvent {
  std::uint64_t order = 0;  ///< attributes of these inodes with a lower order are void
  std::vector<Change> changes;
  bool operator==(const ChangedEvent&) const = default;
  HOMEFS_FIELDS(&ChangedEvent::order, &ChangedEvent::changes)
};

struct QuotaEvent {
  GrantState grant;
  bool operator==(const QuotaEvent&) const = default;
  HOMEFS_FIELDS(&QuotaEvent::grant)
};

// X(Message) for every struct above and of lock_messages.h, in the order of PROTOCOL.md: for the
// codec, its tests and its fuzzer, whose inputs begin with the place in this list.
// clang-format off
#define HOMEFS_EVERY_MESSAGE(X)                                                                   \
  X(Introduction) X(Introductions) X(ErrorReply) X(EmptyMessage) X(Caller) X(CreateRequest)       \
  X(MkdirRequest) X(MknodRequest) X(SymlinkRequest) X(LinkRequest) X(EntryReply) X(UnlinkRequest) \
  X(RmdirRequest) X(RemoveReply) X(RenameRequest) X(RenameReply) X(SetattrRequest) X(ChangeReply) \
  X(NodeRequest) X(AttributesReply) X(TargetReply) X(LookupRequest) X(LookupReply) X(ListRequest) \
  X(ListedEntry) X(ListedFolder) X(ListReply) X(ForgetRequest) X(StatfsReply) X(SetxattrRequest)  \
  X(XattrRequest) X(ReadRequest) X(ReadReply) X(ReadManyRequest) X(ReadManyFile) X(ReadManyReply) \
  X(WriteRequest) X(AppendRequest) X(AppendReply) X(FsyncRequest) X(CopyRequest) X(CopyReply)     \
  X(FallocateRequest) X(SeekRequest) X(SeekReply) X(DigestRequest) X(DigestReply) X(LockRequest)  \
  X(LockReply) X(CancelLockRequest) X(TestLockRequest) X(LockHolder) X(TestLockReply)             \
  X(ModeEvent) X(Change) X(ChangedEvent) X(QuotaEvent) X(LockGrantedEvent)
// clang-format on

}  // namespace homefs

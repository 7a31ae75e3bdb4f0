// Home: one user's files on the server's disk, and every operation on them.
//
// An operation names what it works on as (inode) or as (inode of a folder, one valid Name); no path
// ever gets here. Names are resolved below the home's root only, symlinks are returned and never
// followed, mounts inside the home are not entered. Errors are those that ext4 gives.
//
// Orders and locks. Changes of names of one home are applied one at a time
// (InodeTable::names_mutex): what decides whether a name was an inode's last one must not change
// under the decision. Data of one inode is read and written by many threads at once; what changes
// its size is alone with it (Inode::size_lock), so that the quota is exact to the byte. Order:
// names_mutex, size locks (two of them by inode number), UsageScan::Change, leaf locks. Descriptors
// are opened before any of them.
//
// Until the use of a home is known (a recount after an unclean stop) operations that need quota
// wait for it, if the home has a limit; reading never waits.
//
// Owner: shared by the sessions that have it and the registry of homes. Executor: thread-safe.
// Blocks: on the disk.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/buffer.h"
#include "protocol/limits.h"
#include "protocol/messages.h"
#include "protocol/name.h"
#include "protocol/result.h"
#include "protocol/unique_fd.h"
#include "server/absent_sessions.h"
#include "server/change_facts.h"
#include "server/descriptor_cache.h"
#include "server/folder_watch.h"
#include "server/foreign_changes.h"
#include "server/inode.h"
#include "server/posix_disk.h"
#include "server/usage_scan.h"

namespace homefs {

class DigestCache;
class Grant;
class HomeLocks;
class InodeTable;
class NodeTable;
class Orphanage;
class Quota;
class SyncDebt;
class ToldLog;
class Touched;
class UsageStore;
struct WriteTurn;
struct NewInode;
struct Usage;

class Home;

struct HomeOptions {
  std::string root;              ///< path of the folder that is served; it has to exist
  std::string orphan_folder;     ///< outside of `root`, on the same file system; made if missing
  std::uint64_t bytes_max = 0;   ///< the quota; 0 = unlimited
  std::uint64_t files_max = 0;   ///< inodes below the root; 0 = unlimited
  bool preserve_owners = false;  ///< clients may set owners and make devices (file_mode.h)
  /// How long orphans that a stop of the server left behind wait for their sessions.
  std::chrono::seconds orphan_linger = kSessionLingerDefault;
  std::shared_ptr<DescriptorCache> descriptors;  ///< of the process; null: one of its own
  std::shared_ptr<BufferPool> buffers;           ///< of the process; null: one of its own
  std::shared_ptr<UsageStore> usage;  ///< remembers the use over a restart; null: always recounts
  /// Says what others change on the disk; null: nobody does.
  std::shared_ptr<FolderWatch> watch;
  /// Is told of that, on the watch's thread. Inode 0: anything may have changed.
  std::function<void(const std::vector<Change>&)> on_beside;
  /// Called once, when the home can be worked on and before anybody does: settles what a kill of
  /// the server has left in doubt. With its error the home does not open.
  std::function<Result<void>(Home&)> on_open;
};

/// On whose behalf a change is made.
struct Actor {
  Grant& grant;            ///< the session's share of the quota
  const NodeTable& nodes;  ///< what the session itself has bound
  Touched& touched;        ///< what is changed is noted here
  Caller caller;           ///< who owns what is made, in homes that preserve owners
  /// What of the grant a growth may use.
  std::uint64_t from_grant = kWholeGrant;
  /// Where a change in the sequence writes down what it does; null: it is outside of it.
  ChangeJournal* journal = nullptr;
  /// Of a write with a number; else null.
  const WriteTurn* write = nullptr;
  /// What others have changed while the session was late; null: it never is.
  const ForeignChanges* foreign = nullptr;
  bool is_buffered = false;  ///< of a write: its program was told that it is done, kBufferedWrite
};

/// What a create, mkdir, mknod, symlink, link or lookup found or made.
struct Entry {
  InodeRef inode;
  Attributes attributes;
  Attributes parent;   ///< not filled in by lookup
  std::string target;  ///< of a symlink; filled in by lookup only
};

/// What unlink and rmdir removed.
struct Removal {
  Attributes attributes;  ///< `links`: names that are left
  Attributes parent;
};

struct Move {
  Attributes attributes;            ///< of what was moved
  Attributes parent;                ///< where it was
  Attributes new_parent;            ///< where it is
  std::optional<Attributes> other;  ///< what was replaced, or exchanged with it
};

/// What clients know an inode by when the server does not know it any more.
struct InodeName {
  InodeNumber number{};
  std::uint32_t generation = 0;  ///< Attributes::generation
};

/// A name in a folder, as the arguments of a rename.
struct Place {
  const InodeRef& parent;
  const Name& name;
};

/// Whether a file whose last name goes is kept for the session that asked for it. What other
/// sessions know is kept in any case.
struct KeepRule {
  bool keep = false;       ///< the session may have it open
  NodeId meant = kNoNode;  ///< what the session takes it for; another file is kept if it knows it
};

struct RenameOptions {
  RenameMode mode = RenameMode::kReplace;
  KeepRule rule{};  ///< for the file that is replaced
};

/// What a read brought. `data` is empty at and behind the end of the file.
struct ReadResult {
  Slice data;
  std::uint64_t version = 0;
  std::uint64_t size = 0;
};

struct AppendResult {
  std::uint64_t offset = 0;
  Attributes attributes;
};

struct CopyResult {
  std::uint64_t length = 0;
  Attributes attributes;
};

/// A part of two files: copy()'s arguments.
struct CopyRange {
  std::uint64_t source_offset = 0;
  std::uint64_t target_offset = 0;
  std::uint64_t length = 0;
};

/// One entry of a folder as its listing file says it, before its attributes are asked for.
struct FolderEntry {
  std::uint64_t inode = 0;
  std::string name;
};

class Home final : public FolderListener, public std::enable_shared_from_this<Home> {
 public:
  /// Opens the home, finds the orphans that were left behind, and starts a recount of its use when
  /// that is not known. kNotSupported: the file system has no user xattrs or no renameat2.
  static Result<std::shared_ptr<Home>> open(HomeOptions options);
  ~Home() override;
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;

  // ---- Life (home.cpp) ----

  /// The server is going to stop: from now on the end of a session deletes no orphans, for the
  /// session will be back after the restart; and the use is remembered as exact. No request may
  /// run any more.
  void stop();
  /// Applies a new quota from now on. Lowering it below the use refuses growth, deletes nothing.
  void set_limits(std::uint64_t bytes_max, std::uint64_t files_max);
  /// From now on; what is in the home stays as it is kept.
  void set_preserves_owners(bool preserves) { preserves_owners_.store(preserves); }
  [[nodiscard]] bool preserves_owners() const { return preserves_owners_.load(); }
  /// Deletes the orphans that nobody knows, and whose sessions did not come within the linger time,
  /// or are all back and have not introduced them. To be called now and then. Returns how many.
  std::size_t sweep_orphans(std::chrono::steady_clock::time_point now);
  /// A session of an earlier run of the server may still come back. Until it has told what it has
  /// open, files that lose a name are kept for it. Harmless for one that is expected already.
  void expect_session(const SessionId& id);
  /// It will not, or is back and begin_introduction() was called.
  void expect_session_no_longer(const SessionId& id);
  /// The session with these nodes is back, and is going to introduce what it has open; it has done
  /// so, or is over. At the end what was kept for it, and it does not know, is deleted.
  void begin_introduction(const NodeTable& session);
  void end_introduction(const NodeTable& session);
  /// Whether orphans are there that wait for their sessions.
  [[nodiscard]] bool has_waiting_orphans() const;
  /// Counts the use again, in the background, and in a part of the time; until then what is known
  /// counts.
  void recount();
  /// Does that when others have changed the home, and now and then. True: it has begun.
  /// To be called every second or so.
  bool care_for_usage(std::chrono::steady_clock::time_point now);
  /// Files and folders that the last count could not look at.
  [[nodiscard]] std::size_t missed_in_count() const { return scan_->missed(); }
  /// Folders of which changes beside the server are not heard, as there were no watches left.
  [[nodiscard]] std::size_t unwatched() const { return unwatched_.load(); }
  /// False until the first count is complete.
  [[nodiscard]] bool is_usage_known() const;
  /// Waits for a recount that runs.
  void wait_until_counted() const { scan_->wait(); }
  /// Waits for that. Blocks: as long as it takes to stat every file.
  void wait_until_usage_known() const;
  [[nodiscard]] Usage usage() const;

  /// Closes descriptors that no operation uses: the process has none left.
  void spare_descriptors() { options_.descriptors->shrink(); }

  [[nodiscard]] const InodeRef& root() const { return root_; }
  /// The folder at `path` ("a/b", relative to the root; "" is the root): the mount of a subfolder.
  Result<InodeRef> find_folder(std::string_view path);

  // ---- Names (home_names.cpp, home_unlink.cpp, home_rename.cpp) ----

  Result<Entry> lookup(const InodeRef& parent, const Name& name);
  /// Makes a regular file with exactly `mode`; never opens one that exists (kExists).
  Result<Entry> create(const Actor& actor, const InodeRef& parent, const Name& name,
                       std::uint32_t mode);
  Result<Entry> mkdir(const Actor& actor, const InodeRef& parent, const Name& name,
                      std::uint32_t mode);
  /// FIFOs, sockets and regular files, and devices in homes that preserve owners; else those are
  /// kNotPermitted. `device`: the number of one.
  Result<Entry> mknod(const Actor& actor, const InodeRef& parent, const Name& name,
                      std::uint32_t mode, std::uint32_t device);
  Result<Entry> symlink(const Actor& actor, const InodeRef& parent, const Name& name,
                        const std::string& target);
  Result<Entry> link(const Actor& actor, const InodeRef& inode, const InodeRef& parent,
                     const Name& name);
  /// The last name of a file that `keep` says is open, or that another session knows, goes to the
  /// orphanage instead.
  Result<Removal> unlink(const Actor& actor, const InodeRef& parent, const Name& name,
                         const KeepRule& rule);
  Result<Removal> rmdir(const Actor& actor, const InodeRef& parent, const Name& name);
  Result<Move> rename(const Actor& actor, const Place& from, const Place& to,
                      const RenameOptions& options);
  Result<std::string> readlink(const InodeRef& inode);

  /// The inode `known` if it is still `name` in `parent`, or moved while some session knew it, or
  /// has a link in the orphanage. Else kStale.
  Result<InodeRef> reintroduce(const InodeRef& parent, const Name& name, const InodeName& known);
  /// An orphan, also one of before a restart. Else kStale.
  Result<InodeRef> adopt_orphan(const InodeName& known);
  /// Tells that a session that knew the inode may not any more: an orphan nobody knows is deleted.
  void released(InodeNumber number);

  // ---- Attributes (home_attributes.cpp) ----

  Result<Attributes> getattr(const InodeRef& inode);
  /// Applies size, owner and mode, and times, in this order. Any other change of owner than one
  /// that is none is kNotPermitted in a home that does not preserve owners.
  Result<Attributes> setattr(const Actor& actor, const InodeRef& inode,
                             const SetattrRequest& request);
  Result<Attributes> setxattr(const Actor& actor, const InodeRef& inode, const std::string& name,
                              std::span<const std::byte> value, XattrMode mode);
  Result<Attributes> removexattr(const Actor& actor, const InodeRef& inode,
                                 const std::string& name);
  Result<std::vector<std::byte>> getxattr(const InodeRef& inode, const std::string& name);
  /// The names, each ended by NUL. Without those that homefs keeps for itself.
  Result<std::vector<std::byte>> listxattr(const InodeRef& inode);
  /// All but the grant.
  Result<StatfsReply> statfs();

  // ---- Data (home_read.cpp, home_growth.cpp, home_write.cpp) ----

  /// Up to `length` bytes. Precondition: length <= kPayloadBytesMax.
  Result<ReadResult> read(const InodeRef& inode, std::uint64_t offset, std::size_t length);
  /// All of `data` or nothing: what does not fit the quota changes no byte. Alone with the file
  /// from the first byte until Actor::write knows of it. kLeaseLost: the session is late with it,
  /// and another has changed the file there.
  Result<Attributes> write(const Actor& actor, const InodeRef& inode, std::uint64_t offset,
                           std::span<const std::byte> data);
  /// Pages of a mapping, of a session that knows of changes up to `page_order`: see PROTOCOL.md.
  /// What they would undo is left out; never kOverQuota. kLeaseLost: as of write().
  Result<Attributes> write_back(const Actor& actor, const InodeRef& inode, std::uint64_t offset,
                                std::span<const std::byte> data, std::uint64_t page_order);
  Result<AppendResult> append(const Actor& actor, const InodeRef& inode,
                              std::span<const std::byte> data);
  /// At most kCopyBytesMax.
  Result<CopyResult> copy(const Actor& actor, const InodeRef& source, const InodeRef& target,
                          const CopyRange& range);
  Result<Attributes> fallocate(const Actor& actor, const InodeRef& inode,
                               const FallocateRequest& request);
  Result<std::uint64_t> seek(const InodeRef& inode, std::uint64_t offset, SeekWhence whence);
  Result<void> fsync(const InodeRef& inode, bool data_only);
  /// Syncs what earlier changes have touched.
  Result<void> settle(SyncDebt& debt);
  /// Reads the part of the file that the request names and hashes it.
  /// `is_cancelled` is asked once a MiB; empty: never. Errors beside those of reading:
  /// kInterrupted.
  Result<DigestReply> digest(const InodeRef& inode, const DigestRequest& request,
                             const std::function<bool()>& is_cancelled = {});

  // ---- Listings (home_listing.cpp) ----

  /// The folder's descriptor, for the calls below. kNotDirectory.
  Result<disk::FdRef> open_folder(const InodeRef& folder);
  /// Numbers and names of what is in `folder`, in the order of the inode numbers. kTooBig: the
  /// names have more bytes than the caller has use for.
  Result<std::vector<FolderEntry>> read_folder(const disk::FdRef& folder,
                                               std::size_t name_bytes_max);
  /// Attributes and target of an entry that was just read; kNoSuchFile when it is gone.
  Result<ListedEntry> stat_entry(const disk::FdRef& folder, const FolderEntry& entry);

  // ---- Changes beside the server (home_beside.cpp) ----

  void on_news(const InodeRef& folder, const FolderNews& news) override;
  void on_news_lost() override;
  void on_quiet() override;

  // ---- After a kill (home_recovery.cpp) ----

  /// Finds out whether the change was done that `facts` were written down for, with nothing done
  /// after it, and finishes it if it was half done. What it came to; nothing: it was not done, and
  /// nothing of it is left. Errors: the disk does not tell; then neither may be answered, and it
  /// has to be asked again. Precondition: called from HomeOptions::on_open.
  Result<std::optional<ChangeOutcome>> resolve(const ChangeFacts& facts);

  [[nodiscard]] Quota& quota() { return *quota_; }
  [[nodiscard]] InodeTable& inodes() { return *inodes_; }
  [[nodiscard]] HomeLocks& locks() { return *locks_; }
  [[nodiscard]] LateSessions& late_sessions() { return late_sessions_; }
  [[nodiscard]] const std::shared_ptr<BufferPool>& buffers() const { return options_.buffers; }

 private:
  struct Farewell;
  explicit Home(HomeOptions options);
  Result<void> open_folders();
  Result<void> start_counting();

  void watch(const InodeRef& folder, int fd);
  void touch_entry(const Actor& actor, const InodeRef& folder, const Name& name,
                   InodeNumber target = {});
  void touch_data(const Actor& actor, const InodeRef& inode, std::uint64_t size,
                  std::uint64_t from);
  static void note_data_order(const Inode& inode, const Attributes& after);
  void note_told(const Attributes& attributes);
  bool find_foreign_name(const InodeRef& folder, int folder_fd, const Name& name,
                         std::vector<Change>& changes);
  void find_foreign_content(int folder_fd, const Name& name, std::vector<Change>& changes);
  void find_foreign_attributes(const InodeRef& folder, int folder_fd, std::vector<Change>& changes);
  Attributes told(const InodeRef& inode, const disk::Stat& stat, bool is_change);
  Result<Attributes> told_fd(const InodeRef& inode, int fd, bool is_change);
  Result<Attributes> told_changed(const InodeRef& inode, int fd) {
    return told_fd(inode, fd, /*is_change=*/true);
  }

  Result<Entry> try_lookup(const InodeRef& parent, int folder, const Name& name);
  Result<NewInode> newborn(const Actor& actor, const InodeRef& parent, std::uint32_t mode);
  static Result<void> correct_mode(int fd, const NewInode& wanted, disk::Stat& stat);
  Result<Entry> make(const Actor& actor, const InodeRef& parent, const Name& name,
                     const NewInode& wanted);
  Result<disk::FdRef> open_file(const InodeRef& inode);
  Result<disk::FdRef> open_for_xattrs(const InodeRef& inode);

  struct Growth;
  Result<Growth> begin_growth(const Actor& actor, const InodeRef& inode, const disk::FdRef& file,
                              const InodeRef& source_or_null = nullptr);
  Result<void> reserve_to(Growth& growth, std::uint64_t size);
  Result<Attributes> end_growth(Growth& growth, const Result<void>& done);
  static void note_newest(const Actor& actor, const Growth& growth, const SetattrRequest& request,
                          std::uint64_t order);
  static Result<void> change_attributes(int fd, const disk::Stat& before,
                                        const SetattrRequest& request);
  [[nodiscard]] ChangeFacts facts_of(ChangeKind kind, const InodeRef& at) const;
  [[nodiscard]] ChangeFacts facts_of(ChangeKind kind, const InodeRef& folder,
                                     const Name& name) const;
  class Recovery;
  Result<bool> remove_orphan(InodeNumber number, std::chrono::steady_clock::time_point now);
  void decide_orphans(std::chrono::steady_clock::time_point now);
  [[nodiscard]] std::chrono::steady_clock::time_point date_of_adopted() const;
  Result<Farewell> prepare_farewell(const Actor& actor, const InodeRef& parent, int folder,
                                    const Name& name, const KeepRule& rule);
  [[nodiscard]] ChangeFacts facts_of_removal(const Farewell& farewell, const InodeRef& parent,
                                             const Name& name) const;
  void cancel_farewell(Farewell& farewell);
  Attributes finish_farewell(Farewell& farewell, const Attributes& parent_after);

  Result<Removal> told_removal(Farewell& farewell, const InodeRef& parent, int folder);

  struct Rename;
  Result<Move> move(const Rename& rename);
  Result<Move> exchange(const Rename& rename);
  Result<Move> told_move(const Rename& rename);
  void note_moved(const Rename& rename, const InodeRef& other_or_null);
  [[nodiscard]] ChangeFacts facts_of_rename(ChangeKind kind, const Rename& rename) const;
  void touch_moved(UsageScan::Change& change, const disk::Stat& stat, const Place& at);

  HomeOptions options_;
  std::unique_ptr<Quota> quota_;
  std::unique_ptr<InodeTable> inodes_;
  std::unique_ptr<Orphanage> orphanage_;
  std::unique_ptr<UsageScan> scan_;
  const std::unique_ptr<DigestCache> digests_;
  const std::unique_ptr<HomeLocks> locks_;
  const std::unique_ptr<ToldLog> told_log_;
  std::atomic<bool> is_watching_{false};
  std::atomic<std::size_t> unwatched_{0};
  std::atomic<bool> must_recount_{false};
  std::chrono::steady_clock::time_point last_recount_;  // of care_for_usage() alone
  InodeRef root_;
  std::atomic<bool> is_stopping_{false};
  std::atomic<bool> preserves_owners_;
  AbsentSessions absent_;
  LateSessions late_sessions_;
};

}  // namespace homefs

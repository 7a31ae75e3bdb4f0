// FileSystem: the client core. What each file operation does, without anything of FUSE in it.
//
// Every operation is a coroutine: what the cache can answer is answered without a suspension, in
// the thread that asked; everything else goes on in the thread that received the answer. State
// is reached only through state_.lock(), never across a co_await, never while sending.
//
// Owner: the mount. Executor: thread-safe. Blocks: never.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fusefs/client_state.h"
#include "fusefs/file_locks.h"
#include "fusefs/kernel_notifier.h"
#include "fusefs/link.h"
#include "fusefs/posts.h"
#include "fusefs/transfer_events.h"
#include "protocol/guarded.h"

namespace homefs {

struct FileSystemOptions {
  /// Dirty data of all files, and of one. Over it a write waits; 32 MiB is 16 requests on the wire
  /// and as many being filled.
  std::size_t dirty_bytes_max = 128 * 1024 * 1024;
  std::size_t dirty_bytes_per_file_max = 32 * 1024 * 1024;
  /// Data of all files that was read and not given to the kernel yet, or that it does not keep.
  std::size_t read_bytes_max = ReadMemory::kBytesMaxDefault;
  /// Small files read ahead of a scan, that nobody has opened yet.
  std::size_t prefetched_bytes_max = 16 * 1024 * 1024;
  /// Names that are cached, and the kernel's. Over it the folders that were not used for the
  /// longest time are given up, but for what is open; ~300 bytes each.
  std::size_t names_max = 500'000;
  /// How long the kernel may keep names and attributes while the home is ours alone. We tell it
  /// when that ends, so this only bounds the harm of a lost notification.
  std::chrono::seconds sole_ttl{3600};
};

/// A name, as the kernel is answered. `node` kNoNode: it does not exist, and that may be kept.
struct EntryOut {
  NodeId node{};
  Attributes attributes;
  std::chrono::seconds entry_ttl{};
  std::chrono::seconds attributes_ttl{};
};

struct AttributesOut {
  Attributes attributes;
  std::chrono::seconds ttl{};
  bool has_older_pages = false;  ///< the kernel may have them, and is told of that first
};

struct OpenOut {
  std::uint64_t handle = 0;
  bool keep_cache = false;  ///< the kernel's pages are still the file's contents
  bool direct_io = false;   ///< the kernel must not write through pages of its own
  bool has_locks = false;   ///< somebody may have locked it: each close(2) matters
};

struct FolderOut {
  std::uint64_t handle = 0;
  bool may_cache = false;   ///< the kernel may keep the listing until the next opening
  bool keep_cache = false;  ///< the listing that the kernel has kept is still true
};

struct CreateOut {
  EntryOut entry;
  OpenOut open;
};

/// Where a write(2) goes, and what the kernel says about it.
struct WriteTarget {
  NodeId node{};
  std::uint64_t handle = 0;
  std::uint64_t offset = 0;  ///< of an append: what the kernel takes for the end of the file
  bool is_append = false;    ///< O_APPEND
  bool is_page = false;      ///< a page that was stored to through mmap(2); any handle of the file
  bool is_synced = false;    ///< O_SYNC, RWF_SYNC
  bool is_data_synced = false;  ///< O_DSYNC, RWF_DSYNC
};

/// A new file system object that is no regular file being opened.
struct MakeRequest {
  NodeId parent{};
  std::string name;
  std::uint32_t mode = 0;  ///< with the type
  std::uint32_t device = 0;
  std::string target;  ///< of a symlink
  Caller caller;
};

class FileSystem final : public LinkEvents, public IntroductionSource {
 public:
  /// Runs a function later, on an io thread. Thread-safe, never runs it at once.
  using Post = Posts::Post;

  FileSystem(Post post, FileSystemOptions options);
  ~FileSystem() override { wait_posted(); }
  FileSystem(const FileSystem&) = delete;
  FileSystem& operator=(const FileSystem&) = delete;

  /// Sets what it works with; before the first operation. Link, notifier and events outlive it.
  void attach(Link& link, KernelNotifier& notifier, TransferEvents& transfers);

  /// Asks for the root's attributes and the quota, which every later answer relies on.
  Task<Result<>> start();

  // Names (file_system_lookup.cpp, file_system_names.cpp).
  Task<Result<EntryOut>> lookup(NodeId parent, std::string name);
  void forget(NodeId node, std::uint64_t count);
  Task<Result<EntryOut>> make(MakeRequest request);
  Task<Result<EntryOut>> link(NodeId node, NodeId parent, std::string name);
  Task<Result<>> remove(NodeId parent, std::string name, bool is_folder);
  Task<Result<>> rename(RenameRequest request);
  Task<Result<std::string>> readlink(NodeId node);

  // Attributes (file_system_lookup.cpp, file_system_attributes.cpp, file_system_own_xattrs.cpp).
  Task<Result<AttributesOut>> getattr(NodeId node);
  /// `handle`: through which the size is set; 0: by name.
  Task<Result<AttributesOut>> setattr(SetattrRequest request, std::uint64_t handle = 0);
  /// Whether the file's mode has suid or sgid.
  bool has_privileges(NodeId node);
  Task<Result<>> setxattr(NodeId node, std::string name, Slice value, XattrMode mode);
  Task<Result<SharedBuffer>> getxattr(NodeId node, std::string name);
  Task<Result<SharedBuffer>> listxattr(NodeId node);
  Task<Result<>> removexattr(NodeId node, std::string name);
  /// Never asks the server while the home has a quota; else the disk's figures of a while ago.
  /// Asks the server, as other sessions use the home too; out of memory where it is away, or does
  /// not answer for kStatfsPatience and a tick.
  Task<StatfsReply> statfs();
  /// Ends the wait of those. To be called by a ticker, every kHoldingTime or so.
  void end_late_statfs();
  static constexpr std::chrono::milliseconds kStatfsPatience{1000};

  // Folders (file_system_folders.cpp).
  Task<Result<FolderOut>> open_folder(NodeId node);
  /// Before reading: waits for the listing where the opening did not, and takes it anew if it was
  /// read before and is to be read from offset 0 (rewinddir()).
  Task<Result<>> rewind_folder(std::uint64_t handle, std::uint64_t offset = 0);
  /// Ends the wait of those who open a folder for a server that does not answer for
  /// kStatfsPatience. To be called by a ticker, as end_late_statfs().
  void end_late_openings();
  /// Shows the entries from `offset` on (0 = ".", 1 = "..") until `show` says that there is no more
  /// room. `with_lookup`: each entry shown is looked up by the kernel, except "." and "..".
  using Show = std::function<bool(const SnapshotEntry& entry, const EntryOut& out,
                                  std::uint64_t next_offset)>;
  Result<> read_folder(std::uint64_t handle, std::uint64_t offset, bool with_lookup,
                       const Show& show);
  void release_folder(std::uint64_t handle);

  // Files (file_system_files.cpp, file_system_read.cpp, file_system_write.cpp).
  Task<Result<CreateOut>> create(CreateRequest request, int open_flags);
  Task<Result<OpenOut>> open(NodeId node, int open_flags);
  void release(std::uint64_t handle);
  /// `is_page`: the kernel holds the pages that it fills, though the handle has none: a mapping is
  /// read. Then no write is waited for that waits for other mounts.
  Task<Result<std::vector<Slice>>> read(std::uint64_t handle, std::uint64_t offset,
                                        std::uint32_t length, bool is_page = false);
  /// Waits until a write need not wait for the data of earlier ones to leave.
  Task<> room_for(NodeId node);
  /// The data is taken over. Answered when it is buffered, or (over the grant, or shared) when the
  /// server has taken it, or has it on its disk where the kernel leaves O_SYNC to us. An append
  /// goes to the end of the file, wherever the kernel believes that to be: while the home is shared
  /// the server decides where it is. Then call send_writes(), after the caller has been answered.
  Task<Result<>> write(WriteTarget to, Slice data);
  void send_writes(NodeId node);
  /// Sends the small writes that were held back to be joined by others; to be called every
  /// kHoldingTime or so.
  void send_held_writes();
  static constexpr std::chrono::milliseconds kHoldingTime{250};
  /// Likewise: drops the nodes to which nothing leads any more, and tells the server of the numbers
  /// that nobody uses here any more. Another mount may
  /// have removed the files meanwhile, whose bytes wait for that.
  void send_waiting_forgets();
  /// Waits until the server has all writes of the file, and reports what went wrong with them, as
  /// far as the writable `handle` was not told. It is told again: close(2) is often not heard.
  Task<Result<>> flush(NodeId node, std::uint64_t handle);
  /// Of a folder `handle` is 0. An error is told to every handle of the file, each once.
  Task<Result<>> fsync(NodeId node, std::uint64_t handle, bool data_only);
  /// `handle` is of the target.
  Task<Result<std::uint64_t>> copy(CopyRequest request, std::uint64_t handle);
  Task<Result<std::uint64_t>> seek(SeekRequest request);
  Task<Result<>> fallocate(FallocateRequest request, std::uint64_t handle);

  // Locks (file_system_locks.cpp).
  [[nodiscard]] FileLocks& locks() { return locks_; }
  /// As FileLocks::set(). Before something is unlocked, its data is on the server.
  Task<Result<>> set_lock(FileLock lock, std::uint64_t id);
  /// A close(2) by the owner `lock_owner`: as flush(), and it holds no record locks of the file any
  /// more.
  Task<Result<>> close(NodeId node, std::uint64_t handle, std::uint64_t lock_owner);
  /// As release(), and the locks that go with the handle are dropped.
  void release_with_locks(std::uint64_t handle);

  /// Waits until no file has unsent data; for unmounting.
  Task<> drain_all();

  /// The same for a thread. Blocks: yes, for as long as the server is away.
  void wait_until_sent();

  /// Sends what is unsent, then waits for everything that runs in the background. Blocks: yes;
  /// after the last operation.
  void wait_idle();

  /// What a change of the name is about, as far as it is known: the name, its folder, the node.
  Concerned concerned_by(NodeId parent, const std::string& name);
  /// The kernel may have been told what was before: it asks anew.
  void correct_kernel(const Concerned& concerned);
  /// The kernel has been answered that it may keep the node's attributes for so long. If the home
  /// has become shared since, it was told so too early, when it did not know the node.
  void kernel_has(NodeId node, std::chrono::seconds attributes_ttl);
  /// The same of the entries of a READDIRPLUS, from offset `begin` up to `end` of what it showed:
  /// listing_of() before the answer. The kernel holds on to the folder until it has them, and takes
  /// no notice of a name in it before.
  void kernel_listed(const FolderSnapshot& listing, std::uint64_t begin, std::uint64_t end);
  std::shared_ptr<const FolderSnapshot> listing_of(std::uint64_t handle);

  /// Waits until nothing that was posted is left. Blocks: yes; after the link was detached, so that
  /// nothing more is posted, and while the notifier is there.
  void wait_posted() { post_.wait_idle(); }

  /// The kernel maps files for sharing that it writes without pages (Linux 6.6). In others a file
  /// that is open for reading and writing must have pages: two mounts that write to one page at
  /// once may then wait a second for each other. Before the first opening.
  void let_kernel_map_direct_files() { state_.lock()->maps_direct_files = true; }
  /// The kernel drops all names at once when it is told (Linux 6.16). Others are told of each name,
  /// and so may keep none that does not exist: nobody remembers for which ones they have asked,
  /// which would have no bound. Such a kernel asks us each time, we answer from the folder. Before
  /// the first lookup.
  void let_kernel_keep_absent_names() { state_.lock()->drops_all_names = true; }
  /// Every name that the kernel may have cached, with its folder: for kernels that do not.
  std::vector<std::pair<NodeId, std::string>> kernel_names();

  struct Figures {
    std::size_t dirty_bytes = 0;
    std::size_t nodes = 0;
    std::size_t open_files = 0;
    GrantState grant;
    bool is_shared = false;
  };
  Figures figures();

  // LinkEvents (coherence.cpp).
  void on_mode(bool is_shared, std::move_only_function<void()> acknowledge) override;
  void on_changed(ChangedEvent event, std::move_only_function<void()> acknowledge) override;
  void on_quota(const GrantState& grant) override;
  void on_reconnected(const Reconnected& caches) override;
  void on_lock_granted(std::uint64_t id) override;  // file_system_locks.cpp
  void on_session(bool is_same_session) override;   // likewise
  void on_power_lost() override;

  // IntroductionSource.
  void introduce(std::span<const NodeId> nodes, std::uint64_t incarnation,
                 std::vector<Introduction>& out) override;
  void confirm(std::span<const Introduction> introductions, std::uint64_t incarnation) override;
  void distrust(std::span<const NodeId> nodes) override;

 private:
  /// Sends `call` and decodes its reply.
  template <class Message>
  Task<Result<Message>> ask(Call call);

  // Answers out of the state; under its lock.
  static Attributes effective(const Node& node);
  std::chrono::seconds ttl(const ClientState& state, const Node& node) const;
  /// `is_cached`: the name by which it is shown is among the cached ones, so that the kernel is
  /// told when it goes.
  EntryOut entry_of(ClientState& state, Node& node, bool is_cached) const;
  static bool is_place(const Node& node, const Node& folder, std::string_view name) {
    return node.parent == folder.id && node.name == name;
  }
  static bool leads_to(const Node* folder, std::string_view name, NodeId node);
  static void enter(ClientState& state, Node& parent, std::string_view name, Node& node,
                    std::uint64_t order);
  static void name_gone(ClientState& state, Node& parent, std::string_view name,
                        std::uint64_t order);
  static SharedName shared_name(const Node& node, const Node& parent, std::string_view name);
  static void learn(ClientState& state, Node& parent, std::string_view name, Node& node);
  static void drop_entry(ClientState& state, Node& parent, std::string_view name);
  static void update_parent(ClientState& state, NodeId parent, const Attributes& attributes);

  void end_closed_transfers();

  // Lookups and listings.
  struct Cached {
    bool is_known = false;  // the answer is `entry`
    Result<EntryOut> entry;
    bool has_older_pages = false;  // see getattr()
    std::vector<NodeId> to_list;   // names in it are asked for often enough, and those beside it
    std::uint32_t bytes_below = 0;
  };
  Cached lookup_cached(NodeId parent, const std::string& name);
  static Cached missed(ClientState& state, Node& node);
  Task<Result<EntryOut>> lookup_at_server(NodeId parent, std::string name);
  Task<Result<>> list(NodeId folder, std::uint32_t bytes_below);
  Task<Result<ListReply>> list_all_pages(NodeId folder, std::uint32_t bytes_below);
  Task<> list_ahead(NodeId folder, std::uint32_t bytes_below);
  Task<> listing_end(NodeId folder);
  /// What was true of the caches when a listing was asked for: an answer is kept only if nothing
  /// of it has changed since.
  struct ListingStart {
    std::uint64_t folder_changes = 0;
    std::uint64_t coherence = 0;
  };
  bool begin_listing(NodeId folder, ListingStart& start);
  void end_listing(NodeId folder);
  void install(const ListedFolder& listed, NodeId folder, const ListingStart& start);
  void install_below(const ListedFolder& listed, const ListingStart& start);
  std::vector<NodeId> walk_ahead(NodeId folder);
  static void add_unlisted_siblings(ClientState& state, const Node& node, std::size_t count_max,
                                    std::uint64_t size_max, std::vector<NodeId>& ahead);
  using Listing = std::shared_ptr<const FolderSnapshot>;
  Listing snapshot(NodeId folder);
  Task<Result<Listing>> listing_of(NodeId folder, std::uint32_t bytes_below);
  Task<> list_for(std::shared_ptr<FolderOpening> opening, NodeId folder, std::uint32_t bytes_below);
  Task<Result<Listing>> listing_to_open(NodeId folder, std::uint32_t bytes_below);
  NodeId parent_of(NodeId folder);

  static void give_up(ClientState& state, Node& node,
                      std::vector<std::pair<NodeId, std::string>>& told);
  void trim_names();

  /// What is to be done without the lock after an event.
  struct Heard {
    WakeList wake;
    std::vector<NodeId> data_changed;
    std::vector<NodeId> attributes_changed;
    std::vector<std::pair<NodeId, std::string>> names_gone;
    std::vector<NodeId> grown;
    std::vector<std::pair<NodeId, std::uint32_t>> dropped;  ///< see pages_dropped()
    bool is_open = false;
  };
  void hear(ClientState& state, Node& node, const Change& change, std::uint64_t order,
            Heard& heard);

  // What may be wrong (file_system_doubts.cpp).
  static void void_node(Node& node, std::uint64_t order, WakeList& wake);
  static void void_entries(ClientState& state, Node& folder, std::uint64_t order, WakeList& wake,
                           std::vector<std::pair<NodeId, std::string>>& names,
                           std::vector<NodeId>& nodes);
  /// What the kernel may have of what is void.
  struct Voided {
    std::vector<NodeId> nodes;
    std::vector<std::pair<NodeId, std::string>> names;  ///< of files, where all can be dropped
  };
  static void void_everything(ClientState& state, std::uint64_t order, WakeList& wake,
                              Voided& voided);
  void void_all(std::uint64_t order);
  /// What void_everything() leaves to be done without the lock.
  void tell_of_void(WakeList wake, Voided voided);
  void change_failed(NodeId id);
  void doubt_name(Status status, NodeId parent, const std::string& name);

  // Changes.
  /// A name that is asked about or changed, from before the question until after its answer.
  struct AskedName {
    NodeId folder{};
    std::string name;
    NamesUnderWay::Ticket ticket = 0;
  };
  AskedName ask_about(NodeId folder, std::string name);
  /// `is_older`: the kernel may have pages of before what is answered.
  Result<EntryOut> looked_up(ClientState& state, const AskedName& asked,
                             const Result<LookupReply>& reply, bool& is_older);
  /// The answer is here, and is of `order`: whether it is the newest that was heard of the name.
  static bool end_asking(ClientState& state, const AskedName& asked, std::uint64_t order);
  /// There is none, or it says nothing of the name.
  void end_asking(const AskedName& asked) { (void)end_asking(*state_.lock(), asked, 0); }
  static void enter_answered(ClientState& state, const AskedName& asked, Node& node,
                             std::uint64_t order);
  static void drop_if_forgotten(ClientState& state, Node& node);
  void drop_abandoned_folders();
  NodeId made(const EntryReply& reply, const AskedName& asked, NodeId id);
  /// The nodes that were looked up for it, or kNoNode.
  Task<Result<>> rename_known(RenameRequest request, NodeId old_looked_up, NodeId new_looked_up);
  bool must_look_up(NodeId parent, const std::string& name);
  Task<NodeId> look_up_again(NodeId parent, std::string name);
  struct Removing {
    AskedName asked;
    NodeId node{};  // kNoNode: not known
    bool is_open = false;
  };
  Result<Removing> begin_removal(NodeId parent, const std::string& name, NodeId looked_up);
  /// `not_kept`: the file that the server need not keep, in case that `node` is it.
  static void unlinked(ClientState& state, Node& node, const Attributes& attributes,
                       NodeId not_kept);
  static void replace_names(ClientState& state, const RenameRequest& request,
                            const RenameReply& reply, bool is_from_newest, bool is_to_newest);
  static void removed(ClientState& state, const AskedName& asked, const RemoveReply& reply,
                      NodeId not_kept);
  static WakeList end_removal(ClientState& state, NodeId node);
  Task<> removal_end(NodeId node);
  /// `is_in_pages`: those pages of the kernel that were current are so afterwards.
  void changed(NodeId node, const ChangeReply& reply, bool is_in_pages = true);
  void sets_xattr(NodeId node);
  Task<Result<SharedBuffer>> own_xattr(NodeId node, std::string name);
  Task<Result<SharedBuffer>> md5_xattr(NodeId node);
  std::optional<AttributesOut> defer(const SetattrRequest& change);
  Task<> send_deferred(SetattrRequest change);
  Task<Result<AttributesOut>> attributes_now(NodeId node);
  static bool has_older_pages(const Node& node);
  [[nodiscard]] static bool must_void_pages(const ClientState& state, const Node& node);
  Task<> void_pages(NodeId node, std::uint64_t version);
  Task<> set_end_in_kernel(NodeId node, std::uint64_t size);
  [[nodiscard]] bool may_forget_end(NodeId node);
  Task<Result<AttributesOut>> set_size(SetattrRequest request, std::uint64_t handle);
  Task<Result<AttributesOut>> resize(SetattrRequest request, std::uint64_t handle);
  /// After a change that was answered with the attributes `told`.
  Result<AttributesOut> attributes_of(NodeId node, const Attributes& told);
  /// The server has all writes and changes of now.
  Task<> drained(NodeId node);
  Task<> writes_drained(NodeId node);
  bool has_deferred_change(NodeId node);
  Task<> drop_and_release(std::uint64_t handle, std::vector<FileLocker> lockers);
  bool has_few_unsent_bytes(NodeId node);
  static bool is_unbound(const ClientState& state, const Node& node);
  bool must_be_bound(NodeId node);
  static constexpr int kBindsMax = 3;  ///< then it is gone, and shows that when it is used
  Task<> bind(std::vector<NodeId> nodes);
  static std::vector<NodeId> open_nodes(ClientState& state);
  Task<> make_open_known(std::move_only_function<void()> acknowledge);
  Task<> acknowledge_told(std::vector<NodeId> locked,
                          std::vector<std::pair<NodeId, std::uint32_t>> dropped,
                          std::move_only_function<void()> acknowledge);
  Task<> begin_sharing(bool is_news, std::move_only_function<void()> acknowledge);
  static Result<> take_error(ClientState& state, Node& node, std::uint64_t handle);
  Result<> show_error(NodeId node, std::uint64_t handle);
  Task<Result<>> drained_and_told(NodeId node, std::uint64_t handle);
  void note_sync_error(NodeId node, std::uint64_t handle, const Error& error);
  static void end_use(ClientState& state, Node& node);
  /// What the kernel has of stores through mmap(2) is in the file's queue. Not to be awaited by
  /// what holds pages in the kernel or keeps it from writing them: reads, writes, changes of size.
  Task<> take_pages(NodeId node);
  Task<> kernel_told();
  /// The kernel has pages of the node from now on. Precondition: it has data.
  static void use_pages(Node& node);
  /// The kernel has dropped those that it had at that number of uses.
  void pages_dropped(const std::vector<std::pair<NodeId, std::uint32_t>>& nodes);
  /// A write past the pages is over: drops those that programs read through other openings, which
  /// it has left as they were. Only for what holds none itself.
  Task<> end_passing(NodeId node, bool is_written);
  Task<> take_pages_and_drain(NodeId node, std::move_only_function<void()> done);
  static bool is_mappable(const ClientState& state, NodeId node) {
    return state.mappable.contains(node);
  }
  static void count_mappable(ClientState& state, const OpenFile& file, int step);
  std::optional<std::uint64_t> place_behind_end(NodeId node);
  void note_told(std::uint64_t order);
  /// Around a change of size in the kernel, which writes no page back meanwhile.
  void begin_resizing(NodeId node);
  void end_resizing(NodeId node);
  /// Around a change of the file's data that is no write: after the writes of before, and with no
  /// later one, nor anything that was read, from before it.
  Task<> begin_change_at_server(NodeId node);
  Task<std::uint64_t> offer_grant(NodeId id, std::uint64_t end);
  void end_change_at_server(NodeId id, std::uint64_t offered);
  void send_forgets(bool at_once);

  // Data.
  OpenOut open_node(ClientState& state, Node& node, int open_flags);
  static FileData& data_of(ClientState& state, Node& node);
  struct SizedFile {
    NodeId node{};
    std::uint64_t size = 0;  // now
  };
  Task<Result<SizedFile>> file_to_read(std::uint64_t handle);
  struct ReadPlan {
    bool is_dirty = false;                   // nothing is planned: what was written has to go first
    bool is_beside_writes = false;           // likewise, but it may be before or behind them
    std::optional<std::vector<Slice>> here;  // all of it
    std::vector<ReadCache::Fetch> fetches;   // to be made: what is missing, and ahead
    std::string started_path;                // of a file of which large parts begin to be read
  };
  Result<ReadPlan> plan_read(std::uint64_t handle, const SizedFile& sized, std::uint64_t offset,
                             std::uint64_t count, bool is_page);
  // Until the first missing piece is here, or has failed.
  Task<Result<>> fetch_planned(NodeId node, std::uint64_t offset, std::uint64_t count,
                               std::vector<ReadCache::Fetch> fetches);
  Task<Result<std::vector<Slice>>> read_beside_writes(NodeId node, std::uint64_t offset,
                                                      std::uint64_t count);
  void fetch(NodeId node, ReadCache::Fetch fetch, int attempt);
  void fetched(NodeId node, ReadCache::Fetch fetch, int attempt, Result<InFrame> reply);
  struct SmallFile {
    NodeId node{};
    ReadCache::Fetch fetch;
  };
  std::vector<SmallFile> begin_fetches(ClientState& state, const std::vector<NodeId>& files);
  void fetch_small_files(std::vector<SmallFile> files);
  void fetched_small_files(const std::vector<SmallFile>& files, Result<InFrame> reply);
  void tell_damage(NodeId node, std::uint64_t offset, int attempt);
  void end_fetch(NodeId node, const ReadCache::Fetch& fetch, Result<Slice> data);
  void add_prefetched(ClientState& state, NodeId node, std::size_t bytes, WakeList& wake);
  /// A WRITE under way; `has_change`: with the change of attributes that waited.
  struct SentWrite {
    std::uint64_t number = 0;
    std::uint64_t bytes = 0;
    std::uint64_t offset = 0;
    bool has_change = false;
    bool is_moved = false;  ///< it was an APPEND
  };
  /// What became of a write, and what is left to be done without the lock.
  struct TakenWrite {
    enum class Kind {
      kBuffered,  ///< it is in the queue
      kWaits,     ///< likewise, or will be: the server has to answer first
      kAtServer,  ///< an append whose end the server has to say
      kBehind,    ///< something older has to be at the server first
      kRefused,
    };
    Kind kind = Kind::kBuffered;
    Result<> refusal;           ///< of kRefused
    bool is_moved = false;      ///< it is not where the kernel believes
    bool must_sync = false;     ///< and nobody but us does so
    bool passes_pages = false;  ///< which others may have read
    bool is_passing = false;    ///< until end_passing(), see FileData
    std::string started_path;   ///< of a file that begins to be written
    std::uint64_t started_bytes = 0;
    WakeList wake;
  };
  using WriteDone = Completion<Result<>>::Done;
  /// See FileLocks::session_for().
  Result<std::uint64_t> session_of(const WriteTarget& to);
  TakenWrite take_write(const WriteTarget& to, Slice& data, std::uint64_t session, WriteDone* done);
  static TakenWrite::Kind kind_of(const ClientState& state, const Node& node, const WriteTarget& to,
                                  std::uint64_t growth);
  void tell_of(const WriteTarget& to, TakenWrite& taken);
  Task<Result<>> append_at_server(NodeId node, Slice data, std::uint64_t session);
  Task<> older_changes_end(NodeId node);
  void send_segment(NodeId node, WriteQueue::Outgoing segment,
                    const std::optional<SetattrRequest>& then);
  void keep_written(ClientState& state, Node& node, const WriteQueue::Finished& finished,
                    WakeList& wake);
  void written(NodeId node, const SentWrite& sent, Result<InFrame> reply);
  [[nodiscard]] bool move_to_end(NodeId node, const SentWrite& sent);
  std::string path_of(ClientState& state, Node& node) const;

  Posts post_;
  const FileSystemOptions options_;
  Link* link_ = nullptr;                 // set once by attach()
  KernelNotifier* notifier_ = nullptr;   // likewise
  TransferEvents* transfers_ = nullptr;  // likewise
  Guarded<ClientState> state_;
  FileLocks locks_;
  TaskGroup background_;
};

template <class Message>
Task<Result<Message>> FileSystem::ask(Call call) {
  auto waiting = link_->call(std::move(call));
  Result<InFrame> reply = co_await waiting;
  if (!reply) co_return std::unexpected(reply.error());
  co_return message_of<Message>(*reply);
}

}  // namespace homefs

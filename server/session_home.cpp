#include "server/session_home.h"

#include <optional>
#include <utility>

#include "protocol/codec.h"
#include "protocol/limits.h"
#include "server/dispatch.h"
#include "server/handlers.h"
#include "server/home_locks.h"
#include "server/inode_table.h"

namespace homefs {
namespace {

/// The folders that lead to what a request is about, and the files of a READ_MANY.
constexpr std::size_t kIntroductionsPerRequestMax = kIntroductionsMax + kNodesPerRequestMax;

template <class Request>
std::optional<Introduction> introduction_as(ByteReader request, const Attributes& made) {
  const auto decoded = decode<Request>(request);
  if (!decoded) return std::nullopt;
  return Introduction{decoded->node, decoded->parent, decoded->name, made.inode, made.generation};
}

/// Of what a request has made; nothing if it makes nothing.
std::optional<Introduction> introduction_of(Op op, ByteReader request, const Attributes& made) {
  switch (op) {
    case Op::kCreate:
      return introduction_as<CreateRequest>(request, made);
    case Op::kMkdir:
      return introduction_as<MkdirRequest>(request, made);
    case Op::kMknod:
      return introduction_as<MknodRequest>(request, made);
    case Op::kSymlink:
      return introduction_as<SymlinkRequest>(request, made);
    default:
      return std::nullopt;
  }
}

}  // namespace

struct SessionHome::State {
  State(Home& home, const InodeRef& folder, const SessionId& id, LockJournal* lock_journal)
      : root(folder),
        grant(home.quota()),
        nodes(home, folder),
        locker(home.locks().join(id, lock_journal)) {}

  /// Where the session is confined to.
  InodeRef root;
  Grant grant;
  NodeTable nodes;
  ListingSnapshots listings;
  SyncDebt sync_debt;
  ForeignChanges* foreign = nullptr;  // constant from the first request on
  /// Its number in HomeLocks.
  const std::uint64_t locker;
};

Result<std::unique_ptr<SessionHome>> SessionHome::open(std::shared_ptr<Home> home,
                                                       const std::string& folder,
                                                       const SessionId& id,
                                                       LockJournal* lock_journal) {
  auto root = home->find_folder(folder);
  if (!root) return std::unexpected(root.error());
  return std::unique_ptr<SessionHome>(
      new SessionHome(std::move(home), *std::move(root), id, lock_journal));
}

SessionHome::SessionHome(std::shared_ptr<Home> home, InodeRef root, const SessionId& id,
                         LockJournal* lock_journal)
    : home_(std::move(home)), state_(std::make_unique<State>(*home_, root, id, lock_journal)) {}

SessionHome::~SessionHome() { close(); }

void SessionHome::close() {
  drop_locks();
  if (state_->foreign != nullptr) home_->late_sessions().remove(*state_->foreign);
  state_->nodes.clear();
  end_introduction();
  state_->sync_debt.clear();
  state_->grant.release();
}

Reply SessionHome::handle(const InFrame& request, ChangeJournal* journal,
                          std::function<bool()> is_cancelled, WriteLog* writes) {
  const FileOp* const row = find_file_op(request.header.op);
  if (row == nullptr) {
    return error_reply({.status = Status::kProtocolError, .context = "not a file operation"});
  }
  ByteReader in(request.bytes());
  const auto introductions = decode<Introductions>(in);
  if (!introductions) return error_reply(introductions.error());
  if (in.rest().size() > kFieldBytesMax + row->payload_bytes_max) {
    return error_reply({.status = Status::kProtocolError, .context = "the request is too long"});
  }
  if (auto done = introduce(*introductions); !done) return error_reply(done.error());
  Touched touched;
  HandlerContext context{.home = *home_,
                         .nodes = state_->nodes,
                         .grant = state_->grant,
                         .listings = state_->listings,
                         .locker = state_->locker,
                         .touched = touched,
                         .sync_debt = state_->sync_debt,
                         .writes = writes,
                         .number = writes != nullptr ? request.header.seq : 0,
                         .foreign = state_->foreign,
                         .journal = journal,
                         .is_cancelled = std::move(is_cancelled)};
  Reply reply = row->run(context, in.rest());
  if (reply.status == Status::kTooManyOpen) {
    // Nothing was applied: a handler that gets no descriptor leaves all as it was.
    home_->spare_descriptors();
    reply = row->run(context, in.rest());
  }
  if (is_sequenced(request.header.op)) state_->sync_debt.add(touched.inodes());
  // Also of one that failed half way.
  reply.changes = touched.changes();
  if (state_->foreign != nullptr) state_->foreign->looked(disk::next_order());
  return reply;
}

// What cannot be introduced because it is not there any more is left out: the request hears kStale
// if that was what it is about.
Result<void> SessionHome::introduce(const Introductions& introductions) {
  if (introductions.list.size() > kIntroductionsPerRequestMax) {
    return fail(Status::kProtocolError, "too many introductions");
  }
  for (const Introduction& introduction : introductions.list) {
    if (auto done = introduce(introduction); !done && done.error().status != Status::kStale) {
      return done;
    }
  }
  return {};
}

Result<void> SessionHome::introduce(const Introduction& introduction) {
  NodeTable& nodes = state_->nodes;
  const InodeName wanted{introduction.inode, introduction.generation};
  if (const auto known = nodes.find(introduction.node)) {
    if ((*known)->number() == introduction.inode) return {};
    return fail(Status::kProtocolError, "the node number means something else");
  }
  if (introduction.parent == kNoNode) {
    if (!introduction.name.empty()) return fail(Status::kProtocolError, "an orphan with a name");
    const auto orphan = home_->adopt_orphan(wanted);
    if (!orphan) return std::unexpected(orphan.error());
    return nodes.bind(introduction.node, *orphan);
  }
  const auto name = Name::make(introduction.name);
  if (!name) return fail(Status::kProtocolError, "introduction: " + name.error().message());
  const auto parent = nodes.find(introduction.parent);
  if (!parent) return std::unexpected(parent.error());
  const auto inode = home_->reintroduce(*parent, *name, wanted);
  if (!inode) return std::unexpected(inode.error());
  // One that moved is found by its number alone, which could be any in the home.
  const InodeTable& table = home_->inodes();
  if (!table.is_below(*inode, *state_->root) && !table.is_orphan(**inode)) {
    return fail(Status::kStale);
  }
  return nodes.bind(introduction.node, *inode);
}

void SessionHome::introduce_again(const InFrame& request, const Reply& reply) {
  ByteReader in(request.bytes());
  const auto introductions = decode<Introductions>(in);
  if (!introductions || !introduce(*introductions)) return;
  if (!is_success(reply.status)) return;
  const auto told = decode_all<EntryReply>(reply.fields);
  if (!told) return;  // of another change
  const auto made = introduction_of(request.header.op, in, told->attributes);
  // If it is not there any more the client hears kStale when it uses the number.
  if (made) (void)introduce(*made);
}

void SessionHome::owe_all_syncs() { state_->sync_debt.add_all(); }

void SessionHome::begin_introduction() { home_->begin_introduction(state_->nodes); }

void SessionHome::end_introduction() { home_->end_introduction(state_->nodes); }

void SessionHome::set_shared(bool is_shared) {
  state_->grant.set_shared(is_shared);
  if (is_shared || state_->foreign == nullptr) return;
  state_->foreign->be_sole();
  if (!is_late()) home_->late_sessions().remove(*state_->foreign);
}

void SessionHome::keep_foreign_changes(ForeignChanges& changes) {
  state_->foreign = &changes;
  home_->late_sessions().add({std::shared_ptr<void>(), &changes});
}

void SessionHome::begin_late() {
  if (state_->foreign == nullptr) return;
  state_->foreign->begin(disk::next_order());
  home_->late_sessions().add({std::shared_ptr<void>(), state_->foreign});
}

void SessionHome::end_late() {
  if (state_->foreign == nullptr) return;
  state_->foreign->obey();
  home_->late_sessions().remove(*state_->foreign);
}

bool SessionHome::is_late() const {
  return state_->foreign != nullptr && state_->foreign->is_late();
}

void SessionHome::release_grant() { state_->grant.release(); }

void SessionHome::listen_for_locks(std::function<void(std::uint64_t)> granted) {
  home_->locks().listen(state_->locker, std::move(granted));
}

void SessionHome::drop_locks() { home_->locks().leave(state_->locker); }

void SessionHome::keep_locks() { home_->locks().keep(state_->locker); }

GrantState SessionHome::grant_state() { return state_->grant.state(); }

Result<Attributes> SessionHome::root_attributes() { return home_->getattr(state_->root); }

}  // namespace homefs

// Home: what became of a change during which the server was killed. docs/RECOVERY.md has the table
// of what is looked at for each kind.

#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "server/disk_mode.h"
#include "server/home.h"
#include "server/inode_table.h"
#include "server/new_inode.h"
#include "server/orphanage.h"

namespace homefs {

ChangeFacts Home::facts_of(ChangeKind kind, const InodeRef& at) const {
  const Inode::Identity& identity = at->identity();
  ChangeFacts facts;
  facts.numbers.kind = kind;
  facts.numbers.at = {identity.number, identity.birth_ns, identity.type};
  facts.path = inodes_->path_of(*at, kFactsPathBytesMax);
  return facts;
}

ChangeFacts Home::facts_of(ChangeKind kind, const InodeRef& folder, const Name& name) const {
  ChangeFacts facts = facts_of(kind, folder);
  facts.name = name.text();
  return facts;
}

/// One look at the home after a kill. Nothing came after the change, so what is there tells.
class Home::Recovery {
 public:
  Recovery(Home& home, const ChangeFacts& facts)
      : home_(home), facts_(facts), numbers_(facts.numbers) {}

  Result<std::optional<ChangeOutcome>> run();

 private:
  using Outcome = std::optional<ChangeOutcome>;

  Outcome made();
  Outcome linked();
  Outcome removed();
  Outcome renamed();
  Outcome exchanged();
  Outcome set_attributes();
  Outcome set_xattr();
  Outcome removed_xattr();
  Outcome appended();
  Outcome copied();
  Outcome allocated();

  Outcome look();
  /// Whether what was asked for is there. An error that does not say so is kept, and whatever is
  /// made of the answer is not used then.
  template <class T>
  bool is_there(const Result<T>& asked);
  InodeRef find(const KnownInode& known, const std::string& path);
  InodeRef search(const KnownInode& known);
  InodeRef entry(const InodeRef& folder, const std::string& name);
  static bool is_it(const InodeRef& inode, const KnownInode& known);
  static bool is_number(const InodeRef& inode, std::uint64_t number) {
    return inode != nullptr && number_of(inode->number()) == number;
  }
  /// The inode that is changed, open. Null: it is not there.
  disk::FdRef open_changed();
  Attributes attributes_of(const InodeRef& inode);
  Attributes attributes_of_removed(const Attributes& folder);
  Outcome changed(const disk::FdRef& file);
  /// The change failed at last: nothing is left of it.
  Outcome undone(const disk::FdRef& file);

  Home& home_;
  const ChangeFacts& facts_;
  const ChangeNumbers& numbers_;
  InodeRef inode_;                // of open_changed()
  std::optional<Error> unclear_;  // the disk did not tell
};

Result<std::optional<ChangeOutcome>> Home::resolve(const ChangeFacts& facts) {
  return Recovery(*this, facts).run();
}

Result<std::optional<ChangeOutcome>> Home::Recovery::run() {
  Outcome outcome = look();
  if (unclear_) return std::unexpected(*unclear_);
  return outcome;
}

Home::Recovery::Outcome Home::Recovery::look() {
  switch (numbers_.kind) {
    case ChangeKind::kMake:
      return made();
    case ChangeKind::kLink:
      return linked();
    case ChangeKind::kRemove:
      return removed();
    case ChangeKind::kRename:
      return renamed();
    case ChangeKind::kExchange:
      return exchanged();
    case ChangeKind::kSetattr:
      return set_attributes();
    case ChangeKind::kSetxattr:
      return set_xattr();
    case ChangeKind::kRemovexattr:
      return removed_xattr();
    case ChangeKind::kAppend:
      return appended();
    case ChangeKind::kCopy:
      return copied();
    case ChangeKind::kFallocate:
      return allocated();
  }
  return std::nullopt;
}

// ---- Finding ----------------------------------------------------------------------------------

template <class T>
bool Home::Recovery::is_there(const Result<T>& asked) {
  if (asked) return true;
  switch (asked.error().status) {
    case Status::kNoSuchFile:
    case Status::kStale:
    case Status::kNotDirectory:
    case Status::kIsDirectory:
    case Status::kCrossDevice:
    case Status::kLoop:
    case Status::kNameTooLong:
    case Status::kNoAttribute:
    case Status::kAccessDenied:  // not what the server has changed
    case Status::kNotPermitted:
      return false;
    default:
      unclear_ = asked.error();
      return false;
  }
}

bool Home::Recovery::is_it(const InodeRef& inode, const KnownInode& known) {
  return inode != nullptr && inode->identity() == Inode::Identity{.number = known.number,
                                                                  .birth_ns = known.birth_ns,
                                                                  .type = known.type};
}

InodeRef Home::Recovery::entry(const InodeRef& folder, const std::string& name) {
  const auto valid = Name::make(name);
  if (!valid || folder == nullptr) return nullptr;
  auto found = home_.lookup(folder, *valid);
  return is_there(found) ? std::move(found->inode) : nullptr;
}

InodeRef Home::Recovery::find(const KnownInode& known, const std::string& path) {
  if (is_it(home_.root_, known)) return home_.root_;
  InodeRef at = home_.root_;
  for (std::string_view rest = path; !rest.empty() && at != nullptr;) {
    const std::size_t end = std::min(rest.find('/'), rest.size());
    at = entry(at, std::string(rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (is_it(at, known)) return at;
  const InodeNumber number{known.number};
  if (home_.orphanage_->has(number)) {
    const auto stat = home_.orphanage_->stat(number);
    InodeRef orphan = is_there(stat) ? home_.inodes_->found_orphan(*stat) : nullptr;
    if (is_it(orphan, known)) return orphan;
  }
  // Another session has moved a folder on the way, between the writing down and the kill.
  return unclear_ ? nullptr : search(known);
}

InodeRef Home::Recovery::search(const KnownInode& known) {
  std::deque<InodeRef> folders{home_.root_};
  for (; !folders.empty(); folders.pop_front()) {
    const auto descriptor = home_.inodes_->open(folders.front());
    if (!is_there(descriptor)) continue;
    std::vector<std::string> names;
    const auto read =
        disk::read_folder((*descriptor)->get(), [&](std::uint64_t, std::string_view name) {
          names.emplace_back(name);
          return true;
        });
    (void)is_there(read);  // an error that leaves it open is kept
    for (const std::string& name : names) {
      InodeRef inode = entry(folders.front(), name);
      if (is_it(inode, known)) return inode;
      if (inode != nullptr && inode->is_folder()) folders.push_back(std::move(inode));
    }
  }
  return nullptr;
}

disk::FdRef Home::Recovery::open_changed() {
  inode_ = find(numbers_.at, facts_.path);
  if (inode_ == nullptr) return nullptr;
  auto file = home_.inodes_->open(inode_);
  return is_there(file) ? std::move(*file) : nullptr;
}

Attributes Home::Recovery::attributes_of(const InodeRef& inode) {
  if (inode == nullptr) return {};
  const auto stat = home_.inodes_->stat(inode);
  return is_there(stat) ? home_.told(inode, *stat, /*is_change=*/true) : Attributes{};
}

// ---- Names ------------------------------------------------------------------------------------

Home::Recovery::Outcome Home::Recovery::made() {
  const InodeRef folder = find(numbers_.at, facts_.path);
  const InodeRef inode = entry(folder, facts_.name);
  if (inode == nullptr) return std::nullopt;
  const auto descriptor = home_.inodes_->open(inode);
  if (!is_there(descriptor)) return std::nullopt;
  NewInode wanted{.mode = numbers_.mode};
  if (numbers_.is_whole) wanted.whole = Ownership{.mode = numbers_.mode};
  auto stat = stat_true((*descriptor)->get());
  Result<void> corrected{};
  if (stat) corrected = correct_mode((*descriptor)->get(), wanted, *stat);
  // It is there, so that to do it again would fail: it has to be finished.
  if (!stat) unclear_ = stat.error();
  if (!corrected) unclear_ = corrected.error();
  if (unclear_) return std::nullopt;
  return ChangeOutcome{.attributes = home_.told(inode, *stat, /*is_change=*/true),
                       .parent = attributes_of(folder)};
}

Home::Recovery::Outcome Home::Recovery::linked() {
  const InodeRef folder = find(numbers_.at, facts_.path);
  const InodeRef inode = entry(folder, facts_.name);
  if (!is_number(inode, numbers_.subject)) return std::nullopt;
  return ChangeOutcome{.attributes = attributes_of(inode), .parent = attributes_of(folder)};
}

/// Of the inode that has lost a name. `folder`: of where it was.
Attributes Home::Recovery::attributes_of_removed(const Attributes& folder) {
  Attributes attributes = numbers_.before;
  attributes.order = folder.order;
  attributes.ctime = folder.ctime;
  const bool is_folder = S_ISDIR(attributes.mode);
  attributes.links = is_folder || attributes.links == 0 ? 0 : attributes.links - 1;
  return attributes;
}

Home::Recovery::Outcome Home::Recovery::removed() {
  const InodeRef folder = find(numbers_.at, facts_.path);
  if (folder == nullptr || is_number(entry(folder, facts_.name), numbers_.subject)) {
    return std::nullopt;
  }
  const Attributes parent = attributes_of(folder);
  return ChangeOutcome{.attributes = attributes_of_removed(parent), .parent = parent};
}

Home::Recovery::Outcome Home::Recovery::renamed() {
  const InodeRef from = find(numbers_.at, facts_.path);
  const InodeRef to = find(numbers_.to, facts_.to_path);
  const InodeRef moved = entry(to, facts_.new_name);
  if (from == nullptr || !is_number(moved, numbers_.subject)) return std::nullopt;
  ChangeOutcome outcome{.attributes = attributes_of(moved),
                        .parent = attributes_of(from),
                        .new_parent = attributes_of(to)};
  if (numbers_.replaced != 0) {
    outcome.has_other = true;
    outcome.other = attributes_of_removed(outcome.new_parent);
  }
  return outcome;
}

Home::Recovery::Outcome Home::Recovery::exchanged() {
  Outcome outcome = renamed();
  if (!outcome) return outcome;
  outcome->has_other = true;
  const InodeRef other = entry(find(numbers_.at, facts_.path), facts_.name);
  if (other != nullptr) outcome->other = attributes_of(other);
  return outcome;
}

// ---- One inode --------------------------------------------------------------------------------

Home::Recovery::Outcome Home::Recovery::changed(const disk::FdRef& file) {
  const auto attributes = home_.told_changed(inode_, file->get());
  if (!attributes) {
    unclear_ = attributes.error();
    return std::nullopt;
  }
  return ChangeOutcome{.attributes = *attributes};
}

Home::Recovery::Outcome Home::Recovery::undone(const disk::FdRef& file) {
  if (unclear_ || !inode_->is_file()) return std::nullopt;
  const auto stat = disk::stat_fd(file->get());
  Result<void> cut{};
  if (stat && stat->attributes.size > numbers_.size) {
    cut = disk::truncate(file->get(), numbers_.size);
  }
  // With what is left of it, to do it again would do it twice.
  if (!stat) unclear_ = stat.error();
  if (!cut) unclear_ = cut.error();
  return std::nullopt;
}

// Done once more: what the first time has done of it is done then as well.
Home::Recovery::Outcome Home::Recovery::set_attributes() {
  const disk::FdRef file = open_changed();
  if (file == nullptr) return std::nullopt;
  const auto before = stat_true(file->get());
  if (!is_there(before) || !change_attributes(file->get(), *before, numbers_.setattr))
    return std::nullopt;
  return changed(file);
}

Home::Recovery::Outcome Home::Recovery::set_xattr() {
  const disk::FdRef file = open_changed();
  if (file == nullptr) return std::nullopt;
  const auto value = disk::get_xattr(file->get(), facts_.name.c_str());
  if (!is_there(value) || hash_of(*value) != numbers_.value_hash) return std::nullopt;
  return changed(file);
}

Home::Recovery::Outcome Home::Recovery::removed_xattr() {
  const disk::FdRef file = open_changed();
  if (file == nullptr) return std::nullopt;
  const auto value = disk::get_xattr(file->get(), facts_.name.c_str());
  if (is_there(value) || unclear_ || value.error().status != Status::kNoAttribute) {
    return std::nullopt;
  }
  return changed(file);
}

// The size grows behind the data: when it is there, all of it is.
Home::Recovery::Outcome Home::Recovery::appended() {
  const disk::FdRef file = open_changed();
  if (file == nullptr) return std::nullopt;
  const auto stat = disk::stat_fd(file->get());
  if (!is_there(stat) || stat->attributes.size < numbers_.size + numbers_.length) {
    return undone(file);
  }
  Outcome outcome = changed(file);
  if (outcome) outcome->number = numbers_.size;
  return outcome;
}

// Done once more: neither file was changed since.
Home::Recovery::Outcome Home::Recovery::copied() {
  const disk::FdRef file = open_changed();
  const InodeRef source = find(numbers_.to, facts_.to_path);
  if (file == nullptr) return std::nullopt;
  if (source == nullptr) return undone(file);
  const auto from = home_.inodes_->open(source);
  if (!is_there(from)) return undone(file);
  const auto length = disk::copy_range((*from)->get(), numbers_.source_offset, file->get(),
                                       numbers_.offset, numbers_.length);
  if (!length) return undone(file);
  Outcome outcome = changed(file);
  if (outcome) outcome->number = *length;
  return outcome;
}

Home::Recovery::Outcome Home::Recovery::allocated() {
  const disk::FdRef file = open_changed();
  if (file == nullptr) return std::nullopt;
  Result<void> done{};
  if (numbers_.length > 0) {
    done = disk::allocate(file->get(), numbers_.flags, numbers_.offset, numbers_.length);
  }
  return done ? changed(file) : undone(file);
}

}  // namespace homefs

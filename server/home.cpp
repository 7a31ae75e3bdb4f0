#include "server/home.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>

#include <utility>

#include "server/descriptor_cache.h"
#include "server/digest_cache.h"
#include "server/disk_mode.h"
#include "server/home_locks.h"
#include "server/inode_table.h"
#include "server/orphanage.h"
#include "server/quota.h"
#include "server/sync_debt.h"
#include "server/told_log.h"
#include "server/usage_scan.h"
#include "server/usage_store.h"

namespace homefs {
namespace {

constexpr std::size_t kBuffersKept = 8;
constexpr const char* kProbe = "user.homefs.probe";

// What homefs needs of a file system, tried out in the folder of the orphans.
Result<void> check_file_system(int folder) {
  const std::byte value{1};
  if (auto done = disk::set_xattr(folder, kProbe, {&value, 1}, 0); !done) {
    return fail(done.error().status,
                "the homes' file system has no user xattrs (needed for file modes), or the service "
                "user may not write there: " +
                    done.error().message());
  }
  (void)disk::remove_xattr(folder, kProbe);  // harmless if it stays
  // ENOENT where the flag is understood, EINVAL where it is not.
  const auto renamed = disk::rename_at(folder, kProbe, folder, "probe", RENAME_NOREPLACE);
  if (!renamed && renamed.error().status != Status::kNoSuchFile) {
    return fail(Status::kNotSupported,
                "the homes' file system does not know renameat2's RENAME_NOREPLACE");
  }
  return {};
}

// Whether `folder` is `root` or below it. The way up is walked by descriptors.
Result<bool> is_inside(int folder, const disk::Stat& root) {
  auto at = disk::open_at(folder, ".", O_PATH | O_DIRECTORY);
  for (;;) {
    if (!at) return std::unexpected(at.error());
    const auto stat = disk::stat_fd(at->get());
    if (!stat) return std::unexpected(stat.error());
    if (stat->attributes.inode == root.attributes.inode && stat->device == root.device) return true;
    auto above = disk::open_parent(at->get());
    if (!above) return std::unexpected(above.error());
    const auto above_stat = disk::stat_fd(above->get());
    if (!above_stat) return std::unexpected(above_stat.error());
    // The parent of "/" is "/".
    if (above_stat->attributes.inode == stat->attributes.inode &&
        above_stat->device == stat->device) {
      return false;
    }
    at = std::move(above);
  }
}

Result<UniqueFd> make_and_open(const std::string& path) {
  // The parents exist: they are made when the server is set up, with an owner of its choice.
  if (::mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST) return fail_errno(errno, path);
  return disk::open_root(path);
}

}  // namespace

Home::Home(HomeOptions options)
    : options_(std::move(options)),
      digests_(std::make_unique<DigestCache>()),
      locks_(std::make_unique<HomeLocks>()),
      told_log_(std::make_unique<ToldLog>()),
      preserves_owners_(options_.preserve_owners) {}

Home::~Home() {
  if (options_.watch != nullptr) options_.watch->remove(*this);
  // The walk uses everything else.
  if (scan_ != nullptr) scan_->stop();
}

Result<std::shared_ptr<Home>> Home::open(HomeOptions options) {
  if (options.descriptors == nullptr) options.descriptors = std::make_shared<DescriptorCache>();
  if (options.buffers == nullptr) options.buffers = BufferPool::make(kBuffersKept);
  std::shared_ptr<Home> home(new Home(std::move(options)));
  if (auto done = home->open_folders(); !done) return std::unexpected(done.error());
  const auto now = Orphanage::Clock::now();
  if (auto done = home->orphanage_->load(now, home->options_.orphan_linger); !done) {
    return std::unexpected(done.error());
  }
  if (home->options_.on_open) {
    if (auto done = home->options_.on_open(*home); !done) return std::unexpected(done.error());
  }
  if (auto done = home->start_counting(); !done) return std::unexpected(done.error());
  return home;
}

Result<void> Home::open_folders() {
  auto root = disk::open_root(options_.root);
  if (!root) return std::unexpected(root.error());
  auto orphans = make_and_open(options_.orphan_folder);
  if (!orphans) return std::unexpected(orphans.error());
  const auto root_stat = disk::stat_fd(root->get());
  if (!root_stat) return std::unexpected(root_stat.error());
  const auto orphans_stat = disk::stat_fd(orphans->get());
  if (!orphans_stat) return std::unexpected(orphans_stat.error());
  if (root_stat->device != orphans_stat->device) {
    return fail(Status::kCrossDevice,
                options_.orphan_folder + " is on another file system than " + options_.root);
  }
  const auto inside = is_inside(orphans->get(), *root_stat);
  if (!inside) return std::unexpected(inside.error());
  if (*inside) {
    return fail(Status::kInvalid, options_.orphan_folder + " lies inside of " + options_.root);
  }
  if (auto done = check_file_system(orphans->get()); !done) return done;

  auto orphan_folder = std::make_shared<const UniqueFd>(std::move(*orphans));
  quota_ = std::make_unique<Quota>(options_.bytes_max, options_.files_max);
  inodes_ = std::make_unique<InodeTable>(std::move(*root), orphan_folder, options_.descriptors);
  orphanage_ = std::make_unique<Orphanage>(orphan_folder);
  scan_ = std::make_unique<UsageScan>(*inodes_, *quota_, orphan_folder);
  root_ = inodes_->make_root(*root_stat);
  return {};
}

Result<void> Home::start_counting() {
  UsageCheckpoint last;
  if (options_.usage != nullptr) {
    auto loaded = options_.usage->load();
    if (!loaded) return std::unexpected(loaded.error());
    last = loaded->value_or(UsageCheckpoint{});
    // From here on a kill leaves a use that has to be counted.
    auto done = options_.usage->save({.usage = last.usage, .is_clean = false});
    if (!done) return done;
  }
  if (last.is_clean) {
    quota_->set_known(last.usage);
  } else {
    scan_->start(root_, last.usage);
  }
  return {};
}

void Home::stop() {
  is_stopping_.store(true);
  scan_->stop();
  if (options_.usage == nullptr || !quota_->is_known()) return;
  // Not saved: it is counted again at the next start.
  (void)options_.usage->save({.usage = quota_->used(), .is_clean = true});
}

void Home::set_limits(std::uint64_t bytes_max, std::uint64_t files_max) {
  quota_->set_limits(bytes_max, files_max);
}

std::size_t Home::sweep_orphans(std::chrono::steady_clock::time_point now) {
  std::size_t removed = 0;
  decide_orphans(now);
  for (const InodeNumber number : orphanage_->overdue(now)) {
    if (remove_orphan(number, now).value_or(false)) ++removed;
  }
  return removed;
}

void Home::recount() {
  if (quota_->is_known()) {
    scan_->start_recount(root_);
  } else {
    scan_->start(root_, quota_->used());
  }
}

bool Home::is_usage_known() const { return quota_->is_known(); }

void Home::wait_until_usage_known() const { quota_->wait_until_known(); }

Usage Home::usage() const { return quota_->used(); }

Result<InodeRef> Home::find_folder(std::string_view path) {
  InodeRef at = root_;
  while (!path.empty()) {
    const std::size_t end = std::min(path.find('/'), path.size());
    const auto name = Name::make(path.substr(0, end));
    if (!name) return std::unexpected(name.error());
    auto entry = lookup(at, *name);
    if (!entry && entry.error().status == Status::kNoSuchFile) {
      return fail(Status::kNoSuchDirectory, homefs::quoted(name->text()));
    }
    if (!entry) return std::unexpected(entry.error());
    if (!entry->inode->is_folder())
      return fail(Status::kNotDirectory, homefs::quoted(name->text()));
    at = std::move(entry->inode);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return at;
}

// What clients are told of `stat`, a true one: without the link in the orphanage.
Attributes Home::told(const InodeRef& inode, const disk::Stat& stat, bool is_change) {
  Attributes attributes = stat.attributes;
  if (attributes.links > 0 && orphanage_->has(attributes.inode)) --attributes.links;
  attributes.version =
      inodes_->version_of(*inode, disk::nanoseconds_of(attributes.ctime), is_change);
  if (is_change) note_told(attributes);
  return attributes;
}

Result<Attributes> Home::told_fd(const InodeRef& inode, int fd, bool is_change) {
  const auto stat = stat_true(fd);
  if (!stat) return std::unexpected(stat.error());
  return told(inode, *stat, is_change);
}

}  // namespace homefs

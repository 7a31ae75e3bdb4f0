// Home: what is changed in it beside the server, by other programs on the server's machine.
//
// The kernel reports changes of the watched folders, the server's own among them. Those are known
// by what was told of them (ToldLog): a name that leads where it was said to lead, an inode with
// the ctime that was told. To be sure that no change of our own is half way, a name is looked at
// under names_mutex and an inode under its size lock.

#include <sys/stat.h>

#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <utility>

#include "server/disk_mode.h"
#include "server/folder_watch.h"
#include "server/home.h"
#include "server/inode_table.h"
#include "server/told_log.h"
#include "server/touched.h"
#include "server/usage_scan.h"

namespace homefs {
namespace {

// Over it a folder is told of as a whole: a restore, a move of thousands of files.
constexpr std::size_t kNamesToldMax = 256;

// How often the use is counted again while others change the home: a share of the time that is
// small, and never more often than this.
constexpr std::chrono::seconds kRecountIntervalMin{5};
constexpr int kRecountIntervalFactor = 5;
// What nobody has noticed (there were no watches left) comes to light by this.
constexpr std::chrono::hours kRecountIntervalMax{24};

}  // namespace

// Before anything of the folder is told to a session.
void Home::watch(const InodeRef& folder, int fd) {
  if (options_.watch == nullptr || folder->is_watched().exchange(true)) return;
  const auto done = options_.watch->add(shared_from_this(), folder, fd);
  if (done) {
    is_watching_.store(true);
  } else {
    unwatched_.fetch_add(1);
  }
}

void Home::note_told(const Attributes& attributes) {
  if (!is_watching_.load(std::memory_order_relaxed)) return;
  told_log_->note_inode(attributes.inode, disk::nanoseconds_of(attributes.ctime));
}

// A change of a name by a session: of use to who tells the others, and who hears of it from the
// kernel.
void Home::touch_entry(const Actor& actor, const InodeRef& folder, const Name& name,
                       InodeNumber target) {
  actor.touched.entry(folder, name, target);
  if (!is_watching_.load(std::memory_order_relaxed)) return;
  told_log_->note_entry(folder->number(), name.text(), target);
}

void Home::on_news(const InodeRef& folder, const FolderNews& news) {
  const auto descriptor = inodes_->open(folder);
  if (!descriptor) return;  // gone by now, of which the folder above tells
  const int fd = (*descriptor)->get();
  std::vector<Change> changes;
  bool has_foreign_names = false;
  for (const auto& [text, is_name] : news.names) {
    const auto name = Name::make(text);
    if (!name) continue;
    if (is_name) has_foreign_names |= find_foreign_name(folder, fd, *name, changes);
    find_foreign_content(fd, *name, changes);
  }
  if (news.is_folder_changed || has_foreign_names) find_foreign_attributes(folder, fd, changes);
  if (changes.empty()) return;
  if (changes.size() > kNamesToldMax) {
    changes = {{.inode = folder->number(), .name = {}, .has_data = true}};
  }
  must_recount_.store(true);
  if (options_.on_beside) options_.on_beside(changes);
}

// Whether `name` was made, removed or replaced by somebody else.
bool Home::find_foreign_name(const InodeRef& folder, int folder_fd, const Name& name,
                             std::vector<Change>& changes) {
  const std::lock_guard lock(inodes_->names_mutex());
  const auto stat = stat_true_at(folder_fd, name.c_str());
  const InodeNumber target = stat ? stat->attributes.inode : InodeNumber{};
  if (told_log_->has_entry(folder->number(), name.text(), target)) return false;
  told_log_->note_entry(folder->number(), name.text(), target);
  // Whoever knows it finds it there from now on.
  if (stat) inodes_->moved(target, folder, name);
  changes.push_back({.inode = folder->number(), .name = name.text(), .target = target});
  return true;
}

void Home::find_foreign_content(int folder_fd, const Name& name, std::vector<Change>& changes) {
  auto stat = disk::stat_at(folder_fd, name.c_str());
  if (!stat) return;
  const InodeNumber number = stat->attributes.inode;
  const auto is_told = [&] {
    return told_log_->has_inode(number, disk::nanoseconds_of(stat->attributes.ctime));
  };
  if (is_told()) return;
  const InodeRef known = inodes_->find(number);  // nobody else can be changing it
  std::unique_lock<std::shared_mutex> lock;
  if (known != nullptr) {
    lock = std::unique_lock(known->size_lock());
    stat = disk::stat_at(folder_fd, name.c_str());
    if (!stat || stat->attributes.inode != number || is_told()) return;
  }
  told_log_->note_inode(number, disk::nanoseconds_of(stat->attributes.ctime));
  const bool is_file = S_ISREG(stat->attributes.mode);
  changes.push_back({.inode = number,
                     .name = {},
                     .has_data = is_file,
                     .size = is_file ? stat->attributes.size : 0});
}

void Home::find_foreign_attributes(const InodeRef& folder, int folder_fd,
                                   std::vector<Change>& changes) {
  const std::lock_guard names_lock(inodes_->names_mutex());
  const std::unique_lock lock(folder->size_lock());
  const auto stat = disk::stat_fd(folder_fd);
  if (!stat) return;
  const std::int64_t ctime = disk::nanoseconds_of(stat->attributes.ctime);
  if (told_log_->has_inode(folder->number(), ctime)) return;
  told_log_->note_inode(folder->number(), ctime);
  changes.push_back({.inode = folder->number(), .name = {}});
}

void Home::on_news_lost() {
  must_recount_.store(true);
  if (options_.on_beside) options_.on_beside({{.inode = {}, .name = {}}});
}

void Home::on_quiet() { told_log_->rotate(); }

bool Home::care_for_usage(std::chrono::steady_clock::time_point now) {
  const bool is_first = last_recount_ == std::chrono::steady_clock::time_point{};
  if (is_first || scan_->is_running() || !quota_->is_known()) {
    last_recount_ = now;
    return false;
  }
  const auto since = now - last_recount_;
  const auto enough = std::max<std::chrono::nanoseconds>(
      kRecountIntervalMin, scan_->last_took() * kRecountIntervalFactor);
  const bool is_due = (must_recount_.load() && since >= enough) || since >= kRecountIntervalMax;
  if (!is_due) return false;
  must_recount_.store(false);
  last_recount_ = now;
  recount();
  return true;
}

}  // namespace homefs

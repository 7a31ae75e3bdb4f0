#include "server/home_registry.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "server/log.h"

namespace homefs {
namespace {

// Beside the homes: an account's name never begins with a dot.
constexpr const char* kOrphansFolder = ".orphans";

/// Whether it had to be made.
Result<bool> make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  const bool is_new = std::filesystem::create_directories(folder, error);
  if (is_new) std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  if (!error && !std::filesystem::is_directory(folder, error) && !error) {
    return fail(Status::kConfigError, folder.string() + " is no folder");
  }
  if (error) return fail_errno(error.value(), "make " + folder.string());
  return is_new;
}

}  // namespace

Result<void> make_homes_folder(const std::filesystem::path& homes_dir) {
  const Result<bool> made = make_folder(homes_dir);
  return made ? Result<void>{} : std::unexpected(made.error());
}

Result<void> delete_home(const std::filesystem::path& homes_dir, const std::string& name) {
  for (const auto& folder : {homes_dir / name, homes_dir / kOrphansFolder / name}) {
    std::error_code error;
    const auto status = std::filesystem::symlink_status(folder, error);
    if (status.type() == std::filesystem::file_type::not_found) continue;
    // Taken for gone it would be the home of the next account of this name.
    if (error) return fail_errno(error.value(), "look for " + folder.string());
    // Renamed first: an account that is made anew under this name begins with an empty home.
    const std::filesystem::path doomed =
        homes_dir / (".removed." + name + "." + std::to_string(::getpid()) +
                     (folder.parent_path() == homes_dir ? "" : ".orphans"));
    std::filesystem::rename(folder, doomed, error);
    if (!error) std::filesystem::remove_all(doomed, error);
    if (error) return fail_errno(error.value(), "delete " + folder.string());
  }
  return {};
}

/// The name of a home that nobody else opens or closes meanwhile.
class HomeRegistry::Busy {
 public:
  Busy(HomeRegistry& homes, std::string name) : homes_(homes), name_(std::move(name)) {
    std::unique_lock lock(homes_.busy_mutex_);
    homes_.busy_changed_.wait(lock, [this] { return !homes_.busy_.contains(name_); });
    homes_.busy_.insert(name_);
  }
  ~Busy() {
    {
      const std::lock_guard lock(homes_.busy_mutex_);
      homes_.busy_.erase(name_);
    }
    homes_.busy_changed_.notify_all();
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;

 private:
  HomeRegistry& homes_;
  const std::string name_;
};

HomeRegistry::HomeRegistry(HomeRegistryOptions options) : options_(std::move(options)) {}

std::shared_ptr<LiveHome> HomeRegistry::find(const std::string& account) {
  const auto entries = entries_.lock();
  const auto found = entries->find(account);
  return found == entries->end() ? nullptr : found->second.home;
}

Result<std::shared_ptr<LiveHome>> HomeRegistry::acquire(const Account& account) {
  auto home = find(account.name);
  if (home && is_in_place(*home)) {
    (void)apply_limits(account);  // whether they changed does not matter here
    return home;
  }
  const Busy busy(*this, account.name);
  home = find(account.name);
  if (home && is_in_place(*home)) return home;  // another login was faster
  if (home) {
    if (Result<void> done = let_go(*home); !done) return std::unexpected(done.error());
  }
  return open(account);
}

/// Whether its folder is the one that has the account's name, as far as is known; that is open, so
/// that its number has not been given to another one.
bool HomeRegistry::is_in_place(const LiveHome& home) const {
  struct stat stat{};
  const std::filesystem::path folder = options_.homes_dir / home.name;
  if (::stat(folder.c_str(), &stat) != 0) return errno != ENOENT && errno != ENOTDIR;
  return InodeNumber{stat.st_ino} == home.files->root()->number();
}

/// The account was removed with its files, and made anew: sessions of before keep what they have.
/// Precondition: its name is busy.
Result<void> HomeRegistry::let_go(const LiveHome& home) {
  entries_.lock()->erase(home.name);
  home.files->stop();
  return options_.usage_of(home.name)->save({.is_clean = false});
}

// Precondition: its name is busy.
Result<std::shared_ptr<LiveHome>> HomeRegistry::open(const Account& account) {
  const std::filesystem::path root = options_.homes_dir / account.name;
  const std::filesystem::path orphans = options_.homes_dir / kOrphansFolder;
  const Result<bool> is_new = make_folder(root);
  if (!is_new) return std::unexpected(is_new.error());
  if (auto made = make_folder(orphans); !made) return std::unexpected(made.error());
  const std::shared_ptr<UsageStore> usage = options_.usage_of(account.name);
  if (*is_new) {
    // What is remembered under this name was another home's, of an account that was removed.
    if (auto saved = usage->save({.is_clean = false}); !saved) {
      return std::unexpected(saved.error());
    }
  }
  HomeOptions home;
  home.root = root.string();
  home.orphan_folder = (orphans / account.name).string();
  home.bytes_max = account.total_space;
  home.files_max = account.files_max;
  home.preserve_owners = account.preserve_owners;
  home.orphan_linger = options_.orphan_linger;
  home.descriptors = options_.descriptors;
  home.buffers = options_.buffers;
  home.usage = usage;
  if (options_.on_open) {
    home.on_open = [this, &account](Home& opened) {
      return options_.on_open(account.name, opened);
    };
  }
  const auto coherence = HomeCoherence::make(options_.executor);
  home.watch = options_.watch;
  home.on_beside = [coherence](const std::vector<Change>& changes) {
    coherence->tell_all(changes);
  };
  Result<std::shared_ptr<Home>> files = Home::open(std::move(home));
  if (!files) return std::unexpected(files.error());

  auto live = std::make_shared<LiveHome>(LiveHome{account.name, std::move(*files), coherence});
  (*entries_.lock())[account.name] = Entry{live, account.total_space, account.files_max};
  return live;
}

std::shared_ptr<LiveHome> HomeRegistry::apply_limits(const Account& account) {
  std::shared_ptr<LiveHome> home;
  {
    const auto entries = entries_.lock();
    const auto found = entries->find(account.name);
    if (found == entries->end()) return nullptr;
    Entry& entry = found->second;
    entry.home->files->set_preserves_owners(account.preserve_owners);
    if (entry.bytes_max == account.total_space && entry.files_max == account.files_max) {
      return nullptr;
    }
    entry.bytes_max = account.total_space;
    entry.files_max = account.files_max;
    home = entry.home;
  }
  home->files->set_limits(account.total_space, account.files_max);
  return home;
}

void HomeRegistry::tidy() {
  const auto now = std::chrono::steady_clock::now();
  for (const auto& home : all()) (void)home->files->sweep_orphans(now);
  std::vector<std::string> unused;
  {
    const auto entries = entries_.lock();
    for (const auto& [name, entry] : *entries) {
      if (is_unused(entry)) unused.push_back(name);
    }
  }
  for (const std::string& name : unused) close_if_unused(name);
}

/// Whoever acquires a home takes its reference under the lock of the entries, so 1 means that only
/// we have it. One with orphans that wait for their sessions stays open: their time goes on.
/// Precondition: entries_ is locked.
bool HomeRegistry::is_unused(const Entry& entry) {
  return entry.home.use_count() == 1 && !entry.home->files->has_waiting_orphans();
}

void HomeRegistry::close_if_unused(const std::string& name) {
  const Busy busy(*this, name);
  std::shared_ptr<LiveHome> home;  // goes before the name is free
  {
    const auto entries = entries_.lock();
    const auto found = entries->find(name);
    if (found == entries->end() || !is_unused(found->second)) return;
    home = std::move(found->second.home);
    entries->erase(found);
  }
  home->files->stop();
}

std::vector<std::string> HomeRegistry::names_with_orphans() const {
  std::vector<std::string> names;
  std::error_code error;
  const std::filesystem::path orphans = options_.homes_dir / kOrphansFolder;
  for (const auto& entry : std::filesystem::directory_iterator(orphans, error)) {
    if (!std::filesystem::is_empty(entry.path(), error)) names.push_back(entry.path().filename());
  }
  return names;
}

std::vector<std::shared_ptr<LiveHome>> HomeRegistry::all() {
  std::vector<std::shared_ptr<LiveHome>> homes;
  const auto entries = entries_.lock();
  for (const auto& [name, entry] : *entries) homes.push_back(entry.home);
  return homes;
}

void HomeRegistry::care_for_usage() {
  const auto now = std::chrono::steady_clock::now();
  for (const auto& home : all()) {
    if (!home->files->care_for_usage(now)) continue;
    if (const std::size_t missed = home->files->missed_in_count(); missed > 0) {
      log_warn("usage-incomplete", {{"user", home->name}, {"not-readable", missed}});
    }
    if (const std::size_t unwatched = home->files->unwatched(); unwatched > 0) {
      log_warn("folders-not-watched", {{"user", home->name},
                                       {"folders", unwatched},
                                       {"hint", "raise fs.inotify.max_user_watches"}});
    }
  }
}

Result<void> HomeRegistry::rescan(const std::string& account, bool tell_sessions) {
  if (const auto home = find(account)) {
    home->files->recount();
    if (tell_sessions) home->coherence->tell_all({{.inode = {}, .name = {}}});
    return {};
  }
  const Busy busy(*this, account);
  if (const auto home = find(account)) {
    home->files->recount();
    return {};
  }
  const std::shared_ptr<UsageStore> usage = options_.usage_of(account);
  const auto last = usage->load();
  if (!last) return std::unexpected(last.error());
  const Usage estimate = *last ? (*last)->usage : Usage{};
  return usage->save({.usage = estimate, .is_clean = false});
}

void HomeRegistry::stop_all() {
  if (options_.watch != nullptr) options_.watch->stop();
  for (const auto& home : all()) home->files->stop();
}

void HomeRegistry::let_go_of_sessions() {
  for (const auto& home : all()) home->coherence->clear();
}

std::size_t HomeRegistry::size() { return entries_.lock()->size(); }

}  // namespace homefs

#include "config/accounts_file.h"

#include <utility>

namespace homefs {
namespace {

// A file as young as this may be written again within one tick of the file system's clock (4 ms,
// 10 ms on some kernels) and look the same: it is read again until it is older.
constexpr std::chrono::milliseconds kTick{50};

// An editor that writes in place truncates first. A file that was just cut short is looked at again
// after this long, before accounts are taken for removed.
constexpr std::chrono::milliseconds kSettle{500};

}  // namespace

AccountsFile::AccountsFile(std::filesystem::path path, Options options)
    : path_(std::move(path)),
      options_(std::move(options)),
      next_check_(options_.now().time_since_epoch().count()) {}

Result<std::shared_ptr<const Accounts>> AccountsFile::current() {
  if (is_check_due()) {
    std::unique_lock lock(refresh_mutex_, std::try_to_lock);
    // While somebody else reads, the version before is good enough; without one, wait.
    if (!lock.owns_lock() && good() == nullptr) lock.lock();
    if (lock.owns_lock() && is_check_due()) refresh();
  }
  if (std::shared_ptr<const Accounts> accounts = good()) return accounts;
  const std::lock_guard lock(refresh_mutex_);
  return std::unexpected(first_error_);
}

Result<> AccountsFile::edit(const std::function<Result<>(AccountsEdit&)>& change) {
  const std::lock_guard lock(refresh_mutex_);
  Result<> edited = edit_accounts(path_, change);
  if (edited) read();
  return edited;
}

std::shared_ptr<const Accounts> AccountsFile::good() { return *good_.lock(); }

bool AccountsFile::is_check_due() const {
  return options_.now().time_since_epoch().count() >= next_check_.load();
}

void AccountsFile::refresh() {
  const auto next = options_.now() + options_.check_interval;
  const Result<FileVersion> version = file_version(path_);
  const bool is_same = version && seen_.version == *version && seen_.is_settled;
  if (!is_same && !(version && is_half_written(*version))) read();
  // Last: whoever finds the check not due must find its outcome.
  next_check_.store(next.time_since_epoch().count());
}

void AccountsFile::read() {
  const Result<TextFile> file = read_text_file(path_, kAccountsBytesMax);
  if (!file) {
    seen_.version.reset();
    seen_.text.reset();
    first_error_ = file.error();
    return report(file.error().message());
  }
  seen_.version = file->version;
  seen_.is_settled = age(file->version) >= kTick || age(file->version) < decltype(kTick)::zero();
  if (seen_.text == file->text) return;
  seen_.text = file->text;
  Result<Accounts> accounts = Accounts::parse(file->text, path_.string());
  if (!accounts) {
    first_error_ = accounts.error();
    return report(accounts.error().context);
  }
  seen_.problem.clear();
  if (options_.on_problem) {
    for (const std::string& warning : accounts->warnings()) options_.on_problem(warning);
  }
  std::shared_ptr<const Accounts> next = std::make_shared<const Accounts>(std::move(*accounts));
  good_.lock()->swap(next);  // The version before is freed outside the lock.
}

bool AccountsFile::is_half_written(const FileVersion& version) const {
  const bool is_cut_in_place = seen_.version && seen_.version->inode == version.inode &&
                               seen_.version->device == version.device &&
                               version.size < seen_.version->size;
  // A time in the future says nothing; waiting for it could take for ever.
  return is_cut_in_place && age(version) >= decltype(kSettle)::zero() && age(version) < kSettle;
}

std::chrono::nanoseconds AccountsFile::age(const FileVersion& version) const {
  return options_.wall_now().time_since_epoch() - version.modified;
}

// Once for each problem, however often the file is looked at.
void AccountsFile::report(const std::string& problem) {
  if (problem == std::exchange(seen_.problem, problem)) return;
  if (options_.on_problem) options_.on_problem(problem);
}

}  // namespace homefs

#include "server/session_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <utility>

#include "protocol/base64.h"
#include "protocol/scram_crypto.h"
#include "protocol/unique_fd.h"
#include "server/log.h"

namespace homefs {
namespace {

constexpr const char* kRecordSuffix = ".session";
constexpr const char* kLocksSuffix = ".locks";
// There when the last run was stopped in order.
constexpr const char* kOrderlyMark = "stopped-in-order";
constexpr const char* kUnreadableSuffix = ".unreadable";

/// Whether it says nothing of a file: the process could not look.
bool is_of_the_moment(Status status) {
  return status == Status::kTooManyOpen || status == Status::kNoMemory ||
         status == Status::kInterrupted;
}

Result<void> make_folder(const std::filesystem::path& folder) {
  if (::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return fail_errno(errno, "make " + folder.string());
}

/// Differs for each start of the machine.
std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  // Without it no session may be taken up after a kill: nothing equals this.
  if (id.empty()) {
    SessionId random{};
    fill_random(random);
    id = to_hex(random);
  }
  return id;
}

Result<void> sync_folder(const std::filesystem::path& folder) {
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno(errno, "sync " + folder.string());
  return {};
}

}  // namespace

Result<void> sync_file_system(const std::filesystem::path& folder) {
  const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::syncfs(fd.get()) != 0) return fail_errno(errno, "sync " + folder.string());
  return {};
}

Result<SessionStore> SessionStore::open(std::filesystem::path folder) {
  if (Result<void> made = make_folder(folder); !made) return std::unexpected(made.error());
  const std::filesystem::path mark = folder / kOrderlyMark;
  const bool was_orderly = ::access(mark.c_str(), F_OK) == 0;
  if (!was_orderly && errno != ENOENT) return fail_errno(errno, "look for " + mark.string());
  return SessionStore(std::move(folder), boot_id(), was_orderly);
}

std::filesystem::path SessionStore::file_of(const SessionId& id, const char* suffix) const {
  return folder_ / (to_hex(id) + suffix);
}

Result<std::unique_ptr<SessionRecord>> SessionStore::make_record(
    const SessionIdentity& identity) const {
  return SessionRecord::make(file_of(identity.id, kRecordSuffix), boot_, identity);
}

std::unique_ptr<LockLog> SessionStore::make_lock_log(const SessionId& id) const {
  return std::make_unique<LockLog>(file_of(id, kLocksSuffix), file_of(id, kRecordSuffix));
}

Result<SavedSession> SessionStore::load_session(const std::filesystem::path& file) const {
  auto record = SessionRecord::open(file, was_orderly_ ? std::string_view() : boot_);
  if (!record) return std::unexpected(record.error());
  const SessionIdentity& identity = (*record)->identity();
  if (file.stem() != to_hex(identity.id)) return fail(Status::kInvalid, "it is of another session");
  auto lock_log = make_lock_log(identity.id);
  auto locks = lock_log->load();
  if (!locks) return std::unexpected(locks.error());
  (*record)->set_boot(boot_);
  return SavedSession{.identity = identity,
                      .locks = *std::move(locks),
                      .lock_log = std::move(lock_log),
                      .record = *std::move(record)};
}

Result<std::vector<std::filesystem::path>> SessionStore::list() const {
  std::vector<std::filesystem::path> files;
  std::error_code error;
  std::filesystem::directory_iterator at(folder_, error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    files.push_back(at->path());
  }
  if (error) return fail_errno(error.value(), "read " + folder_.string());
  return files;
}

Result<std::vector<SavedSession>> SessionStore::load() {
  const auto files = list();
  if (!files) return std::unexpected(files.error());
  auto sessions = load_all(*files);
  if (!sessions) return sessions;
  // It must be gone for good before anything is changed: it is true of the last run alone.
  if (was_orderly_) {
    const std::filesystem::path mark = folder_ / kOrderlyMark;
    if (::unlink(mark.c_str()) != 0) return fail_errno(errno, "delete " + mark.string());
    if (Result<void> synced = sync_folder(folder_); !synced) return std::unexpected(synced.error());
  }
  delete_leftovers(*files);
  return sessions;
}

Result<std::vector<SavedSession>> SessionStore::load_all(
    const std::vector<std::filesystem::path>& files) const {
  std::vector<SavedSession> sessions;
  for (const std::filesystem::path& file : files) {
    if (file.extension() != kRecordSuffix) continue;
    Result<SavedSession> session = load_session(file);
    if (session) {
      sessions.push_back(*std::move(session));
    } else if (Result<void> done = give_up(file, session.error()); !done) {
      return std::unexpected(done.error());
    }
  }
  return sessions;
}

/// The session of `file` is over: it cannot be trusted, or the disk does not give it. Errors: of a
/// moment; it is not over.
Result<void> SessionStore::give_up(const std::filesystem::path& file, const Error& why) const {
  if (is_of_the_moment(why.status)) {
    return fail(why.status, "read the session " + file.string() + ": " + why.message());
  }
  log_warn("session-dropped",
           {{"session", file.stem().string().substr(0, 8)}, {"why", why.message()}});
  if (why.status == Status::kInvalid) {
    (void)::unlink(file.c_str());  // the next start tries again
    return {};
  }
  // Not left as it is: if a later run could read it, it would take up what is over.
  for (const char* suffix : {kLocksSuffix, kRecordSuffix}) {
    std::filesystem::path from = file;
    from.replace_extension(suffix);
    const std::string aside = from.string() + kUnreadableSuffix;
    if (::rename(from.c_str(), aside.c_str()) != 0 && errno != ENOENT) {
      return fail_errno(errno, "set " + from.string() + " aside");
    }
  }
  return {};
}

/// Locks whose session is gone, and what was being written when the server was killed.
void SessionStore::delete_leftovers(const std::vector<std::filesystem::path>& files) const {
  for (const std::filesystem::path& file : files) {
    const std::filesystem::path extension = file.extension();
    if (extension == kRecordSuffix || extension == kUnreadableSuffix) continue;
    if (extension == kLocksSuffix) {
      const std::filesystem::path record = folder_ / (file.stem().string() + kRecordSuffix);
      std::error_code error;
      // One that could not be looked for may be there.
      if (std::filesystem::exists(record, error) || error) continue;
    }
    (void)::unlink(file.c_str());  // the next start tries again
  }
}

Result<void> SessionStore::note_orderly_stop() const {
  if (Result<void> synced = sync_file_system(folder_); !synced) return synced;
  const std::filesystem::path mark = folder_ / kOrderlyMark;
  const UniqueFd fd(::open(mark.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd || ::fsync(fd.get()) != 0) return fail_errno(errno, "make " + mark.string());
  return sync_folder(folder_);
}

}  // namespace homefs

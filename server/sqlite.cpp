#include "server/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace homefs {
namespace {

constexpr int kBusyTimeoutMilliseconds = 5000;  // the command line may write beside the server

std::unexpected<Error> fail_sqlite(sqlite3* database) {
  const int code = sqlite3_errcode(database);
  const Status status = code == SQLITE_FULL ? Status::kNoSpace : Status::kIoError;
  return fail(status, std::string("state database: ") + sqlite3_errmsg(database));
}

}  // namespace

void SqliteStatement::Finalize::operator()(sqlite3_stmt* statement) const {
  (void)sqlite3_finalize(statement);  // repeats the error of the last step
}

SqliteStatement& SqliteStatement::bind(int index, std::int64_t value) {
  HOMEFS_CHECK(sqlite3_bind_int64(statement_.get(), index, value) == SQLITE_OK);
  return *this;
}

SqliteStatement& SqliteStatement::bind(int index, std::string_view value) {
  // SQLite copies it: the statement outlives most arguments.
  HOMEFS_CHECK(sqlite3_bind_text64(statement_.get(), index, value.data(), value.size(),
                                   SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK);
  return *this;
}

Result<bool> SqliteStatement::step() {
  const int code = sqlite3_step(statement_.get());
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return fail_sqlite(sqlite3_db_handle(statement_.get()));
}

Result<void> SqliteStatement::run() {
  const Result<bool> row = step();
  if (!row) return std::unexpected(row.error());
  return {};
}

std::int64_t SqliteStatement::integer(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

std::string SqliteStatement::text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_.get(), column);
  const auto count = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
  return bytes == nullptr ? std::string() : std::string(static_cast<const char*>(bytes), count);
}

void SqliteDatabase::Close::operator()(sqlite3* database) const { (void)sqlite3_close(database); }

Result<SqliteDatabase> SqliteDatabase::open(const std::filesystem::path& file) {
  // Made here and not by SQLite, so that it never exists with the mode of a lax umask. The log and
  // the index beside it take over this file's mode.
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return fail_errno(errno, "open " + file.string());
  (void)::close(fd);

  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(file.c_str(), &handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr);
  SqliteDatabase database(handle);  // also after a failure there is a handle to close
  if (code != SQLITE_OK) return fail_sqlite(handle);
  (void)sqlite3_busy_timeout(handle, kBusyTimeoutMilliseconds);
  const auto done = database.execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;");
  if (!done) return std::unexpected(done.error());
  return database;
}

Result<SqliteStatement> SqliteDatabase::prepare(std::string_view sql) {
  sqlite3_stmt* statement = nullptr;
  const int code = sqlite3_prepare_v2(database_.get(), sql.data(), static_cast<int>(sql.size()),
                                      &statement, nullptr);
  if (code != SQLITE_OK) return fail_sqlite(database_.get());
  return SqliteStatement(statement);
}

Result<void> SqliteDatabase::execute(const char* sql) {
  if (sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
    return fail_sqlite(database_.get());
  }
  return {};
}

int SqliteDatabase::changes() const { return sqlite3_changes(database_.get()); }

}  // namespace homefs

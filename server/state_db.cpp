#include "server/state_db.h"

#include <algorithm>
#include <array>

#include "protocol/base64.h"
#include "protocol/scram_crypto.h"

namespace homefs {
namespace {

// The version of the tables; kept in the file as SQLite's user_version. Version 1 did not say in
// which boot a use was saved: it is counted once more. Two processes may do this one after the
// other.
constexpr std::int64_t kSchemaVersion = 2;
constexpr const char* kSchema = R"(
  BEGIN IMMEDIATE;
  CREATE TABLE IF NOT EXISTS tokens (
    id TEXT PRIMARY KEY NOT NULL,
    account TEXT NOT NULL,
    label TEXT NOT NULL,
    verifier TEXT NOT NULL,
    created INTEGER NOT NULL,
    last_used INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX IF NOT EXISTS tokens_of_account ON tokens (account);
  CREATE TABLE IF NOT EXISTS usage ( -- of version 1
    home TEXT PRIMARY KEY NOT NULL,
    bytes INTEGER NOT NULL,
    files INTEGER NOT NULL,
    is_clean INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS constants (
    name TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS home_use (
    home TEXT PRIMARY KEY NOT NULL,
    bytes INTEGER NOT NULL,
    files INTEGER NOT NULL,
    is_clean INTEGER NOT NULL,
    boot TEXT NOT NULL
  ) STRICT;
  INSERT OR IGNORE INTO home_use SELECT home, bytes, files, 0, '' FROM usage;
  DROP TABLE usage;
  PRAGMA user_version = 2;
  COMMIT;
)";

// Both give the columns that token_of_row() takes.
constexpr std::string_view kSelectToken =
    "SELECT id, account, label, verifier, created, last_used FROM tokens WHERE id = ?1";
constexpr std::string_view kSelectTokens =
    "SELECT id, account, label, verifier, created, last_used FROM tokens "
    "WHERE ?1 = '' OR account = ?1 ORDER BY created, id";

DeviceToken token_of_row(const SqliteStatement& row) {
  return {.id = row.text(0),
          .account = row.text(1),
          .label = row.text(2),
          .verifier = row.text(3),
          .created = row.integer(4),
          .last_used = row.integer(5)};
}

// An account cannot have such a name.
std::string id_name(std::string_view account) { return "account-id " + std::string(account); }

constexpr std::string_view kOrderPrefix = "order ";
std::string order_name(std::string_view kind, std::string_view home) {
  return std::string(kOrderPrefix) + std::string(kind) + " " + std::string(home);
}

Result<std::int64_t> single_integer(SqliteDatabase& database, std::string_view sql) {
  Result<SqliteStatement> statement = database.prepare(sql);
  if (!statement) return std::unexpected(statement.error());
  const Result<bool> row = statement->step();
  if (!row) return std::unexpected(row.error());
  return *row ? statement->integer(0) : 0;
}

Result<std::optional<std::string>> find_constant(SqliteDatabase& database, std::string_view name) {
  Result<SqliteStatement> select = database.prepare("SELECT value FROM constants WHERE name = ?1");
  if (!select) return std::unexpected(select.error());
  const Result<bool> row = select->bind(1, name).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return std::nullopt;
  return select->text(0);
}

}  // namespace

Result<std::unique_ptr<StateDb>> StateDb::open(const std::filesystem::path& file) {
  Result<SqliteDatabase> database = SqliteDatabase::open(file);
  if (!database) return std::unexpected(database.error());
  std::unique_ptr<StateDb> state(new StateDb(std::move(*database)));
  if (Result<void> done = state->migrate(); !done) return std::unexpected(done.error());
  return state;
}

Result<void> StateDb::migrate() {
  const Result<std::int64_t> version = single_integer(database_, "PRAGMA user_version");
  if (!version) return std::unexpected(version.error());
  if (*version > kSchemaVersion) {
    return fail(Status::kConfigError, "the state database is of a newer homefsd (version " +
                                          std::to_string(*version) + "): install that one");
  }
  if (*version == kSchemaVersion) return {};
  return database_.execute(kSchema);
}

Result<void> StateDb::add_token(const DeviceToken& token) {
  const std::lock_guard lock(mutex_);
  // One statement, so that two logins at once cannot pass the limit together.
  Result<SqliteStatement> insert = database_.prepare(
      "INSERT OR IGNORE INTO tokens (id, account, label, verifier, created, last_used) "
      "SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE (SELECT count(*) FROM tokens WHERE account = ?2) < ?7");
  if (!insert) return std::unexpected(insert.error());
  insert->bind(1, token.id).bind(2, token.account).bind(3, token.label).bind(4, token.verifier);
  insert->bind(5, token.created).bind(6, token.last_used);
  insert->bind(7, static_cast<std::int64_t>(kTokensPerAccountMax));
  if (Result<void> done = insert->run(); !done) return done;
  if (database_.changes() == 1) return {};
  return fail(Status::kTooManyOpen, "the account has too many device tokens: revoke one first");
}

Result<std::optional<DeviceToken>> StateDb::find_token(std::string_view id) {
  const std::lock_guard lock(mutex_);
  Result<SqliteStatement> select = database_.prepare(kSelectToken);
  if (!select) return std::unexpected(select.error());
  const Result<bool> row = select->bind(1, id).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return std::nullopt;
  return token_of_row(*select);
}

Result<std::vector<DeviceToken>> StateDb::list_tokens(std::string_view account) {
  const std::lock_guard lock(mutex_);
  Result<SqliteStatement> select = database_.prepare(kSelectTokens);
  if (!select) return std::unexpected(select.error());
  select->bind(1, account);
  std::vector<DeviceToken> tokens;
  for (;;) {
    const Result<bool> row = select->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return tokens;
    tokens.push_back(token_of_row(*select));
  }
}

Result<void> StateDb::revoke_token(std::string_view account, std::string_view id) {
  const std::lock_guard lock(mutex_);
  Result<SqliteStatement> remove =
      database_.prepare("DELETE FROM tokens WHERE account = ?1 AND id = ?2");
  if (!remove) return std::unexpected(remove.error());
  if (Result<void> done = remove->bind(1, account).bind(2, id).run(); !done) return done;
  if (database_.changes() == 0) return fail(Status::kNoSuchFile, "no such device token");
  return {};
}

Result<std::string> StateDb::account_id(std::string_view account) {
  std::array<std::byte, 16> id{};
  fill_random(id);
  return constant(id_name(account), to_hex(id));
}

Result<void> StateDb::forget_account(std::string_view account) {
  const Result<void> done = run_with("DELETE FROM tokens WHERE account = ?1", account);
  if (!done) return done;
  return run_with("DELETE FROM constants WHERE name = ?1", id_name(account));
}

Result<void> StateDb::run_with(std::string_view statement, std::string_view is) {
  const std::lock_guard lock(mutex_);
  Result<SqliteStatement> remove = database_.prepare(statement);
  if (!remove) return std::unexpected(remove.error());
  return remove->bind(1, is).run();
}

Result<void> StateDb::touch_token(std::string_view id, std::int64_t now_seconds) {
  const std::lock_guard lock(mutex_);
  Result<SqliteStatement> update =
      database_.prepare("UPDATE tokens SET last_used = ?2 WHERE id = ?1");
  if (!update) return std::unexpected(update.error());
  return update->bind(1, id).bind(2, now_seconds).run();
}

Result<std::optional<UsageCheckpoint>> StateDb::load_usage(std::string_view home,
                                                           std::string_view boot) {
  const std::lock_guard lock(mutex_);
  Result<SqliteStatement> select = database_.prepare(
      "SELECT bytes, files, is_clean AND boot IN ('', ?2) FROM home_use WHERE home = ?1");
  if (!select) return std::unexpected(select.error());
  const Result<bool> row = select->bind(1, home).bind(2, boot).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return std::nullopt;
  UsageCheckpoint checkpoint;
  checkpoint.usage.bytes = static_cast<std::uint64_t>(select->integer(0));
  checkpoint.usage.files = static_cast<std::uint64_t>(select->integer(1));
  checkpoint.is_clean = select->integer(2) != 0;
  return checkpoint;
}

Result<void> StateDb::save_usage(std::string_view home, const UsageCheckpoint& checkpoint,
                                 std::string_view boot) {
  const std::lock_guard lock(mutex_);
  Result<SqliteStatement> upsert = database_.prepare(
      "INSERT INTO home_use (home, bytes, files, is_clean, boot) VALUES (?1, ?2, ?3, ?4, ?5) "
      "ON CONFLICT (home) DO UPDATE SET bytes = ?2, files = ?3, is_clean = ?4, boot = ?5");
  if (!upsert) return std::unexpected(upsert.error());
  upsert->bind(1, home)
      .bind(2, static_cast<std::int64_t>(checkpoint.usage.bytes))
      .bind(3, static_cast<std::int64_t>(checkpoint.usage.files))
      .bind(4, std::int64_t{checkpoint.is_clean ? 1 : 0})
      .bind(5, boot);
  return upsert->run();
}

Result<void> StateDb::note_usage_durable(std::string_view boot) {
  return run_with("UPDATE home_use SET boot = '' WHERE boot = ?1 AND is_clean", boot);
}

Result<void> StateDb::forget_home(std::string_view home) {
  return run_with("DELETE FROM home_use WHERE home = ?1", home);
}

Result<std::string> StateDb::constant(std::string_view name, std::string_view if_new) {
  const std::lock_guard lock(mutex_);
  const auto kept = find_constant(database_, name);
  if (!kept) return std::unexpected(kept.error());
  if (*kept) return **kept;
  Result<SqliteStatement> insert =
      database_.prepare("INSERT OR IGNORE INTO constants (name, value) VALUES (?1, ?2)");
  if (!insert) return std::unexpected(insert.error());
  const Result<void> inserted = insert->bind(1, name).bind(2, if_new).run();
  if (!inserted) return std::unexpected(inserted.error());
  // Another process may have been quicker: then its value stays.
  const auto is = find_constant(database_, name);
  if (!is) return std::unexpected(is.error());
  return is->value_or(std::string(if_new));
}

Result<void> StateDb::add_order(const std::string& kind, std::string_view home) {
  const auto made = constant(order_name(kind, home), "");
  return made ? Result<void>{} : std::unexpected(made.error());
}

Result<std::vector<StateDb::Order>> StateDb::orders() {
  const std::lock_guard lock(mutex_);
  Result<SqliteStatement> select =
      database_.prepare("SELECT name FROM constants WHERE name LIKE 'order %'");
  if (!select) return std::unexpected(select.error());
  std::vector<Order> orders;
  for (;;) {
    const Result<bool> row = select->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return orders;
    const std::string order = select->text(0).substr(kOrderPrefix.size());
    const std::size_t space = std::min(order.find(' '), order.size() - 1);
    orders.push_back({.kind = order.substr(0, space), .home = order.substr(space + 1)});
  }
}

Result<void> StateDb::end_order(const Order& order) {
  return run_with("DELETE FROM constants WHERE name = ?1", order_name(order.kind, order.home));
}

Result<std::int64_t> StateDb::change_number() {
  const std::lock_guard lock(mutex_);
  return single_integer(database_, "PRAGMA data_version");
}

}  // namespace homefs

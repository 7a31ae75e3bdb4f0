// The server's own durable state, in SQLite: the device tokens, and what each home uses.
//
// The command line opens the same file beside a running server (revoking a token): changes of
// others are seen at the next query.
//
// Owner: the server, or a command of the command line. Executor: thread-safe. Blocks: on the disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"
#include "server/sqlite.h"
#include "server/usage_store.h"

namespace homefs {

/// A device that may log in without a password. The token itself is not kept, only what checks it.
struct DeviceToken {
  std::string id;              ///< public part of the token, unique on the server
  std::string account;         ///< whose it is
  std::string label;           ///< as the user called the device
  std::string verifier;        ///< "SCRAM-SHA-256$..." of its secret part
  std::int64_t created = 0;    ///< seconds since 1970
  std::int64_t last_used = 0;  ///< seconds since 1970; 0 = never
};

/// Kinds of orders.
inline constexpr const char* kOrderRecount = "recount";
inline constexpr const char* kOrderRescan = "rescan";

/// Device tokens of one account: more than anybody has devices.
inline constexpr std::size_t kTokensPerAccountMax = 64;

class StateDb {
 public:
  /// Opens or makes the file and brings its tables up to date.
  /// Errors: kConfigError when a newer homefsd has written it; those of SQLite.
  static Result<std::unique_ptr<StateDb>> open(const std::filesystem::path& file);

  /// Precondition: the id is new. Errors: kTooManyOpen over kTokensPerAccountMax.
  Result<void> add_token(const DeviceToken& token);
  Result<std::optional<DeviceToken>> find_token(std::string_view id);
  /// Of one account, or with "" of all; oldest first.
  Result<std::vector<DeviceToken>> list_tokens(std::string_view account);
  /// kNoSuchFile when `account` has no token of that id.
  Result<void> revoke_token(std::string_view account, std::string_view id);
  Result<void> touch_token(std::string_view id, std::int64_t now_seconds);

  /// What tells an account from an earlier one of the same name; made at the first call.
  Result<std::string> account_id(std::string_view account);
  /// The account is no more, or made anew: its device tokens are void, and so is its id.
  Result<void> forget_account(std::string_view account);

  /// `boot`: names this run of the machine, whose disk may not have yet what the use was counted
  /// of. One that was saved as clean in another boot is not clean, unless it is durable.
  Result<std::optional<UsageCheckpoint>> load_usage(std::string_view home, std::string_view boot);
  Result<void> save_usage(std::string_view home, const UsageCheckpoint& checkpoint,
                          std::string_view boot);
  /// The file system of the homes was synced after the last of them was closed: what was saved as
  /// clean in this boot is so in any other.
  Result<void> note_usage_durable(std::string_view boot);
  Result<void> forget_home(std::string_view home);

  /// What an administrator asks of the running server, or of the next: an order for a home. One
  /// that is there already is not made again.
  Result<void> add_order(const std::string& kind, std::string_view home);
  struct Order {
    std::string kind;
    std::string home;
  };
  Result<std::vector<Order>> orders();
  /// It was carried out. Nothing happens when it is not there.
  Result<void> end_order(const Order& order);

  /// A value that is made once and stays: `if_new` is kept when there is none under `name` yet.
  Result<std::string> constant(std::string_view name, std::string_view if_new);

  /// Differs from the last answer when another process has changed something.
  Result<std::int64_t> change_number();

 private:
  explicit StateDb(SqliteDatabase database) : database_(std::move(database)) {}
  Result<void> migrate();
  Result<void> run_with(std::string_view statement, std::string_view is);

  std::mutex mutex_;
  SqliteDatabase database_;  // guarded by mutex_
};

/// What the StateDb remembers of one home.
class StateDbUsage final : public UsageStore {
 public:
  /// `state` outlives this.
  StateDbUsage(StateDb& state, std::string home, std::string boot)
      : state_(state), home_(std::move(home)), boot_(std::move(boot)) {}
  Result<std::optional<UsageCheckpoint>> load() override { return state_.load_usage(home_, boot_); }
  Result<void> save(const UsageCheckpoint& checkpoint) override {
    return state_.save_usage(home_, checkpoint, boot_);
  }

 private:
  StateDb& state_;
  const std::string home_;
  const std::string boot_;
};

}  // namespace homefs

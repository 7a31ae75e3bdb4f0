#include "server/admin/user_commands.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>
#include <thread>
#include <vector>

#include "config/accounts.h"
#include "config/size.h"
#include "protocol/name.h"
#include "protocol/scram_crypto.h"
#include "server/admin/password_input.h"
#include "server/data_folder.h"
#include "server/home_registry.h"
#include "server/state_db.h"

namespace homefs {
namespace {

Result<std::string> new_verifier(const ServerConfig& config, bool from_stdin) {
  const Result<std::string> password = read_new_password(from_stdin);
  if (!password) return fail(Status::kLoginRefused, password.error().context);
  const Result<ScramVerifier> verifier = make_verifier(*password, config.login.scram_iterations);
  if (!verifier) return fail(Status::kLoginRefused, verifier.error().context);
  return verifier->to_string();
}

std::unexpected<Error> no_such_account(const std::string& name) {
  return fail(Status::kUnknownUser, "there is no account " + homefs::quoted(name));
}

Result<std::unique_ptr<StateDb>> open_state(const ServerConfig& config) {
  if (Result<void> made = DataFolder::make(config.data_dir); !made) {
    return std::unexpected(made.error());
  }
  return StateDb::open(config.data_dir / "state.db");
}

std::string date_of(std::int64_t seconds) {
  if (seconds == 0) return "never";
  const std::time_t time = seconds;
  std::tm parts{};
  char text[32] = "?";
  if (::localtime_r(&time, &parts) != nullptr) {
    (void)std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &parts);  // fits
  }
  return text;
}

std::string quota_text(std::uint64_t bytes) { return bytes == 0 ? "none" : describe_size(bytes); }

}  // namespace

Result<void> user_add(const ServerConfig& config, const UserAddOptions& options) {
  const Result<std::uint64_t> quota = parse_size(options.quota);
  if (!quota) return fail(Status::kInvalid, "--quota: " + quota.error().context);
  if (Result<> valid = check_account_name(options.name); !valid) return valid;
  // Before the password is asked for; decided under the lock further down.
  if (const auto accounts = Accounts::load(config.accounts_file);
      accounts && accounts->find(options.name) != nullptr) {
    return fail(Status::kExists,
                "there is an account " + homefs::quoted(options.name) + " already");
  }
  const Result<std::string> verifier = new_verifier(config, options.password_from_stdin);
  if (!verifier) return std::unexpected(verifier.error());
  const Result<std::unique_ptr<StateDb>> state = open_state(config);
  if (!state) return std::unexpected(state.error());
  return edit_accounts(config.accounts_file, [&](AccountsEdit& edit) -> Result<> {
    if (Result<> done = edit.add(options.name); !done) return done;
    // Tokens and sessions of an account of that name that was taken out of the file by hand.
    if (Result<> done = (*state)->forget_account(options.name); !done) return done;
    if (Result<> done = edit.set_password(options.name, *verifier); !done) return done;
    if (Result<> done = edit.set_total_space(options.name, *quota); !done) return done;
    if (options.files_max != 0) {
      if (Result<> done = edit.set_files_max(options.name, options.files_max); !done) return done;
    }
    if (options.preserve_owners) {
      if (Result<> done = edit.set_preserve_owners(options.name, true); !done) return done;
    }
    if (options.display_name.empty()) return {};
    return edit.set_display_name(options.name, options.display_name);
  });
}

Result<void> user_passwd(const ServerConfig& config, const std::string& name,
                         bool password_from_stdin) {
  const Result<Accounts> accounts = Accounts::load(config.accounts_file);
  if (!accounts) return std::unexpected(accounts.error());
  if (accounts->find(name) == nullptr) return no_such_account(name);
  const Result<std::string> verifier = new_verifier(config, password_from_stdin);
  if (!verifier) return std::unexpected(verifier.error());
  return edit_accounts(config.accounts_file,
                       [&](AccountsEdit& edit) { return edit.set_password(name, *verifier); });
}

Result<void> user_quota(const ServerConfig& config, const std::string& name,
                        const std::string& quota, std::optional<std::uint64_t> files_max) {
  const Result<std::uint64_t> bytes = parse_size(quota);
  if (!bytes) return fail(Status::kInvalid, "quota: " + bytes.error().context);
  return edit_accounts(config.accounts_file, [&](AccountsEdit& edit) -> Result<> {
    if (!edit.has(name)) return no_such_account(name);
    if (Result<> done = edit.set_total_space(name, *bytes); !done) return done;
    return files_max ? edit.set_files_max(name, *files_max) : Result<>{};
  });
}

Result<void> user_set_disabled(const ServerConfig& config, const std::string& name, bool disabled) {
  return edit_accounts(config.accounts_file, [&](AccountsEdit& edit) -> Result<> {
    if (!edit.has(name)) return no_such_account(name);
    return edit.set_disabled(name, disabled);
  });
}

Result<void> user_list(const ServerConfig& config) {
  const Result<Accounts> accounts = Accounts::load(config.accounts_file);
  if (!accounts) return std::unexpected(accounts.error());
  const Result<std::unique_ptr<StateDb>> state = open_state(config);
  if (!state) return std::unexpected(state.error());
  std::printf("%-20s %12s %12s  %s\n", "ACCOUNT", "QUOTA", "USED", "STATE");
  for (const Account& account : accounts->all()) {
    const Result<std::optional<UsageCheckpoint>> usage =
        (*state)->load_usage(account.name, /*boot=*/"");
    if (!usage) return std::unexpected(usage.error());
    // While the home is served the figure is of its last checkpoint.
    const std::string used = *usage ? describe_size((*usage)->usage.bytes) : "-";
    const char* status = account.disabled                                    ? "disabled"
                         : account.password.kind == PasswordKind::kNone      ? "no password"
                         : account.password.kind == PasswordKind::kLegacyMd5 ? "old password"
                                                                             : "active";
    std::printf("%-20s %12s %12s  %s\n", account.name.c_str(),
                quota_text(account.total_space).c_str(), used.c_str(), status);
  }
  return {};
}

Result<void> user_remove(const ServerConfig& config, const std::string& name, bool delete_files) {
  // The name becomes a path below: it has to be one that an account can have.
  if (Result<> valid = check_account_name(name); !valid) return valid;
  const Result<> removed = edit_accounts(config.accounts_file, [&](AccountsEdit& edit) -> Result<> {
    if (!edit.has(name)) return no_such_account(name);
    return edit.remove(name);
  });
  if (!removed) return removed;
  const Result<std::unique_ptr<StateDb>> state = open_state(config);
  if (!state) return std::unexpected(state.error());
  if (Result<void> done = (*state)->forget_account(name); !done) return done;
  if (!delete_files) return {};
  if (Result<void> done = (*state)->forget_home(name); !done) return done;
  return delete_home(config.homes_dir, name);
}

namespace {

// Waits for a running server, which looks every second, and says so when there is none.
Result<void> give_order(const ServerConfig& config, const std::string& kind,
                        const std::string& name) {
  constexpr int kPolls = 30;
  constexpr std::chrono::milliseconds kPollInterval{100};
  const Result<Accounts> accounts = Accounts::load(config.accounts_file);
  if (!accounts) return std::unexpected(accounts.error());
  if (accounts->find(name) == nullptr) return no_such_account(name);
  const Result<std::unique_ptr<StateDb>> state = open_state(config);
  if (!state) return std::unexpected(state.error());
  if (Result<void> done = (*state)->add_order(kind, name); !done) return done;
  for (int poll = 0; poll < kPolls; ++poll) {
    const auto orders = (*state)->orders();
    if (!orders) return std::unexpected(orders.error());
    const bool is_waiting = std::ranges::any_of(*orders, [&](const StateDb::Order& order) {
      return order.kind == kind && order.home == name;
    });
    if (!is_waiting) return {};
    std::this_thread::sleep_for(kPollInterval);
  }
  std::printf("No server has taken it up yet; the next one that runs will.\n");
  return {};
}

}  // namespace

Result<void> user_recount(const ServerConfig& config, const std::string& name) {
  return give_order(config, kOrderRecount, name);
}

Result<void> rescan_home(const ServerConfig& config, const std::string& name) {
  return give_order(config, kOrderRescan, name);
}

Result<void> token_list(const ServerConfig& config, const std::string& account) {
  const Result<std::unique_ptr<StateDb>> state = open_state(config);
  if (!state) return std::unexpected(state.error());
  const Result<std::vector<DeviceToken>> tokens = (*state)->list_tokens(account);
  if (!tokens) return std::unexpected(tokens.error());
  std::printf("%-20s %-18s %-17s %-17s %s\n", "ACCOUNT", "ID", "MADE", "LAST USED", "DEVICE");
  for (const DeviceToken& token : *tokens) {
    std::printf("%-20s %-18s %-17s %-17s %s\n", token.account.c_str(), token.id.c_str(),
                date_of(token.created).c_str(), date_of(token.last_used).c_str(),
                homefs::quoted(token.label).c_str());
  }
  return {};
}

Result<void> token_revoke(const ServerConfig& config, const std::string& account,
                          const std::string& id) {
  const Result<std::unique_ptr<StateDb>> state = open_state(config);
  if (!state) return std::unexpected(state.error());
  const Result<void> done = (*state)->revoke_token(account, id);
  if (!done && done.error().status == Status::kNoSuchFile) {
    return fail(Status::kUnknownUser,
                homefs::quoted(account) + " has no device token " + homefs::quoted(id));
  }
  return done;
}

}  // namespace homefs

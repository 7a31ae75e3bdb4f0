// `homefsd user ...` and `homefsd token ...`: accounts and device tokens, beside a running server
// or without one. The server notices within about a second.
//
// Executor: the main thread. Blocks: on the disk, on other writers of accounts.ini, on the user.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/server_config.h"
#include "protocol/result.h"

namespace homefs {

struct UserAddOptions {
  std::string name;
  std::string quota = "0";  ///< as people write sizes; 0 = unlimited
  std::uint64_t files_max = 0;
  std::string display_name;
  bool preserve_owners = false;
  bool password_from_stdin = false;
};

/// Errors: kExists, kInvalid (name, password), kConfigError, those of the disk.
Result<void> user_add(const ServerConfig& config, const UserAddOptions& options);
Result<void> user_passwd(const ServerConfig& config, const std::string& name,
                         bool password_from_stdin);
Result<void> user_quota(const ServerConfig& config, const std::string& name,
                        const std::string& quota, std::optional<std::uint64_t> files_max);
Result<void> user_set_disabled(const ServerConfig& config, const std::string& name, bool disabled);
/// One line an account on stdout: name, quota, use, state.
Result<void> user_list(const ServerConfig& config);
/// The account, its device tokens, and with `delete_files` its home and all that is in it.
Result<void> user_remove(const ServerConfig& config, const std::string& name, bool delete_files);

/// The use of the account's home is counted again, by a running server or when the next opens it.
Result<void> user_recount(const ServerConfig& config, const std::string& name);
/// The same, and mounts of the home drop all that they have cached.
Result<void> rescan_home(const ServerConfig& config, const std::string& name);

/// One line a token on stdout: account, id, device, made, last used.
Result<void> token_list(const ServerConfig& config, const std::string& account);
/// Errors: kUnknownUser.
Result<void> token_revoke(const ServerConfig& config, const std::string& account,
                          const std::string& id);

}  // namespace homefs

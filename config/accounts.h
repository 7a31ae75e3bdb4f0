// The accounts of a server, as accounts.ini says them.
//
// The file is edited by hand and by the server; its form is inherited and described in
// homefs-accounts(5). Accounts is one reading of it, AccountsEdit changes it in place,
// edit_accounts() does so under a lock that every writer takes. AccountsFile (accounts_file.h)
// follows the file as it changes.
//
// Executor: Accounts is immutable and thread-safe; AccountsEdit belongs to one thread.
// Blocks: edit_accounts() on the disk and on other writers; the rest never.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/ini_document.h"
#include "protocol/result.h"

namespace homefs {

inline constexpr std::size_t kAccountNameBytesMax = 64;
inline constexpr std::size_t kAccountsBytesMax = 16 * 1024 * 1024;

enum class PasswordKind {
  kNone,       ///< No password: nobody can log in by one.
  kLegacyMd5,  ///< 32 hexadecimal digits, as the old system stored it: good for one login.
  kScram,      ///< A SCRAM-SHA-256 verifier.
};

/// What is stored to check a password. `text` is lower case for kLegacyMd5, and for kScram
/// "SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>", the last three in base64.
struct StoredPassword {
  PasswordKind kind = PasswordKind::kNone;
  std::string text;

  /// Nothing if `text` is none of the kinds. Only the shape is looked at.
  [[nodiscard]] static std::optional<StoredPassword> classify(std::string_view text);
};

struct Account {
  std::string name;          ///< The login name, and the name of the home's folder.
  std::string display_name;  ///< The key `name`; the login name if there is none.
  StoredPassword password;
  std::uint64_t total_space = 0;            ///< Quota in bytes; 0 = unlimited.
  std::optional<std::uint64_t> used_space;  ///< Bytes, for readers of the file; never trusted.
  std::uint64_t files_max = 0;              ///< Files and folders; 0 = unlimited.
  bool disabled = false;                    ///< No logins, by whatever means.
  bool preserve_owners = false;             ///< A mount may keep numeric owners (idmap=none).
};

/// Whether `name` may be an account's: 1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-', not beginning
/// with '.' or '-', since it names a folder. Errors: kInvalid, with a text for the user.
[[nodiscard]] Result<> check_account_name(std::string_view name);

class Accounts {
 public:
  /// Errors: kConfigError with `file_name`, line and key.
  [[nodiscard]] static Result<Accounts> parse(std::string_view text, std::string_view file_name);
  /// Errors: those of opening the file, kConfigError.
  [[nodiscard]] static Result<Accounts> load(const std::filesystem::path& path);

  /// Null if there is no such account. Valid as long as this object.
  [[nodiscard]] const Account* find(std::string_view name) const;
  /// In the order of the file.
  [[nodiscard]] const std::vector<Account>& all() const { return accounts_; }
  /// Keys that mean nothing to this version, one text each, as an error would read.
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  std::vector<Account> accounts_;
  std::unordered_map<std::string, std::size_t> index_;  // name -> position in accounts_
  std::vector<std::string> warnings_;
};

/// Changes to accounts.ini that leave comments, order and unknown keys as they are. All methods:
/// kNoSuchFile if there is no such account, kInvalid for a value the file cannot hold.
class AccountsEdit {
 public:
  explicit AccountsEdit(IniDocument& document) : document_(document) {}

  /// Adds an account without a password. Errors: kExists; kInvalid for a bad name.
  Result<> add(std::string_view name);
  Result<> remove(std::string_view name);
  Result<> set_display_name(std::string_view name, std::string_view display_name);
  /// `stored` is a SCRAM verifier or an MD5; "" takes the password away.
  Result<> set_password(std::string_view name, std::string_view stored);
  Result<> set_total_space(std::string_view name, std::uint64_t bytes);
  Result<> set_used_space(std::string_view name, std::uint64_t bytes);
  Result<> set_files_max(std::string_view name, std::uint64_t files);
  Result<> set_disabled(std::string_view name, bool disabled);
  Result<> set_preserve_owners(std::string_view name, bool preserve);

  [[nodiscard]] bool has(std::string_view name) const { return document_.find(name) != nullptr; }
  /// As StoredPassword has it; empty: none.
  [[nodiscard]] std::string password(std::string_view name) const;

 private:
  Result<> set_flag(std::string_view name, std::string_view key, bool value);

  IniDocument& document_;
};

/// Changes the file under its lock: reads it (a missing file is an empty one), calls `change`, and
/// replaces it atomically. Nothing is written if `change` fails, or if the file as it is or as it
/// would be does not parse. Errors: those of `change`, kConfigError, kTimedOut (the lock), the
/// disk's.
[[nodiscard]] Result<> edit_accounts(const std::filesystem::path& path,
                                     const std::function<Result<>(AccountsEdit&)>& change);

}  // namespace homefs

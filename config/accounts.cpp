#include "config/accounts.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <utility>

#include "config/config_error.h"
#include "config/size.h"
#include "config/text_file.h"

namespace homefs {
namespace {

constexpr mode_t kNewFileMode = 0600;  // It holds what passwords are checked against.
constexpr std::size_t kWarningsMax = 100;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

bool is_base64(std::string_view text) {
  const std::size_t padding = text.size() - std::min(text.size(), text.find_last_not_of('=') + 1);
  return !text.empty() && text.size() % 4 == 0 && padding <= 2 &&
         std::ranges::all_of(text.substr(0, text.size() - padding), [](char c) {
           return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '+' || c == '/';
         });
}

// The part of `text` up to `delimiter`, which is taken off with it; nothing without a delimiter.
std::optional<std::string_view> take_until(std::string_view& text, char delimiter) {
  const std::size_t at = text.find(delimiter);
  if (at == text.npos) return std::nullopt;
  const std::string_view part = text.substr(0, at);
  text.remove_prefix(at + 1);
  return part;
}

bool is_scram_verifier(std::string_view text) {
  constexpr std::string_view kScheme = "SCRAM-SHA-256";
  constexpr std::size_t kIterationDigitsMax = 9;
  constexpr std::size_t kKeyBytes = 44;  // base64 of the 32 bytes of a SHA-256
  const auto scheme = take_until(text, '$');
  const auto iterations = take_until(text, ':');
  const auto salt = take_until(text, '$');
  const auto stored_key = take_until(text, ':');
  if (!scheme || !iterations || !salt || !stored_key) return false;
  const bool is_count = !iterations->empty() && iterations->size() <= kIterationDigitsMax &&
                        iterations->front() != '0' &&
                        iterations->find_first_not_of("0123456789") == iterations->npos;
  return *scheme == kScheme && is_count && is_base64(*salt) && stored_key->size() == kKeyBytes &&
         is_base64(*stored_key) && text.size() == kKeyBytes && is_base64(text);
}

std::optional<bool> parse_flag(std::string_view text) {
  constexpr std::array<std::string_view, 4> kTrue = {"yes", "true", "on", "1"};
  constexpr std::array<std::string_view, 4> kFalse = {"no", "false", "off", "0"};
  std::string lower;
  for (const char c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (std::ranges::find(kTrue, lower) != kTrue.end()) return true;
  if (std::ranges::find(kFalse, lower) != kFalse.end()) return false;
  return std::nullopt;
}

// Each of these takes the value of one key into the account, or says what was expected instead.
using Taken = std::expected<void, std::string>;

Taken take_size(std::string_view value, std::uint64_t& out) {
  const Result<std::uint64_t> size = parse_size(value);
  if (!size) return std::unexpected(size.error().context);
  out = *size;
  return {};
}

Taken take_flag(std::string_view value, bool& out) {
  const std::optional<bool> flag = parse_flag(value);
  if (!flag) return std::unexpected("expected yes or no, found " + shown(value));
  out = *flag;
  return {};
}

Taken take_count(std::string_view value, std::uint64_t& out) {
  std::uint64_t count = 0;
  const auto [stop, error] = std::from_chars(value.data(), value.data() + value.size(), count);
  if (error != std::errc{} || stop != value.data() + value.size() || count > kSizeMax) {
    return std::unexpected("expected a number from 0 to " + std::to_string(kSizeMax) + ", found " +
                           shown(value));
  }
  out = count;
  return {};
}

Taken take_password(std::string_view value, StoredPassword& out) {
  std::optional<StoredPassword> password = StoredPassword::classify(value);
  if (!password) {
    // What stands there may be the password itself: say how long it is, not what.
    return std::unexpected(
        "expected a SCRAM-SHA-256 verifier, or 32 hexadecimal digits (MD5), found " +
        std::to_string(value.size()) + " other bytes");
  }
  out = std::move(*password);
  return {};
}

Taken take_display_name(std::string_view value, Account& account) {
  if (!value.empty()) account.display_name = value;
  return {};
}

// Old servers wrote it, in whatever way; nothing depends on it, so that it is never an error.
Taken take_used_space(std::string_view value, Account& account) {
  if (const Result<std::uint64_t> size = parse_size(value)) account.used_space = *size;
  return {};
}

struct KeyRule {
  std::string_view key;
  Taken (*take)(std::string_view value, Account& account);
};

constexpr std::array kKeys = {
    KeyRule{"name", take_display_name},
    KeyRule{"password",
            [](std::string_view v, Account& a) { return take_password(v, a.password); }},
    KeyRule{"total_space",
            [](std::string_view v, Account& a) { return take_size(v, a.total_space); }},
    KeyRule{"used_space", take_used_space},
    KeyRule{"files_max", [](std::string_view v, Account& a) { return take_count(v, a.files_max); }},
    KeyRule{"disabled", [](std::string_view v, Account& a) { return take_flag(v, a.disabled); }},
    KeyRule{"preserve_owners",
            [](std::string_view v, Account& a) { return take_flag(v, a.preserve_owners); }},
};

std::vector<std::string> known_keys() {
  std::vector<std::string> keys;
  keys.reserve(kKeys.size());
  for (const KeyRule& rule : kKeys) keys.emplace_back(rule.key);
  return keys;
}

// Takes one section's keys into `account`; keys that are not known go to `warnings`.
Result<> read_keys(const IniSection& section, std::string_view file_name, Account& account,
                   std::vector<std::string>& warnings) {
  for (const IniLine& line : section.lines) {
    if (line.key.empty()) continue;
    const std::string path = section.name + "." + line.key;
    const ConfigPlace place{file_name, line.number, path};
    const auto* rule = std::ranges::find(kKeys, line.key, &KeyRule::key);
    if (rule == kKeys.end()) {
      if (warnings.size() >= kWarningsMax) continue;
      const std::vector<std::string> known = known_keys();
      warnings.push_back(config_error(place, "unknown key" + suggestion(line.key, known)).context);
      continue;
    }
    if (const Taken taken = rule->take(line.value(), account); !taken) {
      return std::unexpected(config_error(place, taken.error()));
    }
  }
  return {};
}

}  // namespace

std::optional<StoredPassword> StoredPassword::classify(std::string_view text) {
  constexpr std::size_t kMd5Digits = 32;
  if (text.empty()) return StoredPassword{};
  if (is_scram_verifier(text)) return StoredPassword{PasswordKind::kScram, std::string(text)};
  const auto is_hex = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
  if (text.size() != kMd5Digits || !std::ranges::all_of(text, is_hex)) return std::nullopt;
  std::string lower;
  for (const char c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return StoredPassword{PasswordKind::kLegacyMd5, std::move(lower)};
}

Result<> check_account_name(std::string_view name) {
  // [DEFAULT] would be a section of defaults to the Python parser that wrote the old files.
  if (name == "DEFAULT") return fail(Status::kInvalid, "an account cannot be named DEFAULT");
  const bool has_good_start = !name.empty() && name.front() != '.' && name.front() != '-';
  if (has_good_start && name.size() <= kAccountNameBytesMax &&
      std::ranges::all_of(name, is_name_character)) {
    return {};
  }
  return fail(Status::kInvalid,
              "expected a name of 1 to 64 letters, digits, '.', '_' or '-' that does not begin "
              "with '.' or '-', found " +
                  shown(name));
}

Result<Accounts> Accounts::parse(std::string_view text, std::string_view file_name) {
  const Result<IniDocument> document = IniDocument::parse(text, file_name);
  if (!document) return std::unexpected(document.error());
  Accounts accounts;
  for (const IniSection& section : document->sections()) {
    if (const Result<> checked = check_account_name(section.name); !checked) {
      return std::unexpected(
          config_error({file_name, section.header.number, ""}, checked.error().context));
    }
    Account account;
    account.name = section.name;
    account.display_name = section.name;
    if (Result<> read = read_keys(section, file_name, account, accounts.warnings_); !read) {
      return std::unexpected(read.error());
    }
    accounts.index_.emplace(account.name, accounts.accounts_.size());
    accounts.accounts_.push_back(std::move(account));
  }
  return accounts;
}

Result<Accounts> Accounts::load(const std::filesystem::path& path) {
  const Result<TextFile> file = read_text_file(path, kAccountsBytesMax);
  if (!file) return std::unexpected(file.error());
  return parse(file->text, path.string());
}

const Account* Accounts::find(std::string_view name) const {
  const auto found = index_.find(std::string(name));
  return found == index_.end() ? nullptr : &accounts_[found->second];
}

Result<> AccountsEdit::add(std::string_view name) {
  if (Result<> checked = check_account_name(name); !checked) return checked;
  if (Result<> added = document_.add_section(name); !added) return added;
  return document_.set(name, "name", name);
}

Result<> AccountsEdit::remove(std::string_view name) { return document_.remove_section(name); }

Result<> AccountsEdit::set_display_name(std::string_view name, std::string_view display_name) {
  return document_.set(name, "name", display_name);
}

std::string AccountsEdit::password(std::string_view name) const {
  const IniSection* section = document_.find(name);
  const IniLine* line = section == nullptr ? nullptr : section->find("password");
  StoredPassword password;
  const bool is_taken = line != nullptr && take_password(line->value(), password).has_value();
  return is_taken ? password.text : std::string();
}

Result<> AccountsEdit::set_password(std::string_view name, std::string_view stored) {
  StoredPassword password;
  if (const Taken taken = take_password(stored, password); !taken) {
    return fail(Status::kInvalid, taken.error());
  }
  return document_.set(name, "password", stored);
}

Result<> AccountsEdit::set_total_space(std::string_view name, std::uint64_t bytes) {
  return document_.set(name, "total_space", format_size(bytes));
}

Result<> AccountsEdit::set_used_space(std::string_view name, std::uint64_t bytes) {
  // Plain bytes: older readers of this key know no units.
  return document_.set(name, "used_space", std::to_string(bytes));
}

Result<> AccountsEdit::set_files_max(std::string_view name, std::uint64_t files) {
  return document_.set(name, "files_max", std::to_string(files));
}

Result<> AccountsEdit::set_disabled(std::string_view name, bool disabled) {
  return set_flag(name, "disabled", disabled);
}

Result<> AccountsEdit::set_preserve_owners(std::string_view name, bool preserve) {
  return set_flag(name, "preserve_owners", preserve);
}

// A flag that is off, as all are by default, takes no line of its own.
Result<> AccountsEdit::set_flag(std::string_view name, std::string_view key, bool value) {
  return value ? document_.set(name, key, "yes") : document_.unset(name, key);
}

Result<> edit_accounts(const std::filesystem::path& path,
                       const std::function<Result<>(AccountsEdit&)>& change) {
  const auto rewrite = [&](const std::string& text) -> Result<std::string> {
    Result<IniDocument> document = IniDocument::parse(text, path.string());
    if (!document) return std::unexpected(document.error());
    if (const auto before = Accounts::parse(text, path.string()); !before) {
      return std::unexpected(before.error());
    }
    AccountsEdit edit(*document);
    if (Result<> changed = change(edit); !changed) return std::unexpected(changed.error());
    std::string changed = document->text();
    if (changed.size() > kAccountsBytesMax) return fail(Status::kTooBig, path.string());
    // Never write what could not be read again.
    const auto after = Accounts::parse(changed, path.string());
    if (!after) return std::unexpected(after.error());
    return changed;
  };
  return edit_text_file(path, kAccountsBytesMax, kNewFileMode, rewrite);
}

}  // namespace homefs

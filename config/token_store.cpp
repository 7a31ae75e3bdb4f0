#include "config/token_store.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>

#include "config/client_paths.h"
#include "config/config_error.h"
#include "config/text_file.h"

namespace homefs {
namespace {

constexpr std::size_t kNameBytesLimit = 200;  // With ".<name>.XXXXXX" still below NAME_MAX.
constexpr mode_t kFileMode = 0600;
constexpr mode_t kOthersBits = 077;

bool is_plain(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-' || c == '_';
}

bool is_token(std::string_view text) {
  return !text.empty() && text.size() <= kTokenBytesMax &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f; });
}

// `text` with everything but plain characters as %HH, and a leading '.' or '-' as well.
std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool is_bad_start = out.empty() && (c == '.' || c == '-');
    if (is_plain(c) && !is_bad_start) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

}  // namespace

std::string token_name(const Target& target) {
  return percent_encoded(target.user) + "@" + percent_encoded(target.host) + "_" +
         std::to_string(target.port);
}

Result<> check_token_name(std::string_view name) {
  const bool is_good =
      !name.empty() && name.size() <= kNameBytesLimit && name.front() != '.' &&
      name.front() != '-' &&
      std::ranges::all_of(name, [](char c) { return is_plain(c) || c == '@' || c == '%'; });
  if (is_good) return {};
  return fail(Status::kInvalid, "no name for a token: " + shown(name));
}

Result<std::string> TokenStore::load(std::string_view name) const {
  const Result<std::filesystem::path> path = file_of(name);
  if (!path) return std::unexpected(path.error());
  const Result<TextFile> file = read_text_file(*path, kTokenBytesMax + 2);
  if (!file) return std::unexpected(file.error());
  if ((file->mode & kOthersBits) != 0) {
    return fail(Status::kAccessDenied,
                path->string() + " can be read by other users; chmod 600 it, or log in again");
  }
  std::string token = file->text;
  while (token.ends_with('\n') || token.ends_with('\r')) token.pop_back();
  if (!is_token(token)) {
    return std::unexpected(config_error({path->string(), 1, ""}, "expected a device token"));
  }
  return token;
}

Result<> TokenStore::save(std::string_view name, std::string_view token) const {
  const Result<std::filesystem::path> path = file_of(name);
  if (!path) return std::unexpected(path.error());
  if (!is_token(token)) return fail(Status::kInvalid, "not a device token");
  if (Result<> made = make_private_folder(folder_); !made) return made;
  // An old file would hand on its rights; they may be what load() refused.
  if (::unlink(path->c_str()) != 0 && errno != ENOENT) {
    return fail_errno(errno, "replace " + path->string());
  }
  return replace_text_file(*path, std::string(token) + "\n", kFileMode);
}

Result<> TokenStore::remove(std::string_view name) const {
  const Result<std::filesystem::path> path = file_of(name);
  if (!path) return std::unexpected(path.error());
  if (::unlink(path->c_str()) != 0) return fail_errno(errno, "remove " + path->string());
  return {};
}

Result<std::filesystem::path> TokenStore::file_of(std::string_view name) const {
  if (Result<> checked = check_token_name(name); !checked) return std::unexpected(checked.error());
  return folder_ / name;
}

}  // namespace homefs

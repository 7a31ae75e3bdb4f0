#include "config/profile.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "config/accounts.h"
#include "config/client_paths.h"
#include "config/config_error.h"
#include "config/config_reader.h"
#include "config/json_value.h"
#include "config/text_file.h"
#include "config/token_store.h"

namespace homefs {
namespace {

constexpr std::string_view kExtension = ".json";
constexpr mode_t kFileMode = 0600;

using OrderedJson = nlohmann::ordered_json;

bool is_option_name(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
  });
}

// Puts what `checked` holds into `out`, or its error under `key`.
template <class T>
void accept(ConfigReader& reader, std::string_view key, const Result<T>& checked, T& out) {
  if (checked) {
    out = *checked;
  } else {
    reader.refuse(key, checked.error().context);
  }
}

void read_server(ConfigReader& reader, Target& target) {
  std::string server;
  reader.text("server", server);
  if (!reader.has("server")) return reader.refuse("", "expected the key server, HOST or HOST:PORT");
  if (server.empty()) return;
  const Result<Target> parsed = parse_target(server);
  if (!parsed) return reader.refuse("server", parsed.error().context);
  if (!parsed->user.empty() || server.find('/') != server.npos) {
    return reader.refuse("server", "expected HOST or HOST:PORT alone, found " + shown(server));
  }
  target.host = parsed->host;
  target.port = parsed->port;
}

void read_options(ConfigReader& reader, std::vector<std::pair<std::string, std::string>>& options) {
  for (const JsonMember& member : reader.members()) {
    const JsonValue& value = member.value;
    if (!is_option_name(member.key)) {
      reader.refuse(member.key, "expected the name of a mount option");
    } else if (value.kind == JsonValue::Kind::kBoolean) {
      options.emplace_back(member.key, value.describe());
    } else if (value.kind == JsonValue::Kind::kNumber || value.kind == JsonValue::Kind::kString) {
      options.emplace_back(member.key, value.text);
    } else {
      reader.refuse(member.key, "expected a text in quotes, a number, true or false, found " +
                                    value.describe());
    }
  }
}

void read_profile(ConfigReader& reader, Profile& profile) {
  read_server(reader, profile.target);
  reader.text("user", profile.target.user);
  if (!profile.target.user.empty()) {
    if (const Result<> checked = check_account_name(profile.target.user); !checked) {
      reader.refuse("user", checked.error().context);
    }
  }
  std::string subdir;
  reader.text("subdir", subdir);
  accept(reader, "subdir", check_subdir(subdir), profile.target.subdir);
  reader.text("mountpoint", profile.mountpoint);
  reader.text("token", profile.token);
  if (!profile.token.empty()) {
    if (const Result<> checked = check_token_name(profile.token); !checked) {
      reader.refuse("token", checked.error().context);
    }
  }
  reader.text("password_file", profile.password_file);
  reader.section("options", [&](ConfigReader& options) { read_options(options, profile.options); });
}

// An option as JSON: what reads back as the same text, and looks like what it is.
OrderedJson option_value(const std::string& text) {
  if (text == "true") return true;
  if (text == "false") return false;
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc{} && stop == end && std::to_string(number) == text) return number;
  return text;
}

}  // namespace

Result<Profile> Profile::parse(std::string_view name, std::string_view text,
                               std::string_view file_name) {
  const Result<JsonValue> root = parse_json(text, file_name);
  if (!root) return std::unexpected(root.error());
  Profile profile;
  profile.name = name;
  const Result<> read = read_config(*root, {std::string(file_name), {}},
                                    [&](ConfigReader& reader) { read_profile(reader, profile); });
  if (!read) return std::unexpected(read.error());
  return profile;
}

std::string Profile::text() const {
  OrderedJson json;
  json["server"] = target.server();
  const auto put = [&](const char* key, const std::string& value) {
    if (!value.empty()) json[key] = value;
  };
  put("user", target.user);
  put("subdir", target.subdir);
  put("mountpoint", mountpoint);
  put("token", token);
  put("password_file", password_file);
  for (const auto& [key, value] : options) json["options"][key] = option_value(value);
  // Paths are bytes: those that are not UTF-8 cannot be said in JSON, and must not throw here.
  return json.dump(2, ' ', false, OrderedJson::error_handler_t::replace) + "\n";
}

Result<> check_profile_name(std::string_view name) {
  // The same rules serve here: such a name is safe as a file's and in a unit's name.
  Result<> checked = check_account_name(name);
  if (!checked) return fail(Status::kInvalid, "profile: " + checked.error().context);
  return {};
}

Result<Profile> ProfileStore::load(std::string_view name) const {
  const Result<std::filesystem::path> path = file_of(name);
  if (!path) return std::unexpected(path.error());
  const Result<TextFile> file = read_text_file(*path, kJsonBytesMax);
  if (!file) return std::unexpected(file.error());
  return Profile::parse(name, file->text, path->string());
}

Result<> ProfileStore::save(const Profile& profile) const {
  const Result<std::filesystem::path> path = file_of(profile.name);
  if (!path) return std::unexpected(path.error());
  const std::string text = profile.text();
  // Never write what could not be read again.
  const Result<Profile> again = Profile::parse(profile.name, text, path->string());
  if (!again) return std::unexpected(again.error());
  if (*again != profile) {
    return fail(Status::kInvalid, "the profile " + profile.name + " has a text that is not UTF-8");
  }
  if (Result<> made = make_private_folder(folder_); !made) return made;
  return replace_text_file(*path, text, kFileMode);
}

Result<std::vector<std::string>> ProfileStore::list() const {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder_, error);
  if (error == std::errc::no_such_file_or_directory) return names;
  for (const std::filesystem::directory_iterator end; !error && entry != end;
       entry.increment(error)) {
    const std::filesystem::path file = entry->path().filename();
    const std::string name = file.stem().string();
    if (file.extension() == kExtension && check_profile_name(name)) names.push_back(name);
  }
  if (error) return fail_errno(error.value(), "list " + folder_.string());
  std::ranges::sort(names);
  return names;
}

Result<> ProfileStore::remove(std::string_view name) const {
  const Result<std::filesystem::path> path = file_of(name);
  if (!path) return std::unexpected(path.error());
  if (::unlink(path->c_str()) != 0) return fail_errno(errno, "remove " + path->string());
  return {};
}

Result<std::filesystem::path> ProfileStore::file_of(std::string_view name) const {
  if (Result<> checked = check_profile_name(name); !checked) {
    return std::unexpected(checked.error());
  }
  return folder_ / (std::string(name) + std::string(kExtension));
}

}  // namespace homefs

#include "config/config_reader.h"

#include <algorithm>
#include <utility>

#include "config/config_error.h"

namespace homefs {

Result<> read_config(const JsonValue& root, const ConfigFile& file,
                     const std::function<void(ConfigReader&)>& schema) {
  if (root.kind != JsonValue::Kind::kObject) {
    return std::unexpected(config_error({file.name, root.line, ""},
                                        "expected an object in braces, found " + root.describe()));
  }
  ConfigReader::Shared shared{file, {}};
  ConfigReader reader(root, "", shared);
  schema(reader);
  reader.refuse_unknown_keys();
  if (shared.mistakes.empty()) return {};
  return std::unexpected(
      std::ranges::min_element(shared.mistakes, {}, &ConfigReader::Mistake::line)->error);
}

ConfigReader::ConfigReader(const JsonValue& object, std::string path, Shared& shared)
    : object_(object), path_(std::move(path)), shared_(shared) {}

void ConfigReader::seconds(std::string_view key, std::int64_t min, std::int64_t max,
                           std::chrono::seconds& out) {
  if (const auto value = whole_number(key, min, max)) out = std::chrono::seconds(*value);
}

void ConfigReader::boolean(std::string_view key, bool& out) {
  const JsonValue* value = ask(key, JsonValue::Kind::kBoolean, "true or false");
  if (value != nullptr) out = value->boolean;
}

void ConfigReader::text(std::string_view key, std::string& out) {
  constexpr std::string_view kExpected = "a text in quotes, not empty";
  const JsonValue* value = ask(key, JsonValue::Kind::kString, kExpected);
  if (value == nullptr) return;
  if (value->text.empty()) return refuse_value(key, kExpected, *value);
  out = value->text;
}

void ConfigReader::texts(std::string_view key, std::size_t count_max,
                         std::vector<std::string>& out) {
  const JsonMember* member = ask(key);
  if (member == nullptr) return;
  const JsonValue& value = member->value;
  const std::string expected = "a text in quotes or a list of 1 to " + std::to_string(count_max);
  const bool is_list = value.kind == JsonValue::Kind::kArray;
  if (is_list && (value.elements.empty() || value.elements.size() > count_max)) {
    return refuse(
        key, "expected " + expected + ", found a list of " + std::to_string(value.elements.size()));
  }
  std::vector<std::string> texts;
  for (const JsonValue& item : is_list ? value.elements : std::vector{value}) {
    if (item.kind != JsonValue::Kind::kString || item.text.empty()) {
      return refuse_value(key, expected, item);
    }
    texts.push_back(item.text);
  }
  out = std::move(texts);
}

void ConfigReader::path(std::string_view key, std::filesystem::path& out) {
  std::string written;
  text(key, written);
  if (written.empty()) return;
  if (written.find('\0') != written.npos) return refuse(key, "a path cannot contain a zero byte");
  out = (shared_.file.folder / written).lexically_normal();
}

void ConfigReader::section(std::string_view key, const std::function<void(ConfigReader&)>& schema) {
  const JsonValue* value = ask(key, JsonValue::Kind::kObject, "an object in braces");
  if (value == nullptr) return;
  ConfigReader reader(*value, path_of(key), shared_);
  schema(reader);
  reader.refuse_unknown_keys();
}

const std::vector<JsonMember>& ConfigReader::members() {
  knows_all_ = true;
  return object_.members;
}

void ConfigReader::refuse(std::string_view key, std::string_view what) {
  const JsonMember* member = object_.find(key);
  const int line = member == nullptr ? object_.line : member->line;
  shared_.mistakes.push_back({line, config_error({shared_.file.name, line, path_of(key)}, what)});
}

const JsonMember* ConfigReader::ask(std::string_view key) {
  known_.emplace_back(key);
  return object_.find(key);
}

const JsonValue* ConfigReader::ask(std::string_view key, JsonValue::Kind kind,
                                   std::string_view expected) {
  const JsonMember* member = ask(key);
  if (member == nullptr) return nullptr;
  if (member->value.kind == kind) return &member->value;
  refuse_value(key, expected, member->value);
  return nullptr;
}

std::optional<std::int64_t> ConfigReader::whole_number(std::string_view key, std::int64_t min,
                                                       std::int64_t max) {
  const std::string expected =
      "a number from " + std::to_string(min) + " to " + std::to_string(max);
  const JsonValue* value = ask(key, JsonValue::Kind::kNumber, expected);
  if (value == nullptr) return std::nullopt;
  if (value->integer && *value->integer >= min && *value->integer <= max) return value->integer;
  refuse_value(key, expected, *value);
  return std::nullopt;
}

std::optional<std::size_t> ConfigReader::choice_index(
    std::string_view key, std::initializer_list<std::string_view> names) {
  std::string expected = "one of";
  for (const std::string_view name : names) {
    expected += (name == *names.begin() ? " " : ", ") + shown(name);
  }
  const JsonValue* value = ask(key, JsonValue::Kind::kString, expected);
  if (value == nullptr) return std::nullopt;
  const auto* found = std::ranges::find(names, value->text);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  refuse_value(key, expected, *value);
  return std::nullopt;
}

void ConfigReader::refuse_value(std::string_view key, std::string_view expected,
                                const JsonValue& found) {
  refuse(key, "expected " + std::string(expected) + ", found " + found.describe());
}

void ConfigReader::refuse_unknown_keys() {
  if (knows_all_) return;
  for (const JsonMember& member : object_.members) {
    if (std::ranges::find(known_, member.key) != known_.end()) continue;
    refuse(member.key, "unknown key" + suggestion(member.key, known_));
  }
}

std::string ConfigReader::path_of(std::string_view key) const {
  if (key.empty()) return path_;
  return path_.empty() ? std::string(key) : path_ + "." + std::string(key);
}

}  // namespace homefs

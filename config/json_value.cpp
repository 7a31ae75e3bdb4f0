#include "config/json_value.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "config/config_error.h"

namespace homefs {
namespace {

using Json = nlohmann::json;

// Walks over the text for the parser, and shows how far the parser has read.
class TrackedInput {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  TrackedInput() = default;
  TrackedInput(const char* at, const char** progress) : at_(at), progress_(progress) {}

  reference operator*() const { return *at_; }
  TrackedInput& operator++() {
    ++at_;
    *progress_ = at_;
    return *this;
  }
  TrackedInput operator++(int) {
    const TrackedInput before = *this;
    ++*this;
    return before;
  }
  bool operator==(const TrackedInput& other) const { return at_ == other.at_; }

 private:
  const char* at_ = nullptr;
  const char** progress_ = nullptr;
};

// What the library says, without its own numbering and position, and safe to show: it quotes the
// text, whatever bytes that has.
std::string library_message(std::string_view message) {
  if (const auto at = message.find("] "); at != message.npos) message.remove_prefix(at + 2);
  if (message.starts_with("parse error")) {
    if (const auto at = message.find(": "); at != message.npos) message.remove_prefix(at + 2);
  }
  std::string shown;
  for (const char c : message) {
    const auto byte = static_cast<unsigned char>(c);
    shown += byte >= 0x20 && byte < 0x7f ? c : '?';
  }
  return shown;
}

// Receives the parser's events and builds the tree. A method that returns false ends the parse.
class TreeBuilder {
 public:
  TreeBuilder(std::string_view text, std::string_view file_name)
      : file_name_(file_name),
        begin_(text.data()),
        end_(text.data() + text.size()),
        progress_(begin_),
        counted_(begin_) {}

  [[nodiscard]] TrackedInput begin() { return {begin_, &progress_}; }
  [[nodiscard]] TrackedInput end() { return {end_, &progress_}; }
  [[nodiscard]] const std::optional<Error>& error() const { return error_; }
  [[nodiscard]] JsonValue take_root() { return std::move(root_); }

  bool null() { return add(JsonValue::Kind::kNull) != nullptr; }
  bool boolean(bool value) {
    JsonValue* added = add(JsonValue::Kind::kBoolean);
    if (added != nullptr) added->boolean = value;
    return added != nullptr;
  }
  bool number_integer(Json::number_integer_t value) { return number(value, std::to_string(value)); }
  bool number_unsigned(Json::number_unsigned_t value) {
    const bool fits = std::in_range<std::int64_t>(value);
    return number(fits ? std::optional(static_cast<std::int64_t>(value)) : std::nullopt,
                  std::to_string(value));
  }
  bool number_float(Json::number_float_t, const std::string& written) {
    return number(std::nullopt, written);
  }
  bool string(std::string& value) {
    JsonValue* added = add(JsonValue::Kind::kString);
    if (added != nullptr) added->text = std::move(value);
    return added != nullptr;
  }
  bool binary(Json::binary_t&) { return false; }  // Only in binary formats.
  bool start_object(std::size_t) { return open(JsonValue::Kind::kObject); }
  bool start_array(std::size_t) { return open(JsonValue::Kind::kArray); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    JsonValue& object = *open_.back();
    if (const JsonMember* first = object.find(name)) {
      return refuse(path_of(name), "given twice, first in line " + std::to_string(first->line));
    }
    if (object.members.size() >= kJsonMembersMax) {
      return refuse(path_of(name),
                    "more than " + std::to_string(kJsonMembersMax) + " keys in one object");
    }
    object.members.push_back({std::move(name), line_of(progress_), {}});
    return true;
  }
  bool parse_error(std::size_t, const std::string&, const nlohmann::detail::exception& error) {
    // The last byte read is the one that did not fit; a line break there ends the line it is in.
    const char* at = progress_ == begin_ ? progress_ : progress_ - 1;
    error_ = config_error({file_name_, line_of(at), ""}, library_message(error.what()));
    return false;
  }

 private:
  // The line of a place not before the last one asked for.
  int line_of(const char* place) {
    if (place > counted_) {
      line_ += static_cast<int>(std::count(counted_, place, '\n'));
      counted_ = place;
    }
    return line_;
  }

  // "listen.port", for a key of the innermost open object. Elements of lists have no name.
  [[nodiscard]] std::string path_of(std::string_view key) const {
    std::string path;
    for (const JsonValue* value : std::span(open_).first(open_.size() - 1)) {
      if (value->kind == JsonValue::Kind::kObject) path += value->members.back().key + ".";
    }
    return path + std::string(key);
  }

  bool refuse(std::string_view key, std::string_view what) {
    error_ = config_error({file_name_, line_of(progress_), key}, what);
    return false;
  }

  bool number(std::optional<std::int64_t> value, std::string written) {
    // The parser knows the end of a number only from the byte behind it, maybe a line break.
    if (progress_ > begin_) --progress_;
    JsonValue* added = add(JsonValue::Kind::kNumber);
    if (added == nullptr) return false;
    added->integer = value;
    added->text = std::move(written);
    return true;
  }

  JsonValue* add(JsonValue::Kind kind) {
    JsonValue* place = &root_;
    if (!open_.empty()) {
      JsonValue& parent = *open_.back();
      place = parent.kind == JsonValue::Kind::kObject ? &parent.members.back().value
                                                      : &parent.elements.emplace_back();
    }
    place->kind = kind;
    place->line = line_of(progress_);
    return place;
  }

  bool open(JsonValue::Kind kind) {
    if (open_.size() >= kJsonDepthMax) {
      return refuse("", "nested more than " + std::to_string(kJsonDepthMax) + " levels deep");
    }
    // Stays valid until closed: only the innermost open value grows.
    open_.push_back(add(kind));
    return true;
  }

  bool close() {
    open_.pop_back();
    return true;
  }

  std::string_view file_name_;
  const char* begin_;
  const char* end_;
  const char* progress_;  // Behind the last byte the parser has read.
  const char* counted_;   // Up to here line_ has counted the line breaks.
  int line_ = 1;
  JsonValue root_;
  std::vector<JsonValue*> open_;
  std::optional<Error> error_;
};

}  // namespace

const JsonMember* JsonValue::find(std::string_view key) const {
  const auto found = std::ranges::find(members, key, &JsonMember::key);
  return found == members.end() ? nullptr : &*found;
}

std::string JsonValue::describe() const {
  switch (kind) {
    case Kind::kNull:
      return "null";
    case Kind::kBoolean:
      return boolean ? "true" : "false";
    case Kind::kNumber:
      return text.substr(0, kShownBytesMax);
    case Kind::kString:
      return shown(text);
    case Kind::kArray:
      return "a list";
    case Kind::kObject:
      return "an object";
  }
  return {};
}

Result<JsonValue> parse_json(std::string_view text, std::string_view file_name) {
  if (text.size() > kJsonBytesMax) {
    return std::unexpected(config_error({file_name, 0, ""},
                                        "larger than " + std::to_string(kJsonBytesMax) + " bytes"));
  }
  TreeBuilder builder(text, file_name);
  const bool is_parsed = Json::sax_parse(builder.begin(), builder.end(), &builder,
                                         Json::input_format_t::json, /*strict=*/true,
                                         /*ignore_comments=*/true);
  if (builder.error()) return std::unexpected(*builder.error());
  HOMEFS_CHECK(is_parsed);
  return builder.take_root();
}

}  // namespace homefs

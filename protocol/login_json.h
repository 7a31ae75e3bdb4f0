// JSON objects member by member, one description for both directions: a message lists its members
// once, to a JsonWriter that makes the object or to a JsonReader that takes it apart. For
// login_messages.cpp.
//
// The reader is sticky about errors: members after the first bad one are left alone, and problem()
// tells. Owner: a call of encode or decode. Executor: one thread. Blocks: never.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base64.h"
#include "protocol/result.h"

namespace homefs {

class JsonWriter {
 public:
  void text(const char* key, const std::string& value, std::size_t /*bytes_max*/) {
    object_[key] = value;
  }
  /// Is left out when empty.
  void optional_text(const char* key, const std::string& value, std::size_t /*bytes_max*/) {
    if (!value.empty()) object_[key] = value;
  }
  template <class Number>
  void number(const char* key, const Number& value) {
    object_[key] = value;
  }
  /// Is left out when 0.
  template <class Number>
  void optional_number(const char* key, const Number& value) {
    if (value != 0) object_[key] = value;
  }
  /// Is left out when false.
  void flag(const char* key, const bool& value) {
    if (value) object_[key] = true;
  }
  template <std::size_t kBytes>
  void hex(const char* key, const std::array<std::byte, kBytes>& value) {
    object_[key] = to_hex(value);
  }
  template <std::size_t kBytes>
  void base64(const char* key, const std::array<std::byte, kBytes>& value) {
    object_[key] = to_base64(value);
  }
  /// One of `names`, by its place.
  template <class Enum, std::size_t kCount>
  void choice(const char* key, const Enum& value, const std::array<const char*, kCount>& names) {
    object_[key] = names.at(static_cast<std::size_t>(value));
  }
  void texts(const char* key, const std::vector<std::string>& values, std::size_t /*count_max*/,
             std::size_t /*bytes_max*/) {
    object_[key] = values;
  }
  template <class Member>
  void object(const char* key, const Member& value);
  template <class Member>
  void optional_object(const char* key, const std::optional<Member>& value) {
    if (value) object(key, *value);
  }
  template <class Member>
  void objects(const char* key, const std::vector<Member>& values, std::size_t count_max);

  [[nodiscard]] std::vector<std::byte> bytes() const;

 private:
  nlohmann::json object_ = nlohmann::json::object();
};

class JsonReader {
 public:
  /// Parses a frame's body. kProtocolError when it is not one object, or nests too deeply.
  static Result<JsonReader> parse(std::span<const std::byte> body);

  void text(const char* key, std::string& value, std::size_t bytes_max);
  void optional_text(const char* key, std::string& value, std::size_t bytes_max);
  template <class Number>
  void number(const char* key, Number& value) {
    const auto found = find_number(key, true, std::numeric_limits<Number>::max());
    if (found) value = static_cast<Number>(*found);
  }
  template <class Number>
  void optional_number(const char* key, Number& value) {
    const auto found = find_number(key, false, std::numeric_limits<Number>::max());
    if (found) value = static_cast<Number>(*found);
  }
  void flag(const char* key, bool& value);
  template <std::size_t kBytes>
  void hex(const char* key, std::array<std::byte, kBytes>& value) {
    std::string text_value;
    text(key, text_value, 2 * kBytes);
    take_bytes(key, from_hex(text_value), value);
  }
  template <std::size_t kBytes>
  void base64(const char* key, std::array<std::byte, kBytes>& value) {
    std::string text_value;
    text(key, text_value, (kBytes + 2) / 3 * 4);
    take_bytes(key, from_base64(text_value), value);
  }
  template <class Enum, std::size_t kCount>
  void choice(const char* key, Enum& value, const std::array<const char*, kCount>& names) {
    std::string name;
    text(key, name, 64);
    for (std::size_t i = 0; i < kCount; ++i) {
      if (name == names[i]) {
        value = static_cast<Enum>(i);
        return;
      }
    }
    set_bad(key, "is none of its values");
  }
  void texts(const char* key, std::vector<std::string>& values, std::size_t count_max,
             std::size_t bytes_max);
  template <class Member>
  void object(const char* key, Member& value);
  template <class Member>
  void optional_object(const char* key, std::optional<Member>& value) {
    if (object_.contains(key)) object(key, value.emplace());
  }
  template <class Member>
  void objects(const char* key, std::vector<Member>& values, std::size_t count_max);

  /// What was bad about the first bad member; empty when all is well.
  [[nodiscard]] const std::string& problem() const { return problem_; }

 private:
  explicit JsonReader(nlohmann::json object) : object_(std::move(object)) {}

  const nlohmann::json* find(const char* key, bool is_required);
  std::optional<std::uint64_t> find_number(const char* key, bool is_required, std::uint64_t max);
  void take_text(const char* key, const nlohmann::json& found, std::string& value,
                 std::size_t bytes_max);
  void take_bytes(const char* key, const std::optional<std::vector<std::byte>>& found,
                  std::span<std::byte> value);
  template <class Member>
  void take_object(const char* key, const nlohmann::json& found, Member& value);
  void set_bad(const char* key, std::string_view what);

  nlohmann::json object_;
  std::string problem_;
};

/// The members of a message, for both directions: specialised in login_messages.cpp with
///   template <class Archive, class Message> static void visit(Archive& archive, Message& message);
template <class Message>
struct JsonMembers;

template <class Member>
void JsonWriter::object(const char* key, const Member& value) {
  JsonWriter inner;
  JsonMembers<Member>::visit(inner, value);
  object_[key] = std::move(inner.object_);
}

template <class Member>
void JsonWriter::objects(const char* key, const std::vector<Member>& values,
                         std::size_t /*count_max*/) {
  nlohmann::json list = nlohmann::json::array();
  for (const Member& value : values) {
    JsonWriter inner;
    JsonMembers<Member>::visit(inner, value);
    list.push_back(std::move(inner.object_));
  }
  if (!values.empty()) object_[key] = std::move(list);
}

template <class Member>
void JsonReader::take_object(const char* key, const nlohmann::json& found, Member& value) {
  if (!found.is_object()) {
    set_bad(key, "is not an object");
    return;
  }
  JsonReader inner(found);
  JsonMembers<Member>::visit(inner, value);
  if (problem_.empty()) problem_ = inner.problem();
}

template <class Member>
void JsonReader::object(const char* key, Member& value) {
  const nlohmann::json* found = find(key, true);
  if (found != nullptr) take_object(key, *found, value);
}

template <class Member>
void JsonReader::objects(const char* key, std::vector<Member>& values, std::size_t count_max) {
  const nlohmann::json* found = find(key, false);
  if (found == nullptr) return;
  if (!found->is_array() || found->size() > count_max) {
    set_bad(key, "is not a list, or too long");
    return;
  }
  for (const nlohmann::json& member : *found) take_object(key, member, values.emplace_back());
}

}  // namespace homefs

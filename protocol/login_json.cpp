#include "protocol/login_json.h"

#include <algorithm>

namespace homefs {
namespace {

constexpr int kDepthMax = 8;

}  // namespace

std::vector<std::byte> JsonWriter::bytes() const {
  // Text that is not UTF-8 (a host's name, say) is replaced where it is not; nothing throws.
  const std::string text = object_.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

Result<JsonReader> JsonReader::parse(std::span<const std::byte> body) {
  const auto* text = reinterpret_cast<const char*>(body.data());
  bool is_too_deep = false;
  const auto check_depth = [&is_too_deep](int depth, nlohmann::json::parse_event_t,
                                          nlohmann::json&) {
    is_too_deep = is_too_deep || depth > kDepthMax;
    return !is_too_deep;
  };
  nlohmann::json object = nlohmann::json::parse(text, text + body.size(), check_depth, false);
  if (is_too_deep || !object.is_object()) {
    return fail(Status::kProtocolError, "the body is not a JSON object");
  }
  return JsonReader(std::move(object));
}

void JsonReader::set_bad(const char* key, std::string_view what) {
  if (problem_.empty()) problem_ = std::string(key) + " " + std::string(what);
}

const nlohmann::json* JsonReader::find(const char* key, bool is_required) {
  if (!problem_.empty()) return nullptr;
  const auto found = object_.find(key);
  if (found != object_.end()) return &*found;
  if (is_required) set_bad(key, "is missing");
  return nullptr;
}

void JsonReader::take_text(const char* key, const nlohmann::json& found, std::string& value,
                           std::size_t bytes_max) {
  const auto* text = found.get_ptr<const std::string*>();
  if (text == nullptr) {
    set_bad(key, "is not a text");
  } else if (text->size() > bytes_max || text->find('\0') != std::string::npos) {
    set_bad(key, "is too long, or has a NUL");
  } else {
    value = *text;
  }
}

void JsonReader::text(const char* key, std::string& value, std::size_t bytes_max) {
  const nlohmann::json* found = find(key, true);
  if (found != nullptr) take_text(key, *found, value, bytes_max);
}

void JsonReader::optional_text(const char* key, std::string& value, std::size_t bytes_max) {
  const nlohmann::json* found = find(key, false);
  if (found != nullptr) take_text(key, *found, value, bytes_max);
}

std::optional<std::uint64_t> JsonReader::find_number(const char* key, bool is_required,
                                                     std::uint64_t max) {
  const nlohmann::json* found = find(key, is_required);
  if (found == nullptr) return std::nullopt;
  const auto* number = found->get_ptr<const std::uint64_t*>();
  if (number == nullptr || *number > max) {
    set_bad(key, "is not a number of its range");
    return std::nullopt;
  }
  return *number;
}

void JsonReader::flag(const char* key, bool& value) {
  const nlohmann::json* found = find(key, false);
  if (found == nullptr) return;
  const auto* flag = found->get_ptr<const bool*>();
  if (flag == nullptr) {
    set_bad(key, "is neither true nor false");
  } else {
    value = *flag;
  }
}

void JsonReader::take_bytes(const char* key, const std::optional<std::vector<std::byte>>& found,
                            std::span<std::byte> value) {
  if (!problem_.empty()) return;
  if (!found || found->size() != value.size()) {
    set_bad(key, "is not the bytes it should be");
    return;
  }
  std::copy(found->begin(), found->end(), value.begin());
}

void JsonReader::texts(const char* key, std::vector<std::string>& values, std::size_t count_max,
                       std::size_t bytes_max) {
  const nlohmann::json* found = find(key, true);
  if (found == nullptr) return;
  values.clear();
  if (!found->is_array() || found->size() > count_max) {
    set_bad(key, "is not a list, or too long");
    return;
  }
  for (const nlohmann::json& text_value : *found) {
    take_text(key, text_value, values.emplace_back(), bytes_max);
  }
}

}  // namespace homefs

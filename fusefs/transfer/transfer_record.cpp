#include "fusefs/transfer/transfer_record.h"

#include <unistd.h>

#include <array>
#include <charconv>
#include <ctime>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace homefs {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;
using std::chrono::system_clock;

struct EventName {
  TransferEvent event;
  std::string_view name;
};

constexpr EventName kEvents[] = {
    {TransferEvent::kStarted, "started"},   {TransferEvent::kProgress, "progress"},
    {TransferEvent::kResumed, "resumed"},   {TransferEvent::kBlockMismatch, "block-mismatch"},
    {TransferEvent::kVerified, "verified"}, {TransferEvent::kDone, "done"},
    {TransferEvent::kFailed, "failed"},     {TransferEvent::kCut, "cut"},
    {TransferEvent::kBatch, "batch"},
};

std::string_view name_of(TransferEvent event) {
  for (const EventName& each : kEvents) {
    if (each.event == event) return each.name;
  }
  return "unknown";
}

std::string format_time(system_clock::time_point time) {
  const auto since = std::chrono::floor<milliseconds>(time.time_since_epoch()).count();
  const std::time_t seconds = since / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  const int length =
      std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                    parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                    parts.tm_min, parts.tm_sec, static_cast<int>(since % 1000));
  return {text.data(), static_cast<std::size_t>(length)};
}

std::optional<system_clock::time_point> parse_time(const std::string& text) {
  std::tm parts{};
  int thousandths = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ", &parts.tm_year, &parts.tm_mon,
                  &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec,
                  &thousandths) != 7) {
    return std::nullopt;
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  return system_clock::from_time_t(::timegm(&parts)) + milliseconds(thousandths);
}

constexpr char kHexDigits[] = "0123456789abcdef";

std::string to_hex(const std::string& bytes) {
  std::string hex;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    hex += kHexDigits[byte >> 4];
    hex += kHexDigits[byte & 15];
  }
  return hex;
}

std::string from_hex(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    unsigned value = 0;
    (void)std::from_chars(&hex[i], &hex[i] + 2, value, 16);  // our own; a broken one gives a 0
    bytes += static_cast<char>(value);
  }
  return bytes;
}

std::string hex_of(const Md5Digest& digest) {
  std::string bytes;
  for (const std::byte byte : digest) bytes += static_cast<char>(byte);
  return to_hex(bytes);
}

std::optional<Md5Digest> digest_of(const std::string& hex) {
  Md5Digest digest{};
  const std::string bytes = from_hex(hex);
  if (bytes.size() != digest.size()) return std::nullopt;
  for (std::size_t i = 0; i < digest.size(); ++i) digest[i] = static_cast<std::byte>(bytes[i]);
  return digest;
}

// JSON holds UTF-8 only, a file's name any bytes: such a path stands there in hexadecimal too.
void put_path(Json& json, const std::string& path) {
  json["path"] = path;
  try {
    (void)json["path"].dump();
  } catch (const Json::type_error&) {
    json["path_hex"] = to_hex(path);
  }
}

template <class T>
void put_unless_zero(Json& json, const char* key, T value) {
  if (value != 0) json[key] = value;
}

std::string text_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t number_in(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

// The 22nd field of /proc/PID/stat: when the process started, in ticks since boot.
std::string start_of_process(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string text;
  std::getline(file, text);
  const std::size_t name_end = text.rfind(')');  // the name may hold anything else
  if (name_end == std::string::npos) return {};
  std::istringstream fields(text.substr(name_end + 1));
  std::string field;
  fields >> field;
  if (field == "Z")
    return {};  // it has ended, and its parent does not care (a container's first one)
  constexpr int kFieldsAfterState = 19;
  for (int i = 0; i < kFieldsAfterState; ++i) fields >> field;
  return fields ? field : std::string();
}

}  // namespace

std::string line_of(const TransferRecord& record) {
  Json json;
  json["v"] = kTransferSchema;
  json["time"] = format_time(record.time);
  json["event"] = name_of(record.event);
  json["process"] = record.process;
  if (record.id != 0) json["id"] = record.id;  // from 1; batches and damaged blocks have none
  json["direction"] = record.direction == TransferDirection::kUp ? "up" : "down";
  if (!record.mount.empty()) json["mount"] = record.mount;
  if (record.event != TransferEvent::kBatch) put_path(json, record.path);
  json["bytes"] = record.bytes;
  if (record.total) json["total"] = *record.total;
  put_unless_zero(json, "blocks", record.blocks);
  put_unless_zero(json, "rate", record.rate);
  if (record.md5) json["md5"] = hex_of(*record.md5);
  if (!record.error.empty()) json["error"] = record.error;
  put_unless_zero(json, "files", record.files);
  put_unless_zero(json, "files_failed", record.files_failed);
  if (record.event == TransferEvent::kBlockMismatch) {
    json["offset"] = record.offset;
    json["attempt"] = record.attempt;
  }
  put_unless_zero(json, "dropped", record.dropped);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<TransferRecord> parse_transfer_record(std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return fail(Status::kInvalid, "not a record of a transfer");
  const std::uint64_t schema = number_in(json, "v");
  if (schema != kTransferSchema) {
    return fail(Status::kInvalid, "a record of schema " + std::to_string(schema));
  }
  TransferRecord record;
  const std::string event = text_in(json, "event");
  const EventName* known = nullptr;
  for (const EventName& each : kEvents) {
    if (each.name == event) known = &each;
  }
  const auto time = parse_time(text_in(json, "time"));
  if (known == nullptr || !time) return fail(Status::kInvalid, "an unknown event or time");
  record.event = known->event;
  record.time = *time;
  record.process = text_in(json, "process");
  record.id = number_in(json, "id");
  record.direction =
      text_in(json, "direction") == "down" ? TransferDirection::kDown : TransferDirection::kUp;
  record.mount = text_in(json, "mount");
  record.path =
      json.contains("path_hex") ? from_hex(text_in(json, "path_hex")) : text_in(json, "path");
  record.bytes = number_in(json, "bytes");
  if (json.contains("total")) record.total = number_in(json, "total");
  record.blocks = number_in(json, "blocks");
  record.rate = number_in(json, "rate");
  record.md5 = digest_of(text_in(json, "md5"));
  record.error = text_in(json, "error");
  record.files = number_in(json, "files");
  record.files_failed = number_in(json, "files_failed");
  record.offset = number_in(json, "offset");
  record.attempt = static_cast<int>(number_in(json, "attempt"));
  record.dropped = number_in(json, "dropped");
  return record;
}

std::string process_name() {
  const std::string pid = std::to_string(::getpid());
  return pid + "." + start_of_process(pid);
}

bool is_process_running(std::string_view process) {
  const std::size_t dot = process.find('.');
  if (dot == std::string_view::npos) return false;
  const std::string pid(process.substr(0, dot));
  if (pid.empty() || pid.find_first_not_of("0123456789") != std::string::npos) return false;
  return start_of_process(pid) == process.substr(dot + 1);
}

}  // namespace homefs

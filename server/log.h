// The server's log: one line an event, key=value, to stderr, the journal or a file.
//
//   log_info("login", {{"user", name}, {"peer", address}});
//   -> level=info event=login user="alice" peer="192.0.2.1:4711"
//
// Names and texts of others are quoted and escaped; contents, keys and tokens are never given.
// What a peer can cause as often as it likes is logged at debug, or through a LogLimiter.
//
// Owner: the process (spdlog's default logger). Executor: thread-safe. Blocks: on the log's file.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

#include "config/server_config.h"
#include "protocol/result.h"

namespace homefs {

struct LogField {
  LogField(std::string_view field_key, std::string_view field_value);
  LogField(std::string_view field_key, const char* field_value)
      : LogField(field_key, std::string_view(field_value)) {}
  LogField(std::string_view field_key, const std::string& field_value)
      : LogField(field_key, std::string_view(field_value)) {}
  LogField(std::string_view field_key, std::uint64_t number);

  std::string_view key;
  std::string value;  ///< as it stands in the line
};
using LogFields = std::initializer_list<LogField>;

/// Directs the log where `config` says. kConfigError when the file cannot be opened.
Result<void> start_log(const LogConfig& config);

void log_error(std::string_view event, LogFields fields = {});
void log_warn(std::string_view event, LogFields fields = {});
void log_info(std::string_view event, LogFields fields = {});
void log_debug(std::string_view event, LogFields fields = {});

/// Lets through at most one line a second of a kind that peers can cause, and counts the others.
class LogLimiter {
 public:
  /// Nothing when the line is not to be written; else how many were left out since the last one.
  bool may_log(std::uint64_t& left_out);

 private:
  std::atomic<std::int64_t> next_{0};
  std::atomic<std::uint64_t> left_out_{0};
};

}  // namespace homefs

#include "server/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/sinks/systemd_sink.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "protocol/name.h"

namespace homefs {
namespace {

constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%e%z level=%l %v";
// The journal has time and level of its own.
constexpr const char* kJournalPattern = "%v";

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kTrace:
      return spdlog::level::trace;
  }
  return spdlog::level::info;
}

spdlog::sink_ptr make_sink(const LogConfig& config) {
  switch (config.to) {
    case LogTarget::kStderr:
      return std::make_shared<spdlog::sinks::stderr_sink_mt>();
    case LogTarget::kJournal:
      return std::make_shared<spdlog::sinks::systemd_sink_mt>("homefsd");
    case LogTarget::kFile:
      return std::make_shared<spdlog::sinks::basic_file_sink_mt>(config.file.string());
  }
  return nullptr;
}

void write(spdlog::level::level_enum level, std::string_view event, LogFields fields) {
  if (!spdlog::should_log(level)) return;
  std::string line = "event=";
  line += event;
  for (const LogField& field : fields) {
    line += ' ';
    line += field.key;
    line += '=';
    line += field.value;
  }
  spdlog::log(level, "{}", line);
}

}  // namespace

LogField::LogField(std::string_view field_key, std::string_view field_value)
    : key(field_key), value(homefs::quoted(field_value)) {}

LogField::LogField(std::string_view field_key, std::uint64_t number)
    : key(field_key), value(std::to_string(number)) {}

Result<void> start_log(const LogConfig& config) {
  try {
    // The logger stays for the life of the process: others log while it is told where to.
    static const auto target = std::make_shared<spdlog::sinks::dist_sink_mt>();
    static const auto logger = [] {
      auto made = std::make_shared<spdlog::logger>("homefsd", target);
      made->flush_on(spdlog::level::info);
      spdlog::set_default_logger(made);
      return made;
    }();
    const spdlog::sink_ptr sink = make_sink(config);
    sink->set_pattern(config.to == LogTarget::kJournal ? kJournalPattern : kPattern);
    target->set_sinks({sink});
    logger->set_level(spdlog_level(config.level));
  } catch (const spdlog::spdlog_ex& error) {
    return fail(Status::kConfigError, std::string("log.file: ") + error.what());
  }
  return {};
}

void log_error(std::string_view event, LogFields fields) {
  write(spdlog::level::err, event, fields);
}
void log_warn(std::string_view event, LogFields fields) {
  write(spdlog::level::warn, event, fields);
}
void log_info(std::string_view event, LogFields fields) {
  write(spdlog::level::info, event, fields);
}
void log_debug(std::string_view event, LogFields fields) {
  write(spdlog::level::debug, event, fields);
}

bool LogLimiter::may_log(std::uint64_t& left_out) {
  const std::int64_t now = std::chrono::steady_clock::now().time_since_epoch().count();
  constexpr std::int64_t kInterval =
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(std::chrono::seconds(1))
          .count();
  std::int64_t next = next_;
  if (now < next || !next_.compare_exchange_strong(next, now + kInterval)) {
    ++left_out_;
    return false;
  }
  left_out = left_out_.exchange(0);
  return true;
}

}  // namespace homefs

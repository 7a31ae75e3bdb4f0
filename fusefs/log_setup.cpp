#include "fusefs/log_setup.h"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace homefs {
namespace {

constexpr std::size_t kFileBytesMax = std::size_t{1024} * 1024;
constexpr std::size_t kOlderFiles = 2;

void use(std::shared_ptr<spdlog::sinks::sink> sink, const char* pattern, bool is_debug) {
  auto logger = std::make_shared<spdlog::logger>("homefs", std::move(sink));
  logger->set_pattern(pattern);
  logger->set_level(is_debug ? spdlog::level::debug : spdlog::level::info);
  logger->flush_on(spdlog::level::info);  // few lines, and each may be the last
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace

void log_to_stderr(bool is_debug) {
  use(std::make_shared<spdlog::sinks::stderr_sink_mt>(), "homefs: %l: %v", is_debug);
  // A command says what it has to say itself; the log adds to it only when something is wrong.
  if (!is_debug) spdlog::default_logger()->set_level(spdlog::level::warn);
}

void log_to_file(const std::filesystem::path& file, bool is_debug) {
  try {
    use(std::make_shared<spdlog::sinks::rotating_file_sink_mt>(file.string(), kFileBytesMax,
                                                               kOlderFiles),
        "%Y-%m-%dT%H:%M:%S.%e%z %l %v", is_debug);
  } catch (const spdlog::spdlog_ex& error) {
    spdlog::warn("no log file, going on without: {}", error.what());
  }
}

}  // namespace homefs

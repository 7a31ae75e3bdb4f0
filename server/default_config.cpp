#include "server/default_config.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "protocol/name.h"

namespace homefs {
namespace {

namespace fs = std::filesystem;

/// Where an ordinary user's server keeps everything; empty where that cannot be told.
fs::path user_folder() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data == '/') {
    return fs::path(data) / "homefsd";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return fs::path(home) / ".local/share/homefsd";
  }
  return {};
}

Result<ServerConfig> defaults() {
  Result<ServerConfig> config = ServerConfig::parse("{}", kConfigFile, "/etc/homefs");
  if (!config || ::geteuid() == 0 || ::access(config->data_dir.c_str(), W_OK) == 0) return config;
  const fs::path folder = user_folder();
  if (folder.empty()) return config;
  config->data_dir = folder;
  config->homes_dir = folder / "homes";
  config->accounts_file = folder / "accounts.ini";
  config->tls = {.key_file = folder / "server.key", .certificate_file = folder / "server.crt"};
  return config;
}

}  // namespace

Result<ServerConfig> load_config(const std::string& file) {
  const fs::path path = file.empty() ? fs::path(kConfigFile) : fs::path(file);
  Result<ServerConfig> config = ServerConfig::load(path);
  if (config) return config;
  if (file.empty() && config.error().status == Status::kNoSuchFile) return defaults();
  if (config.error().status == Status::kConfigError) return config;
  return fail(config.error().status, "cannot read " + homefs::quoted(path.string()) + ": " +
                                         std::string(text_of(config.error().status)));
}

}  // namespace homefs

#include "fusefs/files_status.h"

#include <nlohmann/json.hpp>

#include "fusefs/file_system.h"

namespace homefs {

nlohmann::json files_status_json(FileSystem& files) {
  const FileSystem::Figures figures = files.figures();
  return {{"dirty_bytes", figures.dirty_bytes}, {"nodes", figures.nodes},
          {"open_files", figures.open_files},   {"used_bytes", figures.grant.used},
          {"quota_bytes", figures.grant.limit}, {"granted_bytes", figures.grant.granted},
          {"is_shared", figures.is_shared}};
}

}  // namespace homefs

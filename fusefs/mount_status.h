// How a mount stands, as JSON for the control socket: its files, and what the kernel has asked.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <nlohmann/json_fwd.hpp>

namespace homefs {

class FileSystem;
class FuseSession;

/// "files": unsent bytes, quota and use in bytes, cached names, open files, shared or not.
[[nodiscard]] nlohmann::json files_status_json(FileSystem& files);

/// "kernel": the flags that were agreed on, and how many requests of which kind have come.
[[nodiscard]] nlohmann::json kernel_status_json(const FuseSession& session);

}  // namespace homefs

// Where one file of a put comes from and goes to.
//
// Executor: values. Blocks: never.
#pragma once

#include <filesystem>
#include <string>

#include "fusefs/remote/remote_client.h"
#include "fusefs/transfer/transfer_plan.h"

namespace homefs {

struct PutFile {
  std::string path;  ///< for messages
  std::filesystem::path local;
  RemotePlace place;                  ///< its name on the server
  const TreeEntry* target = nullptr;  ///< what is there now; null: nothing
};

/// What makes `node` look like `attributes`, for setattr.
[[nodiscard]] inline SetattrRequest attributes_request(NodeId node, const Attributes& attributes) {
  return {.node = node,
          .which = kSetMode | kSetAtime | kSetMtime,
          .mode = attributes.mode & 07777,
          .atime = attributes.atime,
          .mtime = attributes.mtime};
}

}  // namespace homefs

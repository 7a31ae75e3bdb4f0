// Making files, folders and all else on the disk, complete before they have their name: whatever
// the moment of a kill, nothing is ever seen under a name with another mode, owner or target.
//
// Executor: thread-safe; Home makes one at a time. Blocks: on the disk.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "protocol/result.h"
#include "protocol/unique_fd.h"
#include "server/file_mode.h"

namespace homefs {

class Orphanage;

/// What is to be made.
struct NewInode {
  std::uint32_t mode = 0;               ///< the true one, with type bits
  std::optional<Ownership> whole;       ///< to be kept in this form (file_mode.h)
  const std::string* target = nullptr;  ///< of a symlink; owned by the caller
};

/// Makes it as `name` in `folder` and returns a descriptor fit for the inode table. kExists: never
/// replaces anything.
Result<UniqueFd> make_inode(Orphanage& orphanage, int folder, const char* name,
                            const NewInode& wanted);

}  // namespace homefs

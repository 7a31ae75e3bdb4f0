// `mount -o remount,ro` and `remount,rw` of a mount that is there: the daemon need not know.
//
// Executor: thread-safe. Blocks: for the daemon of the mount, and until what is unwritten is
// written.
#pragma once

#include <string>

#include "protocol/result.h"

namespace homefs {

/// Whether the file system mounted at `folder` is read-only.
Result<bool> is_mounted_read_only(const std::string& folder);

/// Changes that, and nothing else. Errors: kNotPermitted for all but root; kBusy where files are
/// open for writing; kInvalid where nothing is mounted.
Result<> remount(const std::string& folder, bool is_read_only);

}  // namespace homefs

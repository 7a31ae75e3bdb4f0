// Shared by the files of posix_disk; not for others.
#pragma once

#include <array>
#include <expected>

#include "protocol/result.h"

namespace homefs::disk {

/// The error of the system call that just failed, from errno. "what: strerror".
[[nodiscard]] std::unexpected<Error> failed(const char* what);

/// "/proc/self/fd/7": the name under which calls that take only a path reach a descriptor.
std::array<char, 32> proc_path_of(int fd);

}  // namespace homefs::disk

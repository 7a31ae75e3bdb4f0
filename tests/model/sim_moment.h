// When something happens in the simulation, and to which file.
#pragma once

#include <cstdint>
#include <limits>

#include "tests/support/client/fake_kernel.h"

namespace homefs::test {

using Moment = std::uint64_t;  // grows with every step
inline constexpr Moment kNever = std::numeric_limits<Moment>::max();

/// A file, whatever its names.
using FileKey = FakeKernel::Identity;

}  // namespace homefs::test

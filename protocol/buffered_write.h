// How a WRITE says that its program was told that it is done before the server had it.
#pragma once

#include <cstdint>

namespace homefs {

/// WriteRequest::page_order of such a write. Those of pages are higher.
inline constexpr std::uint64_t kBufferedWrite = 1;

}  // namespace homefs

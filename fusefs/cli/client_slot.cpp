#include "fusefs/cli/client_slot.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "protocol/base64.h"
#include "protocol/scram_crypto.h"

namespace homefs {
namespace {

constexpr int kSlotsMax = 64;
constexpr std::size_t kIdBytes = 16;

std::string random_id() {
  std::array<std::byte, kIdBytes> random{};
  fill_random(random);
  return to_hex(random);
}

// The id that the file holds; a new one when it holds none.
Result<std::string> id_in(int file, const std::filesystem::path& path) {
  std::array<char, 2 * kIdBytes> text{};
  const ssize_t count = ::pread(file, text.data(), text.size(), 0);
  if (count < 0) return fail_errno(errno, path.string());
  if (count == static_cast<ssize_t>(text.size())) return std::string(text.data(), text.size());
  const std::string id = random_id();
  if (::pwrite(file, id.data(), id.size(), 0) != static_cast<ssize_t>(id.size())) {
    return fail_errno(errno, path.string());
  }
  return id;
}

}  // namespace

Result<ClientSlot> ClientSlot::acquire(const std::filesystem::path& folder) {
  for (int i = 1; i <= kSlotsMax; ++i) {
    const auto path = folder / ("command-" + std::to_string(i) + ".id");
    UniqueFd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!file) return fail_errno(errno, path.string());
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) continue;
      return fail_errno(errno, path.string());
    }
    auto id = id_in(file.get(), path);
    if (!id) return std::unexpected(id.error());
    return ClientSlot(std::move(file), *std::move(id));
  }
  return ClientSlot(UniqueFd(), random_id());
}

}  // namespace homefs

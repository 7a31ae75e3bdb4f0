// The codec: the first byte chooses a message (its place in HOMEFS_EVERY_MESSAGE), the rest is
// decoded. What is accepted must be exactly what encoding the message gives: one form for each
// message, and nothing read that is not there.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <vector>

#include "protocol/codec.h"

namespace {

using homefs::ByteReader;

template <class Message>
void check(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  const homefs::Result<Message> message = homefs::decode<Message>(in);
  if (!message) {
    if (message.error().status != homefs::Status::kProtocolError) std::abort();
    return;
  }
  const auto consumed = bytes.first(bytes.size() - in.rest().size());
  const std::vector<std::byte> again = homefs::encode_fields(*message);
  if (!std::ranges::equal(again, consumed)) std::abort();
  // What is left is the payload; with none left the strict form agrees, else it refuses.
  const bool is_whole = homefs::decode_all<Message>(bytes).has_value();
  if (is_whole != in.rest().empty()) std::abort();
}

using Check = void (*)(std::span<const std::byte>);
#define HOMEFS_CHECK_OF(Message) check<homefs::Message>,
constexpr Check kChecks[] = {HOMEFS_EVERY_MESSAGE(HOMEFS_CHECK_OF)};
#undef HOMEFS_CHECK_OF

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0 || data[0] >= std::size(kChecks)) return 0;
  kChecks[data[0]](std::as_bytes(std::span(data + 1, size - 1)));
  return 0;
}

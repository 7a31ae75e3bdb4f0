// JSON bodies through every message of the login: what is taken is the same after another trip
// over the wire. The first byte chooses the message.
#include <cstdint>

#include "protocol/login_messages.h"

namespace {

using namespace homefs;  // NOLINT(google-build-using-namespace): a program of one file

template <class Message>
void check(std::span<const std::byte> body) {
  const auto message = decode_json<Message>(body);
  if (!message) {
    HOMEFS_CHECK(message.error().status == Status::kProtocolError);
    return;
  }
  const auto again = decode_json<Message>(encode_json(*message));
  HOMEFS_CHECK(again && *again == *message);
}

using Check = void (*)(std::span<const std::byte>);
constexpr Check kChecks[] = {
    check<Hello>,        check<HelloReply>,      check<AuthStart>, check<AuthStartReply>,
    check<AuthFinish>,   check<AuthFinishReply>, check<Resume>,    check<ResumeReply>,
    check<TokenRequest>, check<TokenReply>,      check<Goodbye>,   check<Refusal>,
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  kChecks[data[0] % std::size(kChecks)](std::as_bytes(std::span(data + 1, size - 1)));
  return 0;
}

// Bytes of a peer through FrameAssembler: whatever comes out is what went in, however it was cut
// into pieces. The first byte says which peer, and how to cut.
#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>

#include "protocol/frame_assembler.h"

namespace {

using namespace homefs;  // NOLINT(google-build-using-namespace): a program of one file

struct Outcome {
  std::vector<std::byte> frames;  // encoded again
  bool is_refused = false;

  bool operator==(const Outcome&) const = default;
};

Outcome run(std::span<const std::byte> bytes, bool from_client, std::size_t step) {
  static const auto pool = BufferPool::make(2);
  FrameAssembler assembler(pool, from_client);
  Outcome outcome;
  while (!bytes.empty()) {
    const auto wanted = assembler.wanted();
    HOMEFS_CHECK(!wanted.empty());
    const std::size_t count = std::min({step, wanted.size(), bytes.size()});
    std::memcpy(wanted.data(), bytes.data(), count);
    bytes = bytes.subspan(count);
    const auto frame = assembler.commit(count, kBodyBytesMax);
    if (!frame) {
      HOMEFS_CHECK(frame.error().status == Status::kProtocolError);
      outcome.is_refused = true;
      return outcome;
    }
    if (!*frame) continue;
    const auto header = encode_header((*frame)->header);
    const auto body = (*frame)->bytes();
    HOMEFS_CHECK((*frame)->header.body_bytes == body.size() && body.size() <= kBodyBytesMax);
    outcome.frames.insert(outcome.frames.end(), header.begin(), header.end());
    outcome.frames.insert(outcome.frames.end(), body.begin(), body.end());
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const bool from_client = (data[0] & 1) != 0;
  const std::size_t step = 1 + (data[0] >> 1);
  const auto bytes = std::as_bytes(std::span(data + 1, size - 1));
  const Outcome whole = run(bytes, from_client, bytes.size());
  HOMEFS_CHECK(whole == run(bytes, from_client, step));
  HOMEFS_CHECK(whole.frames.size() <= bytes.size());
  HOMEFS_CHECK(std::equal(whole.frames.begin(), whole.frames.end(), bytes.begin()));
  return 0;
}

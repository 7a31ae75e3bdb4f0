#include "protocol/md5_stream.h"

#include <algorithm>
#include <cstring>

namespace homefs {

void Md5Stream::update(std::span<const std::byte> data) {
  if (data.empty()) return;
  const std::size_t rest_bytes = message_bytes_ % md5::kChunkBytes;
  message_bytes_ += data.size();
  if (rest_bytes != 0) {
    const std::size_t taken = std::min(data.size(), md5::kChunkBytes - rest_bytes);
    std::memcpy(rest_.data() + rest_bytes, data.data(), taken);
    data = data.subspan(taken);
    if (rest_bytes + taken < md5::kChunkBytes) return;
    md5::compress(state_, rest_.data(), 1);
  }
  const std::size_t chunks = data.size() / md5::kChunkBytes;
  md5::compress(state_, data.data(), chunks);
  data = data.subspan(chunks * md5::kChunkBytes);
  std::copy(data.begin(), data.end(), rest_.begin());
}

Md5Digest Md5Stream::finish() const {
  md5::Tail tail;
  md5::make_tail(tail, rest_.data(), message_bytes_);
  md5::ScalarState state = state_;
  md5::compress(state, tail.bytes.data(), tail.chunks);
  return md5::digest_of(state);
}

Md5Digest md5_of(std::span<const std::byte> data) {
  Md5Stream stream;
  stream.update(data);
  return stream.finish();
}

}  // namespace homefs

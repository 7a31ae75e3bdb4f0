#include "protocol/frame_assembler.h"

#include <string>
#include <utility>

namespace homefs {
namespace {

bool is_from_client(FrameKind kind) {
  return kind == FrameKind::kRequest || kind == FrameKind::kEventAck;
}

/// The one place that says how large a body may be, beside the connection's own limit.
std::size_t body_bytes_max_of(const FrameHeader& header) {
  const OpTraits* traits = find_op(static_cast<std::uint16_t>(header.op));
  const bool may_be_large = header.kind == FrameKind::kReply || header.kind == FrameKind::kEvent ||
                            (header.kind == FrameKind::kRequest && traits->has_payload);
  return may_be_large ? kBodyBytesMax : kSmallBodyBytesMax;
}

}  // namespace

std::span<std::byte> FrameAssembler::wanted() {
  if (frame_.body == nullptr) return std::span<std::byte>(header_bytes_).subspan(have_);
  return frame_.body->writable().subspan(have_);
}

Result<void> FrameAssembler::begin_body(std::size_t body_bytes_max) {
  const auto header = decode_header(header_bytes_, body_bytes_max);
  if (!header) return std::unexpected(header.error());
  if (is_from_client(header->kind) != from_client_) {
    return fail(Status::kProtocolError, "a frame of the wrong direction");
  }
  if (header->body_bytes > body_bytes_max_of(*header)) {
    return fail(Status::kProtocolError, std::string(name_of(header->op)) + " of " +
                                            std::to_string(header->body_bytes) + " bytes");
  }
  frame_ = InFrame{*header, pool_->get(header->body_bytes)};
  have_ = 0;
  return {};
}

Result<std::optional<InFrame>> FrameAssembler::commit(std::size_t count,
                                                      std::size_t body_bytes_max) {
  have_ += count;
  if (frame_.body == nullptr) {
    HOMEFS_CHECK(have_ <= kFrameHeaderBytes);
    if (have_ < kFrameHeaderBytes) return std::nullopt;
    if (auto begun = begin_body(body_bytes_max); !begun) return std::unexpected(begun.error());
  }
  HOMEFS_CHECK(have_ <= frame_.header.body_bytes);
  if (have_ < frame_.header.body_bytes) return std::nullopt;
  have_ = 0;
  return std::exchange(frame_, InFrame{});
}

}  // namespace homefs

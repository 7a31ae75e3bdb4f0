#include "protocol/frame.h"

#include "protocol/bytes.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

bool is_known_kind(std::uint8_t kind) {
  return kind >= static_cast<std::uint8_t>(FrameKind::kRequest) &&
         kind <= static_cast<std::uint8_t>(FrameKind::kEventAck);
}

}  // namespace

FrameHeaderBytes encode_header(const FrameHeader& header) {
  HOMEFS_CHECK(header.body_bytes <= kBodyBytesMax);
  FrameHeaderBytes bytes;
  ByteWriter out(bytes);
  out.put_u32(header.body_bytes);
  out.put_u16(static_cast<std::uint16_t>(header.op));
  out.put_u8(static_cast<std::uint8_t>(header.kind));
  out.put_u8(header.flags);
  out.put_u32(header.tag);
  out.put_u16(static_cast<std::uint16_t>(header.status));
  out.put_u16(0);  // reserved
  out.put_u64(header.seq);
  out.put_u64(header.seq_done);
  HOMEFS_CHECK(out.is_ok() && out.written() == kFrameHeaderBytes);
  return bytes;
}

Result<FrameHeader> decode_header(std::span<const std::byte, kFrameHeaderBytes> bytes,
                                  std::size_t body_bytes_max) {
  ByteReader in(bytes);
  FrameHeader header;
  header.body_bytes = in.get_u32();
  const std::uint16_t op = in.get_u16();
  const std::uint8_t kind = in.get_u8();
  header.flags = in.get_u8();
  header.tag = in.get_u32();
  const std::uint16_t status = in.get_u16();
  const std::uint16_t reserved = in.get_u16();
  header.seq = in.get_u64();
  header.seq_done = in.get_u64();
  HOMEFS_CHECK(in.is_ok());
  if (header.body_bytes > body_bytes_max) {
    return fail(Status::kProtocolError, "frame of " + std::to_string(header.body_bytes) +
                                            " bytes, at most " + std::to_string(body_bytes_max));
  }
  if (find_op(op) == nullptr) {
    return fail(Status::kProtocolError, "unknown operation " + std::to_string(op));
  }
  if (!is_known_kind(kind)) {
    return fail(Status::kProtocolError, "unknown frame kind " + std::to_string(kind));
  }
  if (!is_known_status(status)) {
    return fail(Status::kProtocolError, "unknown status " + std::to_string(status));
  }
  if (header.flags != 0 || reserved != 0) {
    return fail(Status::kProtocolError, "reserved bits are set");
  }
  header.op = static_cast<Op>(op);
  header.kind = static_cast<FrameKind>(kind);
  header.status = static_cast<Status>(status);
  return header;
}

std::size_t OutFrame::body_bytes() const {
  std::size_t bytes = fields.size();
  for (const Slice& slice : payload) bytes += slice.bytes.size();
  return bytes;
}

}  // namespace homefs

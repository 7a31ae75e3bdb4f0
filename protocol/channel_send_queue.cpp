#include "protocol/channel_send_queue.h"

#include <algorithm>
#include <cstring>

#include "protocol/limits.h"
#include "protocol/tls_stream.h"

namespace homefs {

void ChannelSendQueue::push(OutFrame&& frame) {
  const std::size_t body_bytes = frame.body_bytes();
  HOMEFS_CHECK(body_bytes <= kBodyBytesMax);
  frame.header.body_bytes = static_cast<std::uint32_t>(body_bytes);
  const FrameHeaderBytes header = encode_header(frame.header);
  bytes_ += kFrameHeaderBytes + body_bytes;
  items_.push_back(Item{header, std::move(frame)});
}

/// The unread rest of the first part that has any; empty when there are no more frames.
std::span<const std::byte> ChannelSendQueue::front_part() {
  while (!items_.empty()) {
    Item& item = items_.front();
    const OutFrame& frame = item.frame;
    if (item.part >= 2 + frame.payload.size()) {
      items_.pop_front();
      continue;
    }
    std::span<const std::byte> part = item.header;
    if (item.part == 1) part = frame.fields;
    if (item.part >= 2) part = frame.payload[item.part - 2].bytes;
    if (item.offset < part.size()) return part.subspan(item.offset);
    ++item.part;
    item.offset = 0;
  }
  return {};
}

void ChannelSendQueue::advance(std::size_t count) { items_.front().offset += count; }

void ChannelSendQueue::stage() {
  const std::size_t room = std::min(bytes_, TlsStream::kRecordBytesMax);
  staged_ = std::make_unique_for_overwrite<std::byte[]>(room);
  staged_begin_ = staged_end_ = 0;
  while (staged_end_ < room) {
    const auto part = front_part();
    const std::size_t count = std::min(part.size(), room - staged_end_);
    std::memcpy(staged_.get() + staged_end_, part.data(), count);
    staged_end_ += count;
    advance(count);
  }
}

std::span<const std::byte> ChannelSendQueue::next() {
  if (bytes_ == 0) return {};
  if (staged_ == nullptr) {
    const auto part = front_part();
    if (part.size() >= TlsStream::kRecordBytesMax) return part.first(TlsStream::kRecordBytesMax);
    stage();
  }
  return {staged_.get() + staged_begin_, staged_end_ - staged_begin_};
}

void ChannelSendQueue::consume(std::size_t count) {
  HOMEFS_CHECK(count <= bytes_);
  bytes_ -= count;
  if (staged_ == nullptr) {
    advance(count);
  } else {
    staged_begin_ += count;
    if (staged_begin_ == staged_end_) staged_ = nullptr;
  }
  if (bytes_ == 0) clear();  // the last frame's payload goes back to its owner now
}

void ChannelSendQueue::clear() {
  items_.clear();
  staged_ = nullptr;
  bytes_ = 0;
}

}  // namespace homefs

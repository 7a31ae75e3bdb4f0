// Messages to bytes and back. One description of the fields (visit() in messages.h) serves both
// directions, so that decode(encode(x)) == x holds by construction; the fuzzers hold it against us.
//
// Executor: thread-safe. Blocks: never.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "protocol/bytes.h"
#include "protocol/messages.h"
#include "protocol/result.h"

namespace homefs {

/// Appends `message` to `out`. Preconditions: names and lists within their limits.
template <class Message>
void encode(const Message& message, std::vector<std::byte>& out);

/// Reads a `Message` from the front of `in`. kProtocolError when it is cut short, a length or an
/// enumerator is out of range, or a flag is neither 0 nor 1. What is left in `in` is the payload.
template <class Message>
Result<Message> decode(ByteReader& in);

/// The same where nothing may follow the message.
template <class Message>
Result<Message> decode_all(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  Result<Message> message = decode<Message>(in);
  if (message && !in.rest().empty()) return fail(Status::kProtocolError, "bytes after the message");
  return message;
}

/// The fields of a request: introductions, then the message.
template <class Message>
std::vector<std::byte> encode_request(const Introductions& introductions, const Message& message) {
  std::vector<std::byte> out;
  encode(introductions, out);
  encode(message, out);
  return out;
}

template <class Message>
std::vector<std::byte> encode_fields(const Message& message) {
  std::vector<std::byte> out;
  encode(message, out);
  return out;
}

}  // namespace homefs

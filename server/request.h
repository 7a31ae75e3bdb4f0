// What the network side of the server hands to the file side, and gets back.
#pragma once

#include <vector>

#include "protocol/frame.h"
#include "protocol/messages.h"

namespace homefs {

/// The answer to one request: becomes the reply frame of the same tag.
struct Reply {
  Status status = Status::kOk;
  std::vector<std::byte> fields;  ///< the encoded message, or an ErrorReply
  std::vector<Slice> payload;
  /// What other sessions of the home have to be told before this reply is sent.
  std::vector<Change> changes;
};

/// A reply that failed, its text for a person.
Reply error_reply(const Error& error);

}  // namespace homefs

#include "server/request.h"

#include "protocol/codec.h"

namespace homefs {

Reply error_reply(const Error& error) {
  // A person reads it on one line; the wire's strings are bounded.
  constexpr std::size_t kTextBytesMax = 512;
  return Reply{.status = error.status,
               .fields = encode_fields(ErrorReply{error.context.substr(0, kTextBytesMax)})};
}

}  // namespace homefs

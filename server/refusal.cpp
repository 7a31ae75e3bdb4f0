#include "server/refusal.h"

#include "protocol/login_messages.h"

namespace homefs {

bool is_login_op(Op op) {
  return op == Op::kHello || op == Op::kAuthStart || op == Op::kAuthFinish || op == Op::kResume;
}

Reply refusal_reply(const Error& error, std::uint32_t retry_after_seconds) {
  Refusal refusal;
  refusal.text = error.context.substr(0, kRefusalTextBytesMax);
  refusal.retry_after_s = retry_after_seconds;
  return Reply{.status = error.status, .fields = encode_json(refusal)};
}

Reply refusal_reply_for(Op op, const Error& error) {
  const bool is_json = is_login_op(op) || op == Op::kToken || op == Op::kGoodbye;
  return is_json ? refusal_reply(error) : error_reply(error);
}

}  // namespace homefs

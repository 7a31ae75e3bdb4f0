#include "protocol/fault_injection.h"

#ifdef HOMEFS_FAULTS

#include <atomic>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace homefs {
namespace {

struct Rule {
  std::uint32_t every = 0;  // 0: never
  std::atomic<std::uint32_t> seen{0};

  bool is_due() {
    return every != 0 && seen.fetch_add(1, std::memory_order_relaxed) % every == every - 1;
  }
};

struct Rules {
  Rule send;
  Rule receive;

  Rules() {
    const char* text = std::getenv("HOMEFS_FAULT_FLIP");
    if (text != nullptr && !parse(text)) {
      std::fprintf(stderr, "homefs: HOMEFS_FAULT_FLIP=%s: neither send:N nor recv:N\n", text);
      std::abort();  // a test that believes it injects faults must not pass without them
    }
  }

  bool parse(std::string_view text) {
    send.every = receive.every = 0;
    send.seen = receive.seen = 0;
    if (text.empty()) return true;
    const bool is_send = text.starts_with("send:");
    if (!is_send && !text.starts_with("recv:")) return false;
    text.remove_prefix(5);
    std::uint32_t every = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), every);
    if (error != std::errc() || end != text.data() + text.size() || every == 0) return false;
    (is_send ? send : receive).every = every;
    return true;
  }
};

Rules& rules() {
  static Rules instance;
  return instance;
}

}  // namespace

bool set_fault_rule(const char* rule) { return rules().parse(rule); }

void inject_send_fault(OutFrame& frame) {
  if (frame.body_bytes() < kFaultBodyBytesMin || frame.payload.empty()) return;
  Slice& slice = frame.payload.back();
  if (slice.bytes.empty() || !rules().send.is_due()) return;
  const auto copy = std::make_shared<Buffer>(slice.bytes.size());
  std::memcpy(copy->writable().data(), slice.bytes.data(), slice.bytes.size());
  copy->writable()[slice.bytes.size() / 2] ^= std::byte{0x10};
  slice = slice_of(copy);
}

void inject_receive_fault(InFrame& frame) {
  if (frame.header.op == Op::kList) return;  // names carry no MD5: TLS alone guards them
  const std::size_t bytes = frame.bytes().size();
  if (bytes < kFaultBodyBytesMin || !rules().receive.is_due()) return;
  frame.body->writable()[bytes - bytes / 4] ^= std::byte{0x10};
}

}  // namespace homefs

#endif

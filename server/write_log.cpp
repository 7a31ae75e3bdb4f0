#include "server/write_log.h"

#include <algorithm>
#include <atomic>

namespace homefs {
namespace {

constexpr std::uint8_t kNothing = 0;
constexpr std::uint8_t kPart = 1;  // the data is written, what comes after it is not done
constexpr std::uint8_t kFirstStatus = 2;
constexpr int kStatusBase = static_cast<int>(Status::kOk);

std::uint8_t code_of(const WriteLog::Outcome& outcome) {
  if (!outcome.is_all) return kPart;
  const int code = static_cast<int>(outcome.status) - kStatusBase + kFirstStatus;
  HOMEFS_CHECK(code >= kFirstStatus && code <= 255);
  return static_cast<std::uint8_t>(code);
}

}  // namespace

Result<void> WriteLog::admit(std::uint64_t number) {
  constexpr std::uint64_t kKept = kRequestsInFlightMax;
  if (number <= slots_->highest) {
    if (slots_->highest - number < kKept) return {};
    return fail(Status::kSequenceConflict, "a write whose answer was acknowledged");
  }
  // A place is free before the number that uses it counts as come. Any number may come: also the
  // highest that there is.
  const std::uint64_t passed = std::min(number - slots_->highest, kKept);
  for (std::uint64_t back = 0; back < passed; ++back) {
    std::atomic_ref(slots_->codes[(number - back) % kKept])
        .store(kNothing, std::memory_order_relaxed);
  }
  std::atomic_ref(slots_->highest).store(number, std::memory_order_release);
  return {};
}

std::optional<WriteLog::Outcome> WriteLog::find(std::uint64_t number) const {
  const std::uint8_t code =
      std::atomic_ref(slots_->codes[number % kRequestsInFlightMax]).load(std::memory_order_acquire);
  if (code == kNothing) return std::nullopt;
  if (code == kPart) return Outcome{.is_all = false};
  const auto status = static_cast<std::uint16_t>(code - kFirstStatus + kStatusBase);
  return Outcome{.status =
                     is_known_status(status) ? static_cast<Status>(status) : Status::kIoError};
}

void WriteLog::note(std::uint64_t number, Outcome outcome) {
  std::atomic_ref(slots_->codes[number % kRequestsInFlightMax])
      .store(code_of(outcome), std::memory_order_release);
}

}  // namespace homefs

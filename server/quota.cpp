#include "server/quota.h"

#include <algorithm>
#include <limits>

namespace homefs {

void Reservation::settle(const Usage& used) {
  if (quota_ != nullptr) std::exchange(quota_, nullptr)->settle(reserved_, used);
}

Quota::Quota(std::uint64_t bytes_max, std::uint64_t files_max)
    : limits_{.bytes = bytes_max, .files = files_max} {}

Quota::~Quota() { HOMEFS_CHECK(granted_bytes_ == 0 && reserved_ == Usage{}); }

// Precondition of all below that are private: mutex_ is held.
std::uint64_t Quota::bytes_free() const {
  if (limits_.bytes == 0) return std::numeric_limits<std::uint64_t>::max();
  // Each is far below 2^63: the sum cannot wrap.
  const std::uint64_t taken = used_.bytes + reserved_.bytes + granted_bytes_;
  return limits_.bytes > taken ? limits_.bytes - taken : 0;
}

Result<Reservation> Quota::reserve(Grant& grant, const Usage& wanted, Draw draw) {
  const std::lock_guard lock(mutex_);
  if (limits_.files != 0 && wanted.files > 0 &&
      used_.files + reserved_.files + wanted.files > limits_.files) {
    return fail(Status::kOverQuota, "the limit on files is reached");
  }
  const std::uint64_t free = bytes_free();
  // From the grant all that it has, or only what is missing elsewhere.
  const std::uint64_t from_grant = std::min(
      grant.bytes_,
      draw == Draw::kGrantFirst ? wanted.bytes : wanted.bytes - std::min(wanted.bytes, free));
  if (wanted.bytes - from_grant > free) return fail(Status::kOverQuota);
  grant.bytes_ -= from_grant;
  granted_bytes_ -= from_grant;
  reserved_.bytes += wanted.bytes;
  reserved_.files += wanted.files;
  return Reservation(*this, wanted);
}

void Quota::settle(const Usage& reserved, const Usage& used) {
  const std::lock_guard lock(mutex_);
  reserved_.bytes -= reserved.bytes;
  reserved_.files -= reserved.files;
  used_.bytes += used.bytes;
  used_.files += used.files;
}

void Quota::release(const Usage& freed) {
  const std::lock_guard lock(mutex_);
  // Somebody who changes the home by other means must not make it look endless.
  used_.bytes -= std::min(used_.bytes, freed.bytes);
  used_.files -= std::min(used_.files, freed.files);
}

void Quota::count(const Usage& found) {
  const std::lock_guard lock(mutex_);
  used_.bytes += found.bytes;
  used_.files += found.files;
}

void Quota::set_limits(std::uint64_t bytes_max, std::uint64_t files_max) {
  const std::lock_guard lock(mutex_);
  limits_ = {.bytes = bytes_max, .files = files_max};
}

bool Quota::has_limits() const {
  const std::lock_guard lock(mutex_);
  return limits_ != Usage{};
}

void Quota::set_known(const Usage& usage) {
  const std::lock_guard lock(mutex_);
  used_ = usage;
  is_known_ = true;
  known_.notify_all();
}

void Quota::begin_count(const Usage& estimate) {
  const std::lock_guard lock(mutex_);
  used_ = {};
  estimate_ = estimate;
  is_known_ = false;
}

void Quota::finish_count() {
  const std::lock_guard lock(mutex_);
  is_known_ = true;
  known_.notify_all();
}

bool Quota::is_known() const {
  const std::lock_guard lock(mutex_);
  return is_known_;
}

void Quota::wait_until_decidable() const {
  std::unique_lock lock(mutex_);
  known_.wait(lock, [this] { return is_known_ || limits_ == Usage{}; });
}

void Quota::wait_until_known() const {
  std::unique_lock lock(mutex_);
  known_.wait(lock, [this] { return is_known_; });
}

Usage Quota::used() const {
  const std::lock_guard lock(mutex_);
  if (is_known_) return used_;
  return {.bytes = std::max(used_.bytes, estimate_.bytes),
          .files = std::max(used_.files, estimate_.files)};
}

Usage Quota::limits() const {
  const std::lock_guard lock(mutex_);
  return limits_;
}

GrantState Quota::state_of(Grant& grant) {
  const std::lock_guard lock(mutex_);
  const bool is_unlimited = limits_.bytes == 0;
  if (is_unlimited || (is_known_ && !grant.is_shared_)) {
    const std::uint64_t missing = kGrantBytesMax - std::min(grant.bytes_, kGrantBytesMax);
    const std::uint64_t added = std::min(missing, bytes_free());
    grant.bytes_ += added;
    granted_bytes_ += added;
  }
  return {.stamp = ++grant.stamp_,
          .granted = grant.bytes_,
          .used = is_known_ ? used_.bytes : std::max(used_.bytes, estimate_.bytes),
          .limit = limits_.bytes};
}

void Grant::set_shared(bool is_shared) {
  const std::lock_guard lock(quota_.mutex_);
  is_shared_ = is_shared;
}

void Grant::release() {
  const std::lock_guard lock(quota_.mutex_);
  quota_.granted_bytes_ -= bytes_;
  bytes_ = 0;
}

}  // namespace homefs

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

// By how much what is promised passes the limit, since that was lowered.
std::uint64_t Quota::bytes_overdrawn() const {
  const std::uint64_t taken = used_.bytes + reserved_.bytes + granted_bytes_;
  return limits_.bytes != 0 && taken > limits_.bytes ? taken - limits_.bytes : 0;
}

Result<Reservation> Quota::reserve(Grant& grant, const Usage& wanted, std::uint64_t from_grant) {
  const std::lock_guard lock(mutex_);
  if (is_given_up_ && limits_ != Usage{}) {
    return fail(Status::kIoError, "the home was let go of before its use was known");
  }
  if (limits_.files != 0 && wanted.files > 0 &&
      used_.files + reserved_.files + wanted.files > limits_.files) {
    return fail(Status::kOverQuota, "the limit on files is reached");
  }
  const std::uint64_t drawn = std::min({grant.bytes_, wanted.bytes, from_grant});
  if (wanted.bytes - drawn > bytes_free()) return fail(Status::kOverQuota);
  grant.bytes_ -= drawn;
  granted_bytes_ -= drawn;
  reserved_.bytes += wanted.bytes;
  reserved_.files += wanted.files;
  return Reservation(*this, wanted);
}

void Quota::settle(const Usage& reserved, const Usage& used) {
  const std::lock_guard lock(mutex_);
  reserved_.bytes -= reserved.bytes;
  reserved_.files -= reserved.files;
  add(used);
}

void Quota::add(const Usage& grown) {
  for (Usage* sum : {&used_, recounted_ ? &*recounted_ : nullptr}) {
    if (sum == nullptr) continue;
    sum->bytes += grown.bytes;
    sum->files += grown.files;
  }
}

void Quota::subtract(const Usage& freed) {
  for (Usage* sum : {&used_, recounted_ ? &*recounted_ : nullptr}) {
    if (sum == nullptr) continue;
    // Somebody who changes the home by other means must not make it look endless.
    sum->bytes -= std::min(sum->bytes, freed.bytes);
    sum->files -= std::min(sum->files, freed.files);
  }
}

void Quota::release(const Usage& freed) {
  const std::lock_guard lock(mutex_);
  subtract(freed);
}

void Quota::count(const Usage& grown) {
  const std::lock_guard lock(mutex_);
  add(grown);
}

void Quota::count_found(const Usage& found) {
  const std::lock_guard lock(mutex_);
  Usage& sum = recounted_ ? *recounted_ : used_;
  sum.bytes += found.bytes;
  sum.files += found.files;
}

void Quota::set_limits(std::uint64_t bytes_max, std::uint64_t files_max) {
  const std::lock_guard lock(mutex_);
  limits_ = {.bytes = bytes_max, .files = files_max};
  if (bytes_max == 0) return;
  // Sessions that share the home have promised nothing: their writes wait for the answer.
  for (Grant* grant : grants_) {
    if (grant->is_relied_on_) continue;
    granted_bytes_ -= std::exchange(grant->bytes_, 0);
  }
}

bool Quota::has_limits() const {
  const std::lock_guard lock(mutex_);
  return limits_ != Usage{};
}

void Quota::set_known(const Usage& usage) {
  const std::lock_guard lock(mutex_);
  used_ = usage;
  is_known_ = true;
  is_given_up_ = false;
  known_.notify_all();
}

void Quota::begin_count(const Usage& estimate) {
  const std::lock_guard lock(mutex_);
  used_ = {};
  estimate_ = estimate;
  recounted_.reset();
  is_known_ = false;
  is_given_up_ = false;
}

void Quota::give_up_count() {
  const std::lock_guard lock(mutex_);
  is_given_up_ = true;
  known_.notify_all();
}

void Quota::begin_recount() {
  const std::lock_guard lock(mutex_);
  recounted_ = Usage{};
}

void Quota::cancel_recount() {
  const std::lock_guard lock(mutex_);
  recounted_.reset();
}

void Quota::finish_count() {
  const std::lock_guard lock(mutex_);
  if (recounted_) used_ = *std::exchange(recounted_, std::nullopt);
  is_known_ = true;
  known_.notify_all();
}

bool Quota::is_known() const {
  const std::lock_guard lock(mutex_);
  return is_known_;
}

void Quota::wait_until_decidable() const {
  std::unique_lock lock(mutex_);
  known_.wait(lock, [this] { return is_known_ || is_given_up_ || limits_ == Usage{}; });
}

void Quota::wait_until_known() const {
  std::unique_lock lock(mutex_);
  known_.wait(lock, [this] { return is_known_ || is_given_up_; });
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
          .granted = grant.bytes_ - std::min(grant.bytes_, bytes_overdrawn()),
          .used = is_known_ ? used_.bytes : std::max(used_.bytes, estimate_.bytes),
          .limit = limits_.bytes};
}

Grant::Grant(Quota& quota) : quota_(quota) {
  const std::lock_guard lock(quota_.mutex_);
  quota_.grants_.push_back(this);
}

Grant::~Grant() {
  const std::lock_guard lock(quota_.mutex_);
  quota_.granted_bytes_ -= bytes_;
  std::erase(quota_.grants_, this);
}

void Grant::set_shared(bool is_shared) {
  const std::lock_guard lock(quota_.mutex_);
  is_shared_ = is_shared;
  // Until its client knows that others have the home it answers within the grant.
  if (!is_shared) is_relied_on_ = true;
}

void Grant::release() {
  const std::lock_guard lock(quota_.mutex_);
  quota_.granted_bytes_ -= std::exchange(bytes_, 0);
  if (is_shared_) is_relied_on_ = false;
}

}  // namespace homefs

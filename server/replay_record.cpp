#include "server/replay_record.h"

#include <cstring>

#include "protocol/codec.h"

namespace homefs {
namespace {

// The finalizer of MurmurHash3: every bit of the input moves every bit of the result.
constexpr std::uint64_t mixed(std::uint64_t value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccdull;
  value ^= value >> 33;
  value *= 0xc4ceb9fe1a85ec53ull;
  value ^= value >> 33;
  return value;
}

// The message and payload behind the introductions; everything when those are malformed.
std::span<const std::byte> without_introductions(std::span<const std::byte> body) {
  ByteReader in(body);
  return decode<Introductions>(in) ? in.rest() : body;
}

}  // namespace

std::uint64_t fingerprint_of(Op op, std::span<const std::byte> body) {
  const std::span<const std::byte> message = without_introductions(body);
  std::uint64_t hash = mixed(static_cast<std::uint64_t>(op) + 1) ^ mixed(message.size());
  // Eight bytes at a time: an append brings up to 1 MiB.
  std::size_t offset = 0;
  for (; offset + sizeof(std::uint64_t) <= message.size(); offset += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, message.data() + offset, sizeof(word));
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
    hash ^= hash >> 32;
  }
  std::uint64_t rest = 0;
  if (offset < message.size()) std::memcpy(&rest, message.data() + offset, message.size() - offset);
  return mixed(hash ^ rest);
}

ForeignChanges& MemoryReplayRecord::foreign_changes() {
  if (!foreign_) foreign_ = std::make_unique<Foreign>();
  return foreign_->changes;
}

void MemoryReplayRecord::begin(std::uint64_t seq, std::uint64_t fingerprint, Op) {
  HOMEFS_CHECK(!is_begun_);
  HOMEFS_CHECK(seq == last_applied() + 1);
  HOMEFS_CHECK(state_.kept.size() < kRequestsInFlightMax);
  begun_fingerprint_ = fingerprint;
  is_begun_ = true;
}

void MemoryReplayRecord::finish(std::uint64_t seq, std::shared_ptr<const Reply> reply) {
  HOMEFS_CHECK(is_begun_);
  HOMEFS_CHECK(seq == last_applied() + 1);
  HOMEFS_CHECK(reply != nullptr);
  is_begun_ = false;
  state_.kept.push_back({begun_fingerprint_, std::move(reply)});
}

Result<std::shared_ptr<const Reply>> MemoryReplayRecord::find(std::uint64_t seq,
                                                              std::uint64_t fingerprint) const {
  HOMEFS_CHECK(seq >= 1 && seq <= last_applied());
  if (seq <= state_.last_dropped) {
    return fail(Status::kSequenceConflict, "a seq was sent again after its reply had arrived");
  }
  const ReplayState::Applied& applied = state_.kept[seq - state_.last_dropped - 1];
  if (applied.fingerprint != fingerprint) {
    return fail(Status::kSequenceConflict, "a seq was used again for another request");
  }
  return applied.reply;
}

void MemoryReplayRecord::drop_through(std::uint64_t seq) {
  HOMEFS_CHECK(seq <= last_applied());
  while (state_.last_dropped < seq) {
    state_.kept.pop_front();
    ++state_.last_dropped;
  }
}

}  // namespace homefs

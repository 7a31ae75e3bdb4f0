#include "server/session_record.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <map>
#include <utility>

#include "protocol/bytes.h"
#include "protocol/codec.h"
#include "server/log.h"
#include "server/outcome_reply.h"

namespace homefs {
namespace {

constexpr std::uint64_t kMagic = 0x3173657366656d68;  // "hmefses1"
constexpr std::uint32_t kFormat = 3;
constexpr std::size_t kPageBytes = 4096;
constexpr std::size_t kIdentityBytesMax = 2048;
constexpr std::size_t kReplyBytesMax = 480;
// The file grows by so many slots.
constexpr std::size_t kSlotsAtOnce = 8;

enum State : std::uint32_t { kIdle = 0, kBegun = 1, kDoing = 2, kDone = 3 };

// What is stored before is there when this is.
template <class T>
void publish(T& where, T value) {
  std::atomic_ref<T>(where).store(value, std::memory_order_release);
}

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

std::vector<std::byte> encode_identity(const SessionIdentity& identity) {
  std::vector<std::byte> bytes(kIdentityBytesMax);
  ByteWriter out(bytes);
  out.put_bytes(identity.id);
  out.put_bytes(identity.secret);
  for (const std::string* text : {&identity.account, &identity.account_id, &identity.client_id,
                                  &identity.token_id, &identity.subdir}) {
    out.put_u16(static_cast<std::uint16_t>(text->size()));
    out.put_bytes(std::as_bytes(std::span(*text)));
  }
  HOMEFS_CHECK(out.is_ok());  // the login has bounds for all of them
  bytes.resize(out.written());
  return bytes;
}

std::optional<SessionIdentity> decode_identity(std::span<const std::byte> bytes) {
  ByteReader in(bytes);
  SessionIdentity identity;
  std::ranges::copy(in.get_bytes(identity.id.size()), identity.id.begin());
  std::ranges::copy(in.get_bytes(identity.secret.size()), identity.secret.begin());
  for (std::string* text : {&identity.account, &identity.account_id, &identity.client_id,
                            &identity.token_id, &identity.subdir}) {
    const auto value = in.get_bytes(in.get_u16());
    text->assign(reinterpret_cast<const char*>(value.data()), value.size());
  }
  if (!in.is_ok() || !in.rest().empty()) return std::nullopt;
  return identity;
}

/// What is stored of a reply: all of it, but for a long text for a person.
std::vector<std::byte> kept_fields(const Reply& reply) {
  HOMEFS_CHECK(reply.payload.empty());  // changes are answered with fields only
  if (reply.fields.size() <= kReplyBytesMax) return reply.fields;
  auto error = decode_all<ErrorReply>(reply.fields);
  HOMEFS_CHECK(error.has_value());
  error->text.resize(kReplyBytesMax - sizeof(std::uint16_t));
  return encode_fields(*error);
}

}  // namespace

struct SessionRecord::Header {
  std::uint64_t magic;
  std::uint32_t format;
  std::uint32_t layout;  // sizes of what is kept as it is in memory
  std::array<char, 64> boot;
  std::uint64_t is_void;
  std::uint64_t last_dropped;
  WriteSlots writes;
  WriteSlots syncs;
  std::uint64_t foreign_state;  // see ForeignChanges
  std::uint64_t identity_sum;
  std::uint64_t identity_bytes;
  std::array<std::byte, kIdentityBytesMax> identity;
};

struct SessionRecord::Intent {
  std::uint32_t state;
  std::uint32_t op;
  std::uint64_t seq;
  std::uint64_t fingerprint;
  std::uint64_t facts_sum;
  std::uint64_t facts_bytes;
  std::uint64_t outcome_sum;
  ChangeOutcome outcome;
  std::array<std::byte, kFactsBytesMax> facts;
};

struct SessionRecord::Slot {
  struct Head {
    std::uint64_t fingerprint;
    std::uint32_t op;
    std::uint16_t status;
    std::uint16_t bytes;
  };
  std::uint64_t seq;
  std::uint64_t sum;
  Head head;
  std::array<std::byte, kReplyBytesMax> fields;

  [[nodiscard]] std::uint64_t sum_of(std::uint64_t its_seq) const {
    return hash_of(std::span(fields).first(std::min<std::size_t>(head.bytes, fields.size()))) ^
           hash_of(bytes_of(head)) ^ its_seq;
  }
};

namespace {

constexpr std::size_t rounded(std::size_t bytes) {
  return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

constexpr std::uint32_t kLayout =
    static_cast<std::uint32_t>(sizeof(ChangeNumbers) * 4096 + sizeof(ChangeOutcome));

// An intent that is short, as most are, is in the first page.
constexpr std::size_t kIntentAt = 2816;
constexpr std::size_t kForeignAt =
    rounded(kIntentAt + sizeof(ChangeOutcome) + kFactsBytesMax + 128);
constexpr std::size_t kSlotsAt = kForeignAt + rounded(sizeof(ForeignNotes));

}  // namespace

SessionRecord::SessionRecord(MappedFile file, SessionIdentity identity)
    : file_(std::move(file)),
      identity_(std::move(identity)),
      writes_(header().writes),
      syncs_(header().syncs),
      foreign_changes_(header().foreign_state, foreign_notes()) {}

SessionRecord::Header& SessionRecord::header() const {
  static_assert(sizeof(Header) <= kIntentAt && kIntentAt % alignof(Intent) == 0);
  return *reinterpret_cast<Header*>(file_.bytes().data());
}

SessionRecord::Intent& SessionRecord::intent() const {
  static_assert(kIntentAt + sizeof(Intent) <= kForeignAt);
  return *reinterpret_cast<Intent*>(file_.bytes().data() + kIntentAt);
}

ForeignNotes& SessionRecord::foreign_notes() const {
  static_assert(kForeignAt % alignof(ForeignNotes) == 0);
  return *reinterpret_cast<ForeignNotes*>(file_.bytes().data() + kForeignAt);
}

SessionRecord::Slot& SessionRecord::slot(std::size_t index) const {
  static_assert(kSlotsAt % alignof(Slot) == 0 && kPageBytes % sizeof(Slot) == 0);
  return *reinterpret_cast<Slot*>(file_.bytes().data() + kSlotsAt + index * sizeof(Slot));
}

std::size_t SessionRecord::slots_there() const {
  return (file_.bytes().size() - kSlotsAt) / sizeof(Slot);
}

Result<std::unique_ptr<SessionRecord>> SessionRecord::make(const std::filesystem::path& file,
                                                           std::string_view boot,
                                                           const SessionIdentity& identity) {
  Result<MappedFile> mapped = MappedFile::make(file, kSlotsAt + kSlotsAtOnce * sizeof(Slot),
                                               kSlotsAt + kSlots * sizeof(Slot));
  if (!mapped) return std::unexpected(mapped.error());
  std::unique_ptr<SessionRecord> record(new SessionRecord(std::move(*mapped), identity));
  Header& header = record->header();
  const std::vector<std::byte> encoded = encode_identity(identity);
  std::ranges::copy(encoded, header.identity.begin());
  header.identity_bytes = encoded.size();
  header.identity_sum = hash_of(encoded);
  header.format = kFormat;
  header.layout = kLayout;
  record->set_boot(boot);
  publish(header.magic, kMagic);
  return record;
}

Result<std::unique_ptr<SessionRecord>> SessionRecord::open(const std::filesystem::path& file,
                                                           std::string_view boot) {
  Result<MappedFile> mapped = MappedFile::open(file, kSlotsAt + kSlots * sizeof(Slot));
  if (!mapped) return std::unexpected(mapped.error());
  if (mapped->bytes().size() < kSlotsAt) return fail(Status::kInvalid, "it was never complete");
  std::unique_ptr<SessionRecord> record(new SessionRecord(std::move(*mapped), {}));
  Result<void> done = record->check_header(boot);
  if (done) done = record->load_replies();
  if (done) done = record->load_intent();
  if (!done) return std::unexpected(done.error());
  return record;
}

void SessionRecord::set_boot(std::string_view boot) {
  std::array<char, 64> padded{};
  std::ranges::copy(boot.substr(0, padded.size() - 1), padded.begin());
  header().boot = padded;
}

Result<void> SessionRecord::check_header(std::string_view boot) {
  const Header& header = this->header();
  if (header.magic != kMagic) return fail(Status::kInvalid, "it was never complete");
  if (header.format != kFormat || header.layout != kLayout) {
    return fail(Status::kInvalid, "another version of the server has written it");
  }
  const std::string_view written(header.boot.data(),
                                 ::strnlen(header.boot.data(), header.boot.size()));
  if (!boot.empty() && written != boot) {
    return fail(Status::kInvalid, "the machine went down while the server ran");
  }
  if (header.is_void != 0) return fail(Status::kInvalid, "the disk was full");
  const auto bytes = std::span(header.identity)
                         .first(std::min<std::size_t>(header.identity_bytes, kIdentityBytesMax));
  auto identity = decode_identity(bytes);
  if (!identity || hash_of(bytes) != header.identity_sum) {
    return fail(Status::kInvalid, "it is damaged");
  }
  identity_ = std::move(*identity);
  return {};
}

Result<void> SessionRecord::load_replies() {
  const std::uint64_t last_dropped = header().last_dropped;
  ReplayState state{.last_dropped = last_dropped, .kept = {}};
  std::map<std::uint64_t, std::size_t> by_seq;
  for (std::size_t i = 0; i < slots_there(); ++i) {
    if (slot(i).seq > last_dropped) by_seq.emplace(slot(i).seq, i);
  }
  for (const auto& [seq, index] : by_seq) {
    const Slot& one = slot(index);
    const auto status = one.head.status;
    if (seq != last_dropped + state.kept.size() + 1 || one.sum != one.sum_of(seq) ||
        !is_known_status(status) || one.head.bytes > kReplyBytesMax) {
      return fail(Status::kInvalid, "it is damaged");
    }
    Reply reply{.status = static_cast<Status>(status)};
    reply.fields.assign(one.fields.begin(), one.fields.begin() + one.head.bytes);
    age_reply(static_cast<Op>(one.head.op), reply);
    state.kept.push_back({one.head.fingerprint, std::make_shared<const Reply>(std::move(reply))});
    used_.set(index);
  }
  memory_ = MemoryReplayRecord(std::move(state));
  return {};
}

Result<void> SessionRecord::load_intent() {
  const Intent& intent = this->intent();
  // Finished, or nothing of it was done.
  if (intent.state < kDoing || intent.seq != last_applied() + 1) {
    publish(this->intent().state, std::uint32_t{kIdle});
    return {};
  }
  const auto bytes =
      std::span(intent.facts).first(std::min<std::size_t>(intent.facts_bytes, kFactsBytesMax));
  auto facts = decode_facts(bytes);
  if (!facts || hash_of(bytes) != intent.facts_sum) return fail(Status::kInvalid, "it is damaged");
  doubt_ = Doubt{.op = static_cast<Op>(intent.op), .facts = std::move(*facts), .outcome = {}};
  if (intent.state != kDone) return {};
  if (hash_of(bytes_of(intent.outcome)) != intent.outcome_sum) {
    return fail(Status::kInvalid, "it is damaged");
  }
  doubt_->outcome = intent.outcome;
  return {};
}

void SessionRecord::resolve(std::shared_ptr<const Reply> reply_or_null) {
  const Intent& intent = this->intent();
  doubt_.reset();
  if (reply_or_null == nullptr) {
    publish(this->intent().state, std::uint32_t{kIdle});
    return;
  }
  memory_.begin(intent.seq, intent.fingerprint, static_cast<Op>(intent.op));
  finish(intent.seq, std::move(reply_or_null));
}

// ---- Replies ----------------------------------------------------------------------------------

void SessionRecord::begin(std::uint64_t seq, std::uint64_t fingerprint, Op op) {
  memory_.begin(seq, fingerprint, op);
  Intent& intent = this->intent();
  intent.seq = seq;
  intent.fingerprint = fingerprint;
  intent.op = static_cast<std::uint32_t>(op);
  publish(intent.state, std::uint32_t{kBegun});
}

void SessionRecord::finish(std::uint64_t seq, std::shared_ptr<const Reply> reply) {
  Intent& intent = this->intent();
  put(seq, intent.fingerprint, static_cast<Op>(intent.op), *reply);
  // With a slot of its seq it is over, whatever its state says.
  publish(intent.state, std::uint32_t{kIdle});
  memory_.finish(seq, std::move(reply));
}

void SessionRecord::put(std::uint64_t seq, std::uint64_t fingerprint, Op op, const Reply& reply) {
  if (is_void_) return;
  const auto index = free_slot();
  if (!index) return become_void();
  const std::vector<std::byte> fields = kept_fields(reply);
  Slot& place = slot(*index);
  publish(place.seq, std::uint64_t{0});
  std::atomic_thread_fence(std::memory_order_release);
  place.head = {.fingerprint = fingerprint,
                .op = static_cast<std::uint32_t>(op),
                .status = static_cast<std::uint16_t>(reply.status),
                .bytes = static_cast<std::uint16_t>(fields.size())};
  std::ranges::copy(fields, place.fields.begin());
  place.sum = place.sum_of(seq);
  publish(place.seq, seq);
  used_.set(*index);
}

/// The first: so few pages are in use while the client acknowledges.
std::optional<std::size_t> SessionRecord::free_slot() {
  const std::size_t there = slots_there();
  for (std::size_t i = 0; i < there; ++i) {
    if (!used_.test(i)) return i;
  }
  const std::size_t wanted = std::min(there + kSlotsAtOnce, kSlots);
  HOMEFS_CHECK(wanted > there);  // begin() has refused more than kRequestsInFlightMax
  if (Result<void> grown = file_.grow(kSlotsAt + wanted * sizeof(Slot)); !grown) {
    log_warn("session-not-durable",
             {{"user", identity_.account}, {"why", grown.error().message()}});
    return std::nullopt;
  }
  return there;
}

/// From now on it is in memory only: what is in the file would be a lie.
void SessionRecord::become_void() {
  is_void_ = true;
  publish(header().is_void, std::uint64_t{1});
}

void SessionRecord::drop_through(std::uint64_t seq) {
  memory_.drop_through(seq);
  publish(header().last_dropped, memory_.last_dropped());
  for (std::size_t i = 0; i < slots_there(); ++i) {
    if (used_.test(i) && slot(i).seq <= memory_.last_dropped()) used_.reset(i);
  }
}

// ---- The change that is being applied ---------------------------------------------------------

void SessionRecord::about_to(const ChangeFacts& facts) {
  Intent& intent = this->intent();
  publish(intent.state, std::uint32_t{kBegun});
  std::atomic_thread_fence(std::memory_order_release);
  intent.facts_bytes = encode_facts(facts, intent.facts);
  intent.facts_sum = hash_of(std::span(intent.facts).first(intent.facts_bytes));
  publish(intent.state, std::uint32_t{kDoing});
}

void SessionRecord::came_to(const ChangeOutcome& outcome) {
  Intent& intent = this->intent();
  std::memcpy(&intent.outcome, &outcome, sizeof(outcome));  // with its padding, for the sum
  intent.outcome_sum = hash_of(bytes_of(intent.outcome));
  publish(intent.state, std::uint32_t{kDone});
}

void SessionRecord::withdraw() { publish(intent().state, std::uint32_t{kBegun}); }

}  // namespace homefs

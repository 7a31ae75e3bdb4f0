#include "server/saved_session.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "protocol/base64.h"
#include "protocol/bytes.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

constexpr std::uint8_t kFormat = 1;

class Writer {
 public:
  void put(std::uint64_t number) {
    for (int shift = 0; shift < 64; shift += 8) {
      bytes_.push_back(static_cast<std::byte>((number >> shift) & 0xff));
    }
  }
  void put(std::span<const std::byte> bytes) {
    put(bytes.size());
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
  }
  void put(const std::string& text) { put(std::as_bytes(std::span(text))); }
  [[nodiscard]] const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

std::span<const std::byte> get_bytes(ByteReader& in) { return in.get_bytes(in.get_u64()); }

std::string get_text(ByteReader& in) {
  const auto bytes = get_bytes(in);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

template <std::size_t kBytes>
void get_array(ByteReader& in, std::array<std::byte, kBytes>& out) {
  const auto bytes = get_bytes(in);
  if (bytes.size() == kBytes) {
    std::ranges::copy(bytes, out.begin());
  } else {
    in.set_bad();
  }
}

void get_replay(ByteReader& in, ReplayState& replay) {
  replay.last_dropped = in.get_u64();
  const std::uint64_t count = in.get_u64();
  if (count > kRequestsInFlightMax) in.set_bad();
  for (std::uint64_t i = 0; i < count && in.is_ok(); ++i) {
    ReplayState::Applied applied;
    applied.fingerprint = in.get_u64();
    Reply reply;
    const std::uint64_t status = in.get_u64();
    if (status > std::numeric_limits<std::uint16_t>::max() ||
        !is_known_status(static_cast<std::uint16_t>(status))) {
      in.set_bad();
      break;
    }
    reply.status = static_cast<Status>(status);
    const auto fields = get_bytes(in);
    reply.fields.assign(fields.begin(), fields.end());
    applied.reply = std::make_shared<const Reply>(std::move(reply));
    replay.kept.push_back(std::move(applied));
  }
}

std::string key_of(const SessionId& id) { return to_hex(id); }

}  // namespace

std::string encode_session(const SavedSession& session) {
  Writer out;
  out.put(kFormat);
  out.put(session.id);
  out.put(session.secret);
  for (const std::string* text :
       {&session.account, &session.client_id, &session.token_id, &session.subdir}) {
    out.put(*text);
  }
  out.put(session.replay.last_dropped);
  out.put(session.replay.kept.size());
  for (const ReplayState::Applied& applied : session.replay.kept) {
    out.put(applied.fingerprint);
    out.put(static_cast<std::uint64_t>(applied.reply->status));
    // Changes are answered with fields only.
    out.put(std::span<const std::byte>(applied.reply->fields));
  }
  return to_base64(out.bytes());
}

Result<SavedSession> decode_session(const std::string& text) {
  const auto bytes = from_base64(text);
  if (!bytes) return fail(Status::kInvalid, "a saved session that is not base64");
  ByteReader in(*bytes);
  SavedSession session;
  if (in.get_u64() != kFormat) in.set_bad();
  get_array(in, session.id);
  get_array(in, session.secret);
  for (std::string* field :
       {&session.account, &session.client_id, &session.token_id, &session.subdir}) {
    *field = get_text(in);
  }
  get_replay(in, session.replay);
  if (!in.is_ok() || !in.rest().empty()) {
    return fail(Status::kInvalid, "a saved session of another version");
  }
  return session;
}

void SavedSessions::put(SavedSession session, Clock::time_point expires) {
  const std::string key = key_of(session.id);
  (*entries_.lock())[key] = Entry{std::move(session), expires};
}

std::optional<SavedSession> SavedSessions::find(const SessionId& id) {
  const auto entries = entries_.lock();
  const auto found = entries->find(key_of(id));
  if (found == entries->end() || found->second.expires <= Clock::now()) return std::nullopt;
  return found->second.session;
}

std::optional<SavedSession> SavedSessions::take(const SessionId& id) {
  const auto entries = entries_.lock();
  auto found = entries->extract(key_of(id));
  if (found.empty() || found.mapped().expires <= Clock::now()) return std::nullopt;
  return std::move(found.mapped().session);
}

void SavedSessions::drop_expired(Clock::time_point now) {
  std::erase_if(*entries_.lock(), [now](const auto& entry) { return entry.second.expires <= now; });
}

void SavedSessions::drop_of_client(const std::string& account, const std::string& client_id) {
  std::erase_if(*entries_.lock(), [&](const auto& entry) {
    return entry.second.session.account == account && entry.second.session.client_id == client_id;
  });
}

std::vector<SavedSession> SavedSessions::take_all() {
  std::vector<SavedSession> sessions;
  const auto entries = entries_.lock();
  for (auto& [key, entry] : *entries) sessions.push_back(std::move(entry.session));
  entries->clear();
  return sessions;
}

}  // namespace homefs

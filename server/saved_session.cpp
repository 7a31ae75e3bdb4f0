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

constexpr std::uint8_t kFormat = 2;

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

void put_lock(Writer& out, const SavedLock& lock) {
  out.put(number_of(lock.file.inode));
  out.put(static_cast<std::uint64_t>(lock.file.kind));
  out.put(static_cast<std::uint64_t>(lock.type));
  out.put(lock.owner);
  out.put(lock.range.begin);
  out.put(lock.range.end);
  out.put(lock.pid);
}

SavedLock get_lock(ByteReader& in) {
  SavedLock lock;
  lock.file.inode = InodeNumber{in.get_u64()};
  const std::uint64_t kind = in.get_u64();
  const std::uint64_t type = in.get_u64();
  lock.owner = in.get_u64();
  lock.range = {in.get_u64(), in.get_u64()};
  lock.pid = static_cast<std::uint32_t>(in.get_u64());
  if (kind > static_cast<std::uint64_t>(LockKind::kWhole) ||
      type > static_cast<std::uint64_t>(LockType::kExclusive) ||
      lock.range.begin >= lock.range.end || lock.range.end > kLockEndMax) {
    in.set_bad();
  }
  lock.file.kind = static_cast<LockKind>(kind);
  lock.type = static_cast<LockType>(type);
  return lock;
}

void get_locks(ByteReader& in, std::vector<SavedLock>& locks) {
  const std::uint64_t count = in.get_u64();
  if (count > kLocksPerSessionMax + kLockWaitsPerSessionMax) in.set_bad();
  for (std::uint64_t i = 0; i < count && in.is_ok(); ++i) locks.push_back(get_lock(in));
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
  out.put(session.locks.size());
  for (const SavedLock& lock : session.locks) put_lock(out, lock);
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
  get_locks(in, session.locks);
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

template <class IsOver>
std::vector<SavedSession> SavedSessions::drop_if(IsOver is_over) {
  std::vector<SavedSession> dropped;
  std::erase_if(*entries_.lock(), [&](auto& entry) {
    if (!is_over(entry.second)) return false;
    dropped.push_back(std::move(entry.second.session));
    return true;
  });
  return dropped;
}

std::vector<SavedSession> SavedSessions::drop_expired(Clock::time_point now) {
  return drop_if([now](const Entry& entry) { return entry.expires <= now; });
}

std::vector<SavedSession> SavedSessions::drop_of_client(const std::string& account,
                                                        const std::string& client_id) {
  return drop_if([&](const Entry& entry) {
    return entry.session.account == account && entry.session.client_id == client_id;
  });
}

std::vector<SavedSession> SavedSessions::of_account(const std::string& account) {
  std::vector<SavedSession> sessions;
  const auto entries = entries_.lock();
  for (const auto& [key, entry] : *entries) {
    if (entry.session.account == account) sessions.push_back(entry.session);
  }
  return sessions;
}

std::vector<SavedSession> SavedSessions::take_all() {
  std::vector<SavedSession> sessions;
  const auto entries = entries_.lock();
  for (auto& [key, entry] : *entries) sessions.push_back(std::move(entry.session));
  entries->clear();
  return sessions;
}

}  // namespace homefs

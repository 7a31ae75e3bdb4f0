// What is said before and around a session: hello, login, re-joining, device tokens, goodbye. The
// bodies of these frames are JSON objects; PROTOCOL.md sections "Hello" and "Login" describe each.
//
// encode_json() makes a frame's body. decode_json<T>() is strict about what it knows and ignores
// members it does not: a missing member without a default, a wrong type, a text over its limit, a
// number out of range, nesting over 8 deep or anything after the object is kProtocolError.
//
// Executor: plain data, thread-safe. Blocks: never.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/limits.h"
#include "protocol/result.h"

namespace homefs {

inline constexpr std::size_t kUserBytesMax = 64;
inline constexpr std::size_t kSoftwareBytesMax = 64;     ///< "homefs 0.1.0"
inline constexpr std::size_t kClientIdBytesMax = 64;     ///< chosen by the client
inline constexpr std::size_t kDeviceNameBytesMax = 64;   ///< shown to the user in lists
inline constexpr std::size_t kTokenIdBytesMax = 32;      ///< chosen by the server
inline constexpr std::size_t kTokenSecretBytesMax = 64;  ///< a password like any other
inline constexpr std::size_t kSubdirBytesMax = 1024;
inline constexpr std::size_t kScramBytesMax = 1024;    ///< one SCRAM message
inline constexpr std::size_t kVerifierBytesMax = 256;  ///< "SCRAM-SHA-256$..."
inline constexpr std::size_t kRefusalTextBytesMax = 512;
inline constexpr std::size_t kMechanismsMax = 8;
inline constexpr std::size_t kTokensListedMax = 64;  ///< of one account; the list fits one frame
inline constexpr std::uint32_t kBulkConnectionsMax = 8;

/// The only mechanism of version 1.
inline constexpr const char* kMechanismScramPlus = "SCRAM-SHA-256-PLUS";

using SessionId = std::array<std::byte, 16>;      ///< hex in JSON; not secret
using SessionSecret = std::array<std::byte, 32>;  ///< base64 in JSON; proves the session

/// kHello: the first frame of a connection.
struct Hello {
  std::uint16_t version_min = kProtocolVersion;
  std::uint16_t version_max = kProtocolVersion;
  std::string software;
  std::vector<std::string> mechanisms{kMechanismScramPlus};

  bool operator==(const Hello&) const = default;
};

struct HelloReply {
  std::uint16_t version = kProtocolVersion;  ///< that is spoken from now on
  std::string software;
  std::vector<std::string> mechanisms{kMechanismScramPlus};

  bool operator==(const HelloReply&) const = default;
};

/// kAuthStart. Whose secret is proven: the user's password, or a device token of theirs.
struct AuthStart {
  std::string user;
  std::string token_id;  ///< empty: the password
  std::string scram;     ///< client-first message

  bool operator==(const AuthStart&) const = default;
};

struct AuthStartReply {
  std::string scram;  ///< server-first message
  /// The secret known to the server is the MD5 of the password, of the old system: the client
  /// proves that, and sends a verifier of the password itself with kAuthFinish.
  bool is_prehashed = false;

  bool operator==(const AuthStartReply&) const = default;
};

/// kAuthFinish.
struct AuthFinish {
  std::string scram;      ///< client-final message
  std::string client_id;  ///< the same for one mount profile on one machine
  std::string device;     ///< how the user calls this machine
  bool wants_token = false;
  std::string subdir;        ///< the folder of the home to mount, "a/b"; empty: all of it
  std::string new_verifier;  ///< after is_prehashed: replaces the MD5 when the login succeeds

  bool operator==(const AuthFinish&) const = default;
};

/// What the client has to know of the home it has mounted.
struct HomeInfo {
  std::uint64_t root_inode = 0;
  std::uint32_t uid = 0;  ///< of the process that owns the files on the server
  std::uint32_t gid = 0;
  bool preserves_owners = false;  ///< numeric owners are kept, for idmap=none
  bool is_read_only = false;
  std::uint64_t quota_bytes = 0;  ///< 0: none
  std::uint64_t quota_files = 0;  ///< 0: none

  bool operator==(const HomeInfo&) const = default;
};

/// A device token as it is handed out, once.
struct TokenGrant {
  std::string id;
  std::string secret;

  bool operator==(const TokenGrant&) const = default;
};

struct AuthFinishReply {
  std::string scram;  ///< server-final message; the client checks it before it believes the rest
  SessionId session_id{};
  SessionSecret session_secret{};
  std::uint64_t incarnation = 0;       ///< of the server process: differs after a restart
  std::uint64_t boot = 0;              ///< of its machine: differs when that was off; 0: unknown
  std::uint32_t keepalive_s = 0;       ///< the client pings when it was silent for this long
  std::uint32_t linger_s = 0;          ///< how long the session outlives its connections
  std::uint32_t bulk_connections = 0;  ///< how many the server takes for this session
  HomeInfo home;
  std::optional<TokenGrant> token;  ///< when wants_token

  bool operator==(const AuthFinishReply&) const = default;
};

enum class ConnectionKind : std::uint8_t { kControl, kBulk };

/// kResume: a new connection joins a session. `proof` is resume_proof() of scram_crypto.h.
struct Resume {
  SessionId session_id{};
  std::array<std::byte, 32> proof{};
  ConnectionKind kind = ConnectionKind::kControl;
  std::uint64_t seq_done = 0;  ///< replies up to here have arrived
  /// Of a bulk connection, 1 to bulk_connections: it takes the place of the one that had this
  /// number, from which the server takes nothing more. 0: any free place.
  std::uint32_t place = 0;

  bool operator==(const Resume&) const = default;
};

struct ResumeReply {
  std::uint64_t incarnation = 0;
  std::uint64_t boot = 0;         ///< as in AuthFinishReply
  std::uint64_t seq_applied = 0;  ///< requests up to here were applied; what follows is resent
  bool missed_events = false;     ///< kControl: whatever was cached is void
  std::uint64_t order = 0;        ///< kControl: of now; see Attributes::order

  bool operator==(const ResumeReply&) const = default;
};

enum class TokenAction : std::uint8_t { kMake, kRevoke, kList };

/// kToken, in a session.
struct TokenRequest {
  TokenAction action = TokenAction::kList;
  std::string name;  ///< kMake: of the device
  std::string id;    ///< kRevoke

  bool operator==(const TokenRequest&) const = default;
};

struct TokenInfo {
  std::string id;
  std::string name;
  std::uint64_t created = 0;    ///< seconds since 1970
  std::uint64_t last_used = 0;  ///< seconds since 1970; 0 = never

  bool operator==(const TokenInfo&) const = default;
};

struct TokenReply {
  std::optional<TokenGrant> made;  ///< kMake
  std::vector<TokenInfo> tokens;   ///< kList

  bool operator==(const TokenReply&) const = default;
};

/// kGoodbye, and its reply.
struct Goodbye {
  bool operator==(const Goodbye&) const = default;
};

/// The body of a reply whose status refuses any of the above.
struct Refusal {
  std::string text;                 ///< for the user; may be empty
  std::uint32_t retry_after_s = 0;  ///< kLockedOut, kTooManySessions; 0: not known

  bool operator==(const Refusal&) const = default;
};

/// For exactly the structs above that are a body: not for HomeInfo, TokenGrant and TokenInfo.
template <class Message>
std::vector<std::byte> encode_json(const Message& message);

template <class Message>
Result<Message> decode_json(std::span<const std::byte> body);

extern template std::vector<std::byte> encode_json(const Hello&);
extern template Result<Hello> decode_json<Hello>(std::span<const std::byte>);
extern template std::vector<std::byte> encode_json(const HelloReply&);
extern template Result<HelloReply> decode_json<HelloReply>(std::span<const std::byte>);
extern template std::vector<std::byte> encode_json(const AuthStart&);
extern template Result<AuthStart> decode_json<AuthStart>(std::span<const std::byte>);
extern template std::vector<std::byte> encode_json(const AuthStartReply&);
extern template Result<AuthStartReply> decode_json<AuthStartReply>(std::span<const std::byte>);
extern template std::vector<std::byte> encode_json(const AuthFinish&);
extern template Result<AuthFinish> decode_json<AuthFinish>(std::span<const std::byte>);
extern template std::vector<std::byte> encode_json(const AuthFinishReply&);
extern template Result<AuthFinishReply> decode_json<AuthFinishReply>(std::span<const std::byte>);
extern template std::vector<std::byte> encode_json(const Resume&);
extern template Result<Resume> decode_json<Resume>(std::span<const std::byte>);
extern template std::vector<std::byte> encode_json(const ResumeReply&);
extern template Result<ResumeReply> decode_json<ResumeReply>(std::span<const std::byte>);
extern template std::vector<std::byte> encode_json(const TokenRequest&);
extern template Result<TokenRequest> decode_json<TokenRequest>(std::span<const std::byte>);
extern template std::vector<std::byte> encode_json(const TokenReply&);
extern template Result<TokenReply> decode_json<TokenReply>(std::span<const std::byte>);
extern template std::vector<std::byte> encode_json(const Goodbye&);
extern template Result<Goodbye> decode_json<Goodbye>(std::span<const std::byte>);
extern template std::vector<std::byte> encode_json(const Refusal&);
extern template Result<Refusal> decode_json<Refusal>(std::span<const std::byte>);

}  // namespace homefs

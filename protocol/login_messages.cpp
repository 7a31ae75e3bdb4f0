#include "protocol/login_messages.h"

#include "protocol/login_json.h"

namespace homefs {
namespace {

constexpr std::array kKindNames{"control", "bulk"};
constexpr std::array kActionNames{"make", "revoke", "list"};
constexpr std::size_t kMechanismBytesMax = 32;

}  // namespace

// One line a member. `m` is const when it is written, and is filled in when it is read.

template <>
struct JsonMembers<Hello> {
  static void visit(auto& archive, auto& m) {
    archive.number("version_min", m.version_min);
    archive.number("version_max", m.version_max);
    archive.text("software", m.software, kSoftwareBytesMax);
    archive.texts("mechanisms", m.mechanisms, kMechanismsMax, kMechanismBytesMax);
  }
};

template <>
struct JsonMembers<HelloReply> {
  static void visit(auto& archive, auto& m) {
    archive.number("version", m.version);
    archive.text("software", m.software, kSoftwareBytesMax);
    archive.texts("mechanisms", m.mechanisms, kMechanismsMax, kMechanismBytesMax);
  }
};

template <>
struct JsonMembers<AuthStart> {
  static void visit(auto& archive, auto& m) {
    archive.text("user", m.user, kUserBytesMax);
    archive.optional_text("token", m.token_id, kTokenIdBytesMax);
    archive.text("scram", m.scram, kScramBytesMax);
  }
};

template <>
struct JsonMembers<AuthStartReply> {
  static void visit(auto& archive, auto& m) {
    archive.text("scram", m.scram, kScramBytesMax);
    archive.flag("prehashed", m.is_prehashed);
  }
};

template <>
struct JsonMembers<AuthFinish> {
  static void visit(auto& archive, auto& m) {
    archive.text("scram", m.scram, kScramBytesMax);
    archive.text("client", m.client_id, kClientIdBytesMax);
    archive.optional_text("device", m.device, kDeviceNameBytesMax);
    archive.flag("wants_token", m.wants_token);
    archive.optional_text("subdir", m.subdir, kSubdirBytesMax);
    archive.optional_text("new_verifier", m.new_verifier, kVerifierBytesMax);
  }
};

template <>
struct JsonMembers<HomeInfo> {
  static void visit(auto& archive, auto& m) {
    archive.number("root_inode", m.root_inode);
    archive.number("uid", m.uid);
    archive.number("gid", m.gid);
    archive.flag("preserves_owners", m.preserves_owners);
    archive.flag("read_only", m.is_read_only);
    archive.optional_number("quota_bytes", m.quota_bytes);
    archive.optional_number("quota_files", m.quota_files);
  }
};

template <>
struct JsonMembers<TokenGrant> {
  static void visit(auto& archive, auto& m) {
    archive.text("id", m.id, kTokenIdBytesMax);
    archive.text("secret", m.secret, kTokenSecretBytesMax);
  }
};

template <>
struct JsonMembers<AuthFinishReply> {
  static void visit(auto& archive, auto& m) {
    archive.text("scram", m.scram, kScramBytesMax);
    archive.hex("session", m.session_id);
    archive.base64("secret", m.session_secret);
    archive.number("incarnation", m.incarnation);
    archive.optional_number("boot", m.boot);
    archive.number("keepalive_s", m.keepalive_s);
    archive.number("linger_s", m.linger_s);
    archive.number("bulk_connections", m.bulk_connections);
    archive.object("home", m.home);
    archive.optional_object("token", m.token);
  }
};

template <>
struct JsonMembers<Resume> {
  static void visit(auto& archive, auto& m) {
    archive.hex("session", m.session_id);
    archive.base64("proof", m.proof);
    archive.choice("kind", m.kind, kKindNames);
    archive.optional_number("seq_done", m.seq_done);
    archive.optional_number("place", m.place);
  }
};

template <>
struct JsonMembers<ResumeReply> {
  static void visit(auto& archive, auto& m) {
    archive.number("incarnation", m.incarnation);
    archive.optional_number("boot", m.boot);
    archive.optional_number("seq_applied", m.seq_applied);
    archive.flag("missed_events", m.missed_events);
    archive.optional_number("order", m.order);
  }
};

template <>
struct JsonMembers<TokenRequest> {
  static void visit(auto& archive, auto& m) {
    archive.choice("action", m.action, kActionNames);
    archive.optional_text("name", m.name, kDeviceNameBytesMax);
    archive.optional_text("id", m.id, kTokenIdBytesMax);
  }
};

template <>
struct JsonMembers<TokenInfo> {
  static void visit(auto& archive, auto& m) {
    archive.text("id", m.id, kTokenIdBytesMax);
    archive.text("name", m.name, kDeviceNameBytesMax);
    archive.number("created", m.created);
    archive.optional_number("last_used", m.last_used);
  }
};

template <>
struct JsonMembers<TokenReply> {
  static void visit(auto& archive, auto& m) {
    archive.optional_object("made", m.made);
    archive.objects("tokens", m.tokens, kTokensListedMax);
  }
};

template <>
struct JsonMembers<Goodbye> {
  static void visit(auto&, auto&) {}
};

template <>
struct JsonMembers<Refusal> {
  static void visit(auto& archive, auto& m) {
    archive.optional_text("text", m.text, kRefusalTextBytesMax);
    archive.optional_number("retry_after_s", m.retry_after_s);
  }
};

template <class Message>
std::vector<std::byte> encode_json(const Message& message) {
  JsonWriter writer;
  JsonMembers<Message>::visit(writer, message);
  return writer.bytes();
}

template <class Message>
Result<Message> decode_json(std::span<const std::byte> body) {
  auto reader = JsonReader::parse(body);
  if (!reader) return std::unexpected(reader.error());
  Message message;
  JsonMembers<Message>::visit(*reader, message);
  if (!reader->problem().empty()) return fail(Status::kProtocolError, reader->problem());
  return message;
}

template std::vector<std::byte> encode_json(const Hello&);
template Result<Hello> decode_json<Hello>(std::span<const std::byte>);
template std::vector<std::byte> encode_json(const HelloReply&);
template Result<HelloReply> decode_json<HelloReply>(std::span<const std::byte>);
template std::vector<std::byte> encode_json(const AuthStart&);
template Result<AuthStart> decode_json<AuthStart>(std::span<const std::byte>);
template std::vector<std::byte> encode_json(const AuthStartReply&);
template Result<AuthStartReply> decode_json<AuthStartReply>(std::span<const std::byte>);
template std::vector<std::byte> encode_json(const AuthFinish&);
template Result<AuthFinish> decode_json<AuthFinish>(std::span<const std::byte>);
template std::vector<std::byte> encode_json(const AuthFinishReply&);
template Result<AuthFinishReply> decode_json<AuthFinishReply>(std::span<const std::byte>);
template std::vector<std::byte> encode_json(const Resume&);
template Result<Resume> decode_json<Resume>(std::span<const std::byte>);
template std::vector<std::byte> encode_json(const ResumeReply&);
template Result<ResumeReply> decode_json<ResumeReply>(std::span<const std::byte>);
template std::vector<std::byte> encode_json(const TokenRequest&);
template Result<TokenRequest> decode_json<TokenRequest>(std::span<const std::byte>);
template std::vector<std::byte> encode_json(const TokenReply&);
template Result<TokenReply> decode_json<TokenReply>(std::span<const std::byte>);
template std::vector<std::byte> encode_json(const Goodbye&);
template Result<Goodbye> decode_json<Goodbye>(std::span<const std::byte>);
template std::vector<std::byte> encode_json(const Refusal&);
template Result<Refusal> decode_json<Refusal>(std::span<const std::byte>);

}  // namespace homefs

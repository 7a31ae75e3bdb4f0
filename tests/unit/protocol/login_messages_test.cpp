#include "protocol/login_messages.h"

#include <gtest/gtest.h>

namespace homefs {
namespace {

std::string text_of(const std::vector<std::byte>& body) {
  return {reinterpret_cast<const char*>(body.data()), body.size()};
}

template <class Message>
Result<Message> decode_text(std::string_view text) {
  return decode_json<Message>(std::as_bytes(std::span(text)));
}

template <class Message>
void expect_round_trip(const Message& message) {
  const auto body = encode_json(message);
  const auto decoded = decode_json<Message>(body);
  ASSERT_TRUE(decoded) << decoded.error().message() << " " << text_of(body);
  EXPECT_EQ(*decoded, message) << text_of(body);
}

template <class Message>
void expect_refused(std::string_view text) {
  const auto decoded = decode_text<Message>(text);
  ASSERT_FALSE(decoded) << text;
  EXPECT_EQ(decoded.error().status, Status::kProtocolError);
}

SessionId session_id() {
  SessionId id;
  for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::byte>(i * 17);
  return id;
}

AuthFinishReply full_reply() {
  AuthFinishReply reply{.scram = "v=x", .session_id = session_id(), .incarnation = ~0ull};
  reply.session_secret.fill(std::byte{0xab});
  reply.keepalive_s = 10;
  reply.linger_s = 600;
  reply.bulk_connections = 2;
  reply.home = {.root_inode = 1ull << 63,
                .uid = 1000,
                .gid = 0xffffffff,
                .preserves_owners = true,
                .is_read_only = true,
                .quota_bytes = 1,
                .quota_files = 2};
  reply.token = TokenGrant{"id", "secret"};
  return reply;
}

TEST(LoginMessages, SurviveTheWireWithEveryMemberSet) {
  expect_round_trip(Hello{1, 65535, "homefs 0.1.0", {"A", "B"}});
  expect_round_trip(HelloReply{7, "homefsd 0.1.0", {"A"}});
  expect_round_trip(AuthStart{"älice", "token", "p=..."});
  expect_round_trip(AuthStartReply{"r=...", true});
  expect_round_trip(AuthFinish{"c=...", "client", "Alice's \"laptop\"", true, "a/b", "SCRAM"});
  expect_round_trip(full_reply());
  Resume resume{.session_id = session_id(), .kind = ConnectionKind::kBulk, .seq_done = ~0ull};
  resume.proof.fill(std::byte{0xff});
  expect_round_trip(resume);
  expect_round_trip(ResumeReply{~0ull, 5});
  expect_round_trip(TokenRequest{TokenAction::kMake, "laptop", "id"});
  expect_round_trip(TokenReply{TokenGrant{"a", "b"}, {{"a", "laptop", 1, 2}, {"c", "", 3, 0}}});
  expect_round_trip(Refusal{"no", 30});
}

TEST(LoginMessages, SurviveTheWireWithEveryMemberAtItsDefault) {
  expect_round_trip(Hello{});
  expect_round_trip(HelloReply{});
  expect_round_trip(AuthStart{});
  expect_round_trip(AuthStartReply{});
  expect_round_trip(AuthFinish{});
  expect_round_trip(AuthFinishReply{});
  expect_round_trip(Resume{});
  expect_round_trip(ResumeReply{});
  expect_round_trip(TokenRequest{});
  expect_round_trip(TokenReply{});
  expect_round_trip(Goodbye{});
  expect_round_trip(Refusal{});
}

TEST(LoginMessages, AreTheJsonOfTheSpecification) {
  EXPECT_EQ(text_of(encode_json(Hello{1, 1, "homefs 0.1.0", {"SCRAM-SHA-256-PLUS"}})),
            R"({"mechanisms":["SCRAM-SHA-256-PLUS"],"software":"homefs 0.1.0",)"
            R"("version_max":1,"version_min":1})");
  EXPECT_EQ(text_of(encode_json(AuthStartReply{"r=x", true})),
            R"({"prehashed":true,"scram":"r=x"})");
  EXPECT_EQ(text_of(encode_json(Resume{.session_id = session_id()})),
            R"({"kind":"control","proof":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",)"
            R"("session":"00112233445566778899aabbccddeeff"})");
  EXPECT_EQ(text_of(encode_json(Goodbye{})), "{}");
}

TEST(LoginMessages, IgnoreMembersTheyDoNotKnow) {
  const auto start = decode_text<AuthStart>(
      R"({"user":"alice","scram":"x","later":{"version":[1,2,{"a":null}]},"x":1e300})");
  ASSERT_TRUE(start);
  EXPECT_EQ(start->user, "alice");
}

TEST(LoginMessages, RefuseWhatIsNotOneObject) {
  for (const std::string_view text :
       {"", "null", "[]", "1", "\"x\"", "{", "{}}", "{} {}", "{'a':1}", "{\"a\":1,}", "\xff",
        "{\"a\":\"\xff\"}", "// c\n{}"}) {
    expect_refused<Goodbye>(text);
  }
}

TEST(LoginMessages, RefuseDeepNesting) {
  std::string nested = "1";
  for (int i = 0; i < 6; ++i) nested = "[" + nested + "]";
  EXPECT_TRUE(decode_text<Goodbye>("{\"x\":" + nested + "}"));
  for (int i = 0; i < 4000; ++i) nested = "[" + nested + "]";
  expect_refused<Goodbye>("{\"x\":" + nested + "}");
}

TEST(LoginMessages, RefuseMissingMembers) {
  expect_refused<AuthStart>(R"({"user":"alice"})");
  expect_refused<AuthStart>(R"({"scram":"x"})");
  expect_refused<Hello>(R"({"version_min":1,"version_max":1,"software":"x"})");
  expect_refused<ResumeReply>("{}");
}

TEST(LoginMessages, RefuseWrongTypes) {
  expect_refused<AuthStart>(R"({"user":1,"scram":"x"})");
  expect_refused<AuthStart>(R"({"user":null,"scram":"x"})");
  expect_refused<AuthStart>(R"({"user":"alice","scram":"x","token":{}})");
  expect_refused<AuthStartReply>(R"({"scram":"x","prehashed":1})");
  expect_refused<AuthStartReply>(R"({"scram":"x","prehashed":"true"})");
  expect_refused<ResumeReply>(R"({"incarnation":"1"})");
  expect_refused<ResumeReply>(R"({"incarnation":-1})");
  expect_refused<ResumeReply>(R"({"incarnation":1.0})");
  expect_refused<ResumeReply>(R"({"incarnation":18446744073709551616})");
  expect_refused<Hello>(R"({"version_min":1,"version_max":65536,"software":"","mechanisms":[]})");
  expect_refused<Hello>(R"({"version_min":1,"version_max":1,"software":"","mechanisms":{}})");
  expect_refused<Hello>(R"({"version_min":1,"version_max":1,"software":"","mechanisms":[1]})");
  expect_refused<TokenReply>(R"({"made":1})");
  expect_refused<TokenReply>(R"({"tokens":{}})");
  expect_refused<TokenReply>(R"({"tokens":[1]})");
  expect_refused<TokenReply>(R"({"tokens":[{"id":"a"}]})");
  expect_refused<TokenRequest>(R"({"action":"steal"})");
}

TEST(LoginMessages, RefuseBytesThatAreNotTheirLength) {
  const std::string proof = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  const std::string session = "00112233445566778899aabbccddeeff";
  const auto resume = [](const std::string& id, const std::string& bytes) {
    return R"({"session":")" + id + R"(","proof":")" + bytes + R"(","kind":"bulk"})";
  };
  EXPECT_TRUE(decode_text<Resume>(resume(session, proof)));
  expect_refused<Resume>(resume(session.substr(2), proof));
  expect_refused<Resume>(resume(session + "00", proof));
  expect_refused<Resume>(resume("0011223344556677889AABBCCDDEEFF0", proof));
  expect_refused<Resume>(resume(session, "AAAA"));
  expect_refused<Resume>(resume(session, proof.substr(1) + "A"));
}

TEST(LoginMessages, RefuseTextsOverTheirLimit) {
  const auto with_user = [](std::size_t bytes) {
    return R"({"scram":"x","user":")" + std::string(bytes, 'u') + "\"}";
  };
  EXPECT_TRUE(decode_text<AuthStart>(with_user(kUserBytesMax)));
  expect_refused<AuthStart>(with_user(kUserBytesMax + 1));
  expect_refused<AuthStart>(R"({"scram":"x","user":"a\u0000b"})");
  Hello hello;
  hello.mechanisms.assign(kMechanismsMax + 1, "X");
  expect_refused<Hello>(text_of(encode_json(hello)));
  hello.mechanisms.assign(1, std::string(33, 'X'));
  expect_refused<Hello>(text_of(encode_json(hello)));
  TokenReply tokens;
  tokens.tokens.resize(kTokensListedMax + 1);
  expect_refused<TokenReply>(text_of(encode_json(tokens)));
}

TEST(LoginMessages, FitTheFramesBeforeALoginAtTheirLongest) {
  const AuthFinish finish{.scram = std::string(kScramBytesMax, 'x'),
                          .client_id = std::string(kClientIdBytesMax, 'x'),
                          .device = std::string(kDeviceNameBytesMax, 'x'),
                          .wants_token = true,
                          .subdir = std::string(kSubdirBytesMax, 'x'),
                          .new_verifier = std::string(kVerifierBytesMax, 'x')};
  EXPECT_LE(encode_json(finish).size(), kLoginBodyBytesMax);
  AuthFinishReply reply = full_reply();
  reply.scram.assign(kScramBytesMax, 'x');
  EXPECT_LE(encode_json(reply).size(), kLoginBodyBytesMax);
}

TEST(LoginMessages, ReplaceWhatIsNotUtf8InsteadOfFailing) {
  const auto body = encode_json(AuthFinish{.device = "caf\xe9"});
  EXPECT_EQ(decode_json<AuthFinish>(body)->device, "caf\xef\xbf\xbd");
}

}  // namespace
}  // namespace homefs

// Login, SCRAM and the proof of a session against the vectors made from PROTOCOL.md.
#include <gtest/gtest.h>

#include <map>

#include "protocol/base64.h"
#include "protocol/login_messages.h"
#include "protocol/scram.h"
#include "protocol/scram_crypto.h"
#include "tests/support/protocol/vector_file.h"

namespace homefs::testing {
namespace {

/// The text of the message in `body`, encoded again; or the status that refuses it.
using Recode = std::string (*)(std::span<const std::byte> body);

template <class Message>
std::string recode(std::span<const std::byte> body) {
  const Result<Message> message = decode_json<Message>(body);
  if (!message) return std::to_string(static_cast<int>(message.error().status));
  return text_of_bytes(encode_json(*message));
}

#define HOMEFS_RECODE(Message) {#Message, recode<Message>}

const std::map<std::string, Recode>& recoders() {
  static const std::map<std::string, Recode> instance = {
      HOMEFS_RECODE(Hello),          HOMEFS_RECODE(HelloReply),  HOMEFS_RECODE(AuthStart),
      HOMEFS_RECODE(AuthStartReply), HOMEFS_RECODE(AuthFinish),  HOMEFS_RECODE(AuthFinishReply),
      HOMEFS_RECODE(Resume),         HOMEFS_RECODE(ResumeReply), HOMEFS_RECODE(TokenRequest),
      HOMEFS_RECODE(TokenReply),     HOMEFS_RECODE(Refusal)};
  return instance;
}

TEST(LoginVectors, AreUnderstoodAndSaidAgain) {
  std::map<std::string, int> seen;
  for (const VectorLine& line : read_vectors("login")) {
    if (line[0] != "json") continue;
    ASSERT_TRUE(recoders().contains(line.at(1))) << line[1];
    const std::string text = from_hex_text(line.at(2));
    EXPECT_EQ(recoders().at(line[1])(bytes_of(text)), text) << line[1];
    ++seen[line[1]];
  }
  EXPECT_EQ(seen.size(), recoders().size());
}

TEST(LoginVectors, OfWhatIsNoMessageAreRefused) {
  int refused = 0;
  for (const VectorLine& line : read_vectors("login")) {
    if (line[0] != "refused") continue;
    const std::string text = from_hex_text(line.at(2));
    EXPECT_EQ(recoders().at(line.at(1))(bytes_of(text)), "800") << line[1] << " " << text;
    ++refused;
  }
  EXPECT_GT(refused, 10);
}

// An exchange: its values by their names.
using Exchange = std::map<std::string, std::string>;

std::vector<Exchange> exchanges() {
  std::vector<Exchange> list;
  for (const VectorLine& line : read_vectors("scram")) {
    if (line[0] == "scram") {
      list.push_back({{"iterations", line.at(1)}});
    } else if (line[0] != "resume") {
      list.back()[line[0]] = from_hex_text(line.at(1));
    }
  }
  return list;
}

std::string base64_of(const Sha256Digest& digest) { return to_base64(digest); }

std::uint32_t iterations_of(const Exchange& exchange) {
  return static_cast<std::uint32_t>(std::stoul(exchange.at("iterations")));
}

TEST(ScramVectors, HaveTheVerifiersThatWeMake) {
  for (const Exchange& exchange : exchanges()) {
    const ScramVerifier verifier = make_verifier_with_salt(
        exchange.at("password"), iterations_of(exchange), bytes_of(exchange.at("salt")));
    EXPECT_EQ(verifier.to_string(), exchange.at("verifier"));
    const auto parsed = ScramVerifier::parse(exchange.at("verifier"));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(*parsed, verifier);
  }
}

TEST(ScramVectors, HaveTheProofsAndSignaturesThatWeMake) {
  int count = 0;
  for (const Exchange& exchange : exchanges()) {
    const ScramKeys keys = derive_scram_keys(exchange.at("password"), iterations_of(exchange),
                                             bytes_of(exchange.at("salt")));
    const std::string& auth_message = exchange.at("auth_message");
    const Sha256Digest proof = scram_client_proof(keys, auth_message);
    EXPECT_TRUE(exchange.at("client_final").ends_with(",p=" + base64_of(proof)));
    EXPECT_TRUE(is_client_proof(proof, keys.stored_key, auth_message));
    EXPECT_EQ(exchange.at("server_final"),
              "v=" + base64_of(scram_server_signature(keys.server_key, auth_message)));
    ++count;
  }
  EXPECT_GE(count, 4);
}

ChannelBinding binding_of(const Exchange& exchange) {
  ChannelBinding binding{};
  HOMEFS_CHECK(exchange.at("binding").size() == binding.size());
  std::ranges::copy(bytes_of(exchange.at("binding")), binding.begin());
  return binding;
}

TEST(ScramVectors, HaveFirstMessagesThatWeSayAndUnderstand) {
  for (const Exchange& exchange : exchanges()) {
    const auto server = ScramServer::begin(exchange.at("client_first"), binding_of(exchange));
    ASSERT_TRUE(server) << server.error().message();
    EXPECT_EQ(server->user(), exchange.at("user"));

    const auto client =
        ScramClient::make(exchange.at("user"), exchange.at("password"), binding_of(exchange));
    ASSERT_TRUE(client);
    // All but the nonce, which is random.
    const std::string& expected = exchange.at("client_first");
    const std::string beginning = expected.substr(0, expected.find(",r=") + 3);
    EXPECT_TRUE(client->first_message().starts_with(beginning)) << client->first_message();
  }
}

TEST(ScramVectors, HaveTheMd5ThatStandsInForAPasswordOfTheOldSystem) {
  int prehashed = 0;
  for (const Exchange& exchange : exchanges()) {
    if (exchange.at("prehashed").empty()) continue;
    EXPECT_EQ(prehash_md5(exchange.at("prehashed")), exchange.at("password"));
    ++prehashed;
  }
  EXPECT_EQ(prehashed, 1);
}

TEST(ResumeVectors, HaveTheProofsThatWeMake) {
  int proofs = 0;
  for (const VectorLine& line : read_vectors("scram")) {
    if (line[0] != "resume") continue;
    SessionSecret secret{};
    ChannelBinding binding{};
    const std::string secret_text = from_hex_text(line.at(2));
    const std::string binding_text = from_hex_text(line.at(3));
    std::ranges::copy(bytes_of(secret_text), secret.begin());
    std::ranges::copy(bytes_of(binding_text), binding.begin());
    const auto kind = line.at(1) == "bulk" ? ConnectionKind::kBulk : ConnectionKind::kControl;
    EXPECT_EQ(to_hex_text(text_of_bytes(resume_proof(secret, binding, kind))), line.at(4));
    ++proofs;
  }
  EXPECT_EQ(proofs, 2);
}

}  // namespace
}  // namespace homefs::testing

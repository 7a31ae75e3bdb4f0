#include "protocol/scram.h"

#include <gtest/gtest.h>
#include "protocol/base64.h"

namespace homefs {
namespace {

// The least that is allowed: these tests are about the exchange, not about what it costs.
constexpr std::uint32_t kIterations = kScramIterationsMin;

ChannelBinding binding_of(int number) {
  ChannelBinding binding;
  binding.fill(static_cast<std::byte>(number));
  return binding;
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

ScramAccount account_of(std::string_view password) {
  return {*make_verifier(password, kIterations), false, true};
}

struct Outcome {
  Result<std::string> server;  // its final message
  Result<void> client;
};

/// A whole login; the two ends may disagree about anything.
Outcome log_in(std::string_view password, const ScramAccount& account,
               const ChannelBinding& client_binding = binding_of(1),
               const ChannelBinding& server_binding = binding_of(1)) {
  auto client = ScramClient::make("alice", password, client_binding);
  if (!client) return {std::unexpected(client.error()), std::unexpected(client.error())};
  auto server = ScramServer::begin(client->first_message(), server_binding);
  if (!server) return {std::unexpected(server.error()), {}};
  EXPECT_EQ(server->user(), "alice");
  const std::string first = server->first_reply(account);
  auto final = client->final_message(first, account.is_prehashed);
  if (!final) return {std::unexpected(final.error()), std::unexpected(final.error())};
  auto reply = server->finish(*final);
  if (!reply) return {reply, {}};
  return {reply, client->check_server_final(*reply)};
}

Status status_of(const Result<std::string>& result) {
  return result ? Status::kOk : result.error().status;
}

// --- the arithmetic ----------------------------------------------------------------------------

TEST(ScramCrypto, EqualsTheVectorOfRfc7677) {
  const auto salt = from_base64("W22ZaJ0SNY7soEsUEjb6gQ==");
  const ScramKeys keys = derive_scram_keys("pencil", 4096, *salt);
  const std::string auth_message =
      "n=user,r=rOprNGfwEbeRWgbNEkqO,"
      "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
      "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
  const Sha256Digest proof = scram_client_proof(keys, auth_message);
  EXPECT_EQ(to_base64(proof), "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
  EXPECT_EQ(to_base64(scram_server_signature(keys.server_key, auth_message)),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  EXPECT_TRUE(is_client_proof(proof, keys.stored_key, auth_message));
  EXPECT_FALSE(is_client_proof(proof, keys.stored_key, auth_message + "x"));
}

TEST(ScramCrypto, PrehashesAsTheOldSystemDid) {
  EXPECT_EQ(prehash_md5("password"), "5f4dcc3b5aa765d61d8327deb882cf99");
  EXPECT_EQ(prehash_md5(""), "d41d8cd98f00b204e9800998ecf8427e");
}

TEST(ScramCrypto, BindsTheProofOfASessionToConnectionAndKind) {
  SessionSecret secret{};
  secret[0] = std::byte{1};
  const auto proof = resume_proof(secret, binding_of(1), ConnectionKind::kControl);
  EXPECT_EQ(proof, resume_proof(secret, binding_of(1), ConnectionKind::kControl));
  EXPECT_NE(proof, resume_proof(secret, binding_of(2), ConnectionKind::kControl));
  EXPECT_NE(proof, resume_proof(secret, binding_of(1), ConnectionKind::kBulk));
  EXPECT_NE(proof, resume_proof(SessionSecret{}, binding_of(1), ConnectionKind::kControl));
}

TEST(ScramCrypto, ComparesWholeContents) {
  EXPECT_TRUE(are_equal(bytes_of("abc"), bytes_of("abc")));
  EXPECT_FALSE(are_equal(bytes_of("abc"), bytes_of("abd")));
  EXPECT_FALSE(are_equal(bytes_of("abc"), bytes_of("ab")));
}

TEST(Password, MayBeAnyUtf8WithoutControlCharacters) {
  for (const std::string_view good :
       {"a", "correct horse", "pässwörd", "密码", "🔑", "a,b=c", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_TRUE(check_password(good)) << good;
  }
  const std::string nul("a\0b", 3);
  for (const std::string_view bad :
       {std::string_view(""), std::string_view(nul), std::string_view("a\nb"),
        std::string_view("\x7f"), std::string_view("\xc2\x85"), std::string_view("\xff"),
        std::string_view("\xc3"), std::string_view("\xc0\x80"), std::string_view("\xed\xa0\x80"),
        std::string_view("\xf4\x90\x80\x80"), std::string_view("\xe2\x82"),
        std::string_view("\xe0\x80\x80")}) {
    EXPECT_FALSE(check_password(bad)) << bad;
  }
  EXPECT_TRUE(check_password(std::string(kPasswordBytesMax, 'x')));
  EXPECT_FALSE(check_password(std::string(kPasswordBytesMax + 1, 'x')));
}

// --- the verifier ------------------------------------------------------------------------------

TEST(ScramVerifier, HasOneText) {
  // "pencil" and the salt of RFC 7677, in the form PostgreSQL stores.
  const auto salt = from_base64("W22ZaJ0SNY7soEsUEjb6gQ==");
  const ScramVerifier verifier = make_verifier_with_salt("pencil", 4096, *salt);
  const std::string text =
      "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
      "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
  EXPECT_EQ(verifier.to_string(), text);
  EXPECT_EQ(*ScramVerifier::parse(text), verifier);
}

TEST(ScramVerifier, HasARandomSalt) {
  const auto one = make_verifier("pencil", kIterations);
  const auto other = make_verifier("pencil", kIterations);
  EXPECT_NE(one->salt, other->salt);
  EXPECT_NE(one->stored_key, other->stored_key);
  EXPECT_EQ(*ScramVerifier::parse(one->to_string()), *one);
}

TEST(ScramVerifier, RefusesTextsThatAreNone) {
  const std::string good = make_verifier("pencil", kIterations)->to_string();
  const auto replaced = [&good](std::string_view from, std::string_view to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  const std::vector<std::string> bad = {
      "",
      "SCRAM-SHA-256$",
      "5f4dcc3b5aa765d61d8327deb882cf99",
      good + "x",
      good + ":",
      good.substr(0, good.size() - 1),
      replaced("SCRAM-SHA-256$", "SCRAM-SHA-1$"),
      replaced("$4096:", "$4095:"),
      replaced("$4096:", "$04096:"),
      replaced("$4096:", "$+4096:"),
      replaced("$4096:", "$10000001:"),
      replaced("$4096:", "$99999999999999999999:"),
      replaced("$4096:", "$4096:="),
      "SCRAM-SHA-256$4096:$" + good.substr(good.rfind('$') + 1),
  };
  for (const std::string& text : bad) {
    const auto parsed = ScramVerifier::parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().status, Status::kInvalid);
  }
}

// --- the exchange ------------------------------------------------------------------------------

TEST(Scram, LogsInWithThePassword) {
  const Outcome outcome = log_in("correct horse", account_of("correct horse"));
  EXPECT_TRUE(outcome.server);
  EXPECT_TRUE(outcome.client);
}

TEST(Scram, RefusesAWrongPassword) {
  EXPECT_EQ(status_of(log_in("correct horsf", account_of("correct horse")).server),
            Status::kLoginRefused);
}

TEST(Scram, RefusesAManInTheMiddle) {
  // He has a connection to each of them, and passes on every message.
  EXPECT_EQ(status_of(log_in("secret", account_of("secret"), binding_of(1), binding_of(2)).server),
            Status::kLoginRefused);
}

TEST(Scram, TellsTheClientThatTheServerDoesNotKnowTheVerifier) {
  auto client = ScramClient::make("alice", "secret", binding_of(1));
  auto server = ScramServer::begin(client->first_message(), binding_of(1));
  const auto final = client->final_message(server->first_reply(account_of("secret")), false);
  ASSERT_TRUE(final);
  const std::string forged = "v=" + to_base64(Sha256Digest{});
  const auto checked = client->check_server_final(forged);
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().status, Status::kServerKeyChanged);
  for (const std::string_view bad : {"", "v=", "e=other-error", "v=AAAA"}) {
    EXPECT_EQ(client->check_server_final(bad).error().status, Status::kProtocolError);
  }
  const auto reply = server->finish(*final);
  ASSERT_TRUE(reply);
  EXPECT_TRUE(client->check_server_final(*reply));
  EXPECT_FALSE(client->check_server_final(*reply + ",x=y"));
}

TEST(Scram, DoesNotTakeAMessageOfAnotherLogin) {
  const ScramAccount account = account_of("secret");
  auto client = ScramClient::make("alice", "secret", binding_of(1));
  auto server = ScramServer::begin(client->first_message(), binding_of(1));
  const auto final = client->final_message(server->first_reply(account), false);
  auto replayed = ScramServer::begin(client->first_message(), binding_of(1));
  (void)replayed->first_reply(account);
  EXPECT_FALSE(replayed->finish(*final));
  EXPECT_TRUE(server->finish(*final));
}

TEST(Scram, CarriesUserNamesWithCommasAndEqualSigns) {
  auto client = ScramClient::make("a,b=c=2C", "secret", binding_of(1));
  ASSERT_TRUE(client);
  EXPECT_TRUE(client->first_message().starts_with("p=tls-exporter,,n=a=2Cb=3Dc=3D2C,r="));
  EXPECT_EQ(ScramServer::begin(client->first_message(), binding_of(1))->user(), "a,b=c=2C");
}

TEST(Scram, RefusesUsersAndPasswordsThatCannotBe) {
  EXPECT_FALSE(ScramClient::make("", "secret", binding_of(1)));
  EXPECT_FALSE(ScramClient::make("a\nb", "secret", binding_of(1)));
  EXPECT_FALSE(ScramClient::make(std::string(kUserBytesMax + 1, 'a'), "secret", binding_of(1)));
  EXPECT_FALSE(ScramClient::make("alice", "", binding_of(1)));
}

TEST(Scram, RefusesEverythingButTheBoundForm) {
  const std::string rest = "n=alice,r=0123456789abcdef";
  EXPECT_TRUE(ScramServer::begin("p=tls-exporter,," + rest, binding_of(1)));
  for (const std::string& header :
       {std::string("n,,"), std::string("y,,"), std::string("p=tls-unique,,"), std::string(""),
        std::string("p=tls-exporter,a=bob,"), std::string("p=tls-exporter,,m=x,")}) {
    const auto server = ScramServer::begin(header + rest, binding_of(1));
    ASSERT_FALSE(server) << header;
    EXPECT_EQ(server.error().status, Status::kProtocolError);
  }
}

TEST(Scram, RefusesBadFirstMessagesOfAClient) {
  for (const std::string_view rest :
       {"", "n=alice", "r=0123456789abcdef,n=alice", "n=,r=0123456789abcdef", "n=alice,r=short",
        "n=alice,r=0123456789abcde f", "n=alice,r=0123456789abcdef,x=y",
        "n=a=2Db,r=0123456789abcdef", "n=a=,r=0123456789abcdef"}) {
    EXPECT_FALSE(ScramServer::begin("p=tls-exporter,," + std::string(rest), binding_of(1))) << rest;
  }
}

TEST(Scram, RefusesBadFinalMessagesOfAClient) {
  auto client = ScramClient::make("alice", "secret", binding_of(1));
  auto server = ScramServer::begin(client->first_message(), binding_of(1));
  const std::string good = *client->final_message(server->first_reply(account_of("secret")), false);
  const std::size_t proof = good.find(",p=");
  for (const std::string& bad :
       {std::string(), good + ",x=y", good.substr(0, proof), good.substr(0, good.size() - 4),
        good.substr(good.find(",r=") + 1), good.substr(0, proof) + ",p=AAAA"}) {
    const auto reply = server->finish(bad);
    ASSERT_FALSE(reply) << bad;
    EXPECT_EQ(reply.error().status, Status::kProtocolError);
  }
  EXPECT_TRUE(server->finish(good));
}

TEST(Scram, RefusesBadFirstMessagesOfAServer) {
  auto client = ScramClient::make("alice", "secret", binding_of(1));
  const std::string first = client->first_message();
  const std::string nonce = first.substr(first.find(",r=") + 3);
  const std::string whole = nonce + "0123456789abcdef";
  EXPECT_TRUE(client->final_message("r=" + whole + ",s=AAAA,i=4096", false));
  for (const std::string& bad :
       {std::string(), "r=" + nonce + ",s=AAAA,i=4096",
        "r=0123456789abcdef" + whole + ",s=AAAA,i=4096", "r=" + whole + ",s=,i=4096",
        "r=" + whole + ",s=A,i=4096", "r=" + whole + ",s=AAAA,i=4095",
        "r=" + whole + ",s=AAAA,i=10000001", "r=" + whole + ",s=AAAA,i=x",
        "r=" + whole + ",s=AAAA,i=4096,m=x", "m=x,r=" + whole + ",s=AAAA,i=4096"}) {
    const auto final = client->final_message(bad, false);
    ASSERT_FALSE(final) << bad;
    EXPECT_EQ(final.error().status, Status::kProtocolError);
  }
}

// --- accounts of the old system, and names without an account ----------------------------------

TEST(Scram, LogsInToAnAccountOfTheOldSystem) {
  const auto secret = bytes_of("the server's secret");
  const ScramAccount account =
      prehashed_account(secret, "alice", prehash_md5("correct horse"), kIterations);
  EXPECT_TRUE(account.is_prehashed);
  const Outcome outcome = log_in("correct horse", account);
  EXPECT_TRUE(outcome.server);
  EXPECT_TRUE(outcome.client);
  EXPECT_EQ(status_of(log_in("wrong", account).server), Status::kLoginRefused);
}

TEST(Scram, TakesTheMd5ItselfForNoPassword) {
  // Who has stolen the old file must not get in by typing what it says, once it was replaced.
  const std::string md5 = prehash_md5("correct horse");
  EXPECT_EQ(status_of(log_in(md5, account_of("correct horse")).server), Status::kLoginRefused);
}

TEST(Scram, RefusesANameWithoutAccountWhateverIsProven) {
  const ScramAccount fake = fake_account(bytes_of("s"), "alice", kIterations, 0);
  EXPECT_EQ(status_of(log_in("secret", fake).server), Status::kLoginRefused);
  ScramAccount stolen = account_of("secret");
  stolen.is_known = false;
  EXPECT_EQ(status_of(log_in("secret", stolen).server), Status::kLoginRefused);
}

TEST(Scram, AnswersForANameWithoutAccountAsForOneThatHas) {
  const ScramAccount fake = fake_account(bytes_of("s"), "mallory", kIterations, 0);
  const ScramAccount again = fake_account(bytes_of("s"), "mallory", kIterations, 0);
  EXPECT_EQ(fake.verifier, again.verifier);
  EXPECT_NE(fake.verifier.salt, fake_account(bytes_of("s"), "trent", kIterations, 0).verifier.salt);
  EXPECT_NE(fake.verifier.salt,
            fake_account(bytes_of("t"), "mallory", kIterations, 0).verifier.salt);
  const ScramAccount real = account_of("secret");
  EXPECT_EQ(fake.verifier.iterations, real.verifier.iterations);
  EXPECT_EQ(fake.verifier.salt.size(), real.verifier.salt.size());
  EXPECT_FALSE(fake.is_known);
}

TEST(Scram, PretendsTheOldSystemForAShareOfTheNamesThatOnlyFalls) {
  const auto count = [](unsigned share) {
    int prehashed = 0;
    for (int i = 0; i < 512; ++i) {
      const std::string name = "user" + std::to_string(i);
      const bool is_prehashed = fake_account(bytes_of("s"), name, kIterations, share).is_prehashed;
      const bool with_more =
          fake_account(bytes_of("s"), name, kIterations, share + 64).is_prehashed;
      EXPECT_LE(is_prehashed, with_more) << name;
      prehashed += is_prehashed ? 1 : 0;
    }
    return prehashed;
  };
  EXPECT_EQ(count(0), 0);
  EXPECT_EQ(count(256), 512);
  EXPECT_NEAR(count(64), 128, 50);
}

}  // namespace
}  // namespace homefs

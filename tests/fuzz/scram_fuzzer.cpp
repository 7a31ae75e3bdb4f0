// A peer's messages through both ends of SCRAM, and a verifier from accounts.ini: nothing but the
// right proof is ever taken. The first byte says whose message it is.
#include <algorithm>
#include <cstdint>
#include <string>

#include "protocol/scram.h"

namespace {

using namespace homefs;  // NOLINT(google-build-using-namespace): a program of one file

const ChannelBinding kBinding{};

const ScramAccount& account() {
  static const ScramAccount instance{*make_verifier("secret", kScramIterationsMin), false, true};
  return instance;
}

void check_verifier(std::string_view text) {
  const auto verifier = ScramVerifier::parse(text);
  HOMEFS_CHECK(!verifier || verifier->to_string() == text);
}

void check_client_first(std::string_view text) {
  auto server = ScramServer::begin(text, kBinding);
  if (!server) return;
  HOMEFS_CHECK(!server->user().empty() && server->user().size() <= kUserBytesMax);
  // What we would have sent for this user reads the same.
  const auto client = ScramClient::make(server->user(), "secret", kBinding);
  HOMEFS_CHECK(client.has_value());
  const auto again = ScramServer::begin(client->first_message(), kBinding);
  HOMEFS_CHECK(again && again->user() == server->user());
}

/// `text` after the nonce that the fuzzer cannot know. Nobody gets in without the password.
void check_client_final(std::string_view text) {
  auto server = ScramServer::begin("p=tls-exporter,,n=alice,r=0123456789abcdef", kBinding);
  const std::string first = server->first_reply(account());
  const std::string nonce = first.substr(2, first.find(",s=") - 2);
  const std::size_t gap = std::min(text.find('@'), text.size());
  const std::string message = std::string(text.substr(0, gap)) + nonce +
                              std::string(text.substr(std::min(gap + 1, text.size())));
  HOMEFS_CHECK(!server->finish(text));
  HOMEFS_CHECK(!server->finish(message));
}

void check_server_first(std::string_view text) {
  // More rounds than this are what the limit allows, and too slow for a fuzzer.
  const std::size_t rounds = text.find(",i=");
  if (rounds != std::string_view::npos && text.size() - rounds > 7) return;
  auto client = ScramClient::make("alice", "secret", kBinding);
  const std::string first = client->first_message();
  const std::string nonce = first.substr(first.find(",r=") + 3);
  (void)client->final_message(text, false);
  if (!client->final_message("r=" + nonce + std::string(text), false)) return;
  HOMEFS_CHECK(!client->check_server_final(text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data + 1), size - 1);
  switch (data[0] & 3) {
    case 0:
      check_verifier(text);
      break;
    case 1:
      check_client_first(text);
      break;
    case 2:
      check_client_final(text);
      break;
    default:
      check_server_first(text);
      break;
  }
  return 0;
}

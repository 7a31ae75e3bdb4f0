#include "server/device_tokens.h"

#include <array>
#include <ctime>

#include "protocol/base64.h"
#include "protocol/scram_crypto.h"

namespace homefs {
namespace {

static_assert(kTokenIterations == kScramIterationsMin);
static_assert(kTokensPerAccountMax <= kTokensListedMax);

template <std::size_t kBytes>
std::string random_hex() {
  std::array<std::byte, kBytes> bytes;
  fill_random(bytes);
  return to_hex(bytes);
}

}  // namespace

Result<TokenGrant> make_device_token(StateDb& state, const std::string& account,
                                     const std::string& device) {
  TokenGrant grant{.id = random_hex<8>(), .secret = random_hex<32>()};
  const Result<ScramVerifier> verifier = make_verifier(grant.secret, kTokenIterations);
  if (!verifier) return std::unexpected(verifier.error());
  DeviceToken token;
  token.id = grant.id;
  token.account = account;
  token.label = device;
  token.verifier = verifier->to_string();
  token.created = static_cast<std::int64_t>(std::time(nullptr));
  if (Result<void> added = state.add_token(token); !added) return std::unexpected(added.error());
  return grant;
}

Result<TokenReply> handle_token_request(StateDb& state, const std::string& account,
                                        const TokenRequest& request) {
  TokenReply reply;
  switch (request.action) {
    case TokenAction::kMake: {
      Result<TokenGrant> grant = make_device_token(state, account, request.name);
      if (!grant) return std::unexpected(grant.error());
      reply.made = std::move(*grant);
      break;
    }
    case TokenAction::kRevoke:
      if (Result<void> done = state.revoke_token(account, request.id); !done) {
        return std::unexpected(done.error());
      }
      break;
    case TokenAction::kList: {
      const Result<std::vector<DeviceToken>> tokens = state.list_tokens(account);
      if (!tokens) return std::unexpected(tokens.error());
      for (const DeviceToken& token : *tokens) {
        reply.tokens.push_back({.id = token.id,
                                .name = token.label,
                                .created = static_cast<std::uint64_t>(token.created),
                                .last_used = static_cast<std::uint64_t>(token.last_used)});
      }
      break;
    }
  }
  return reply;
}

}  // namespace homefs

// Attributes that homefs makes itself: user.homefs.*. They are not listed, so that no copy takes
// them along, and the server refuses to set or remove them.
#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>

#include "fusefs/file_system.h"
#include "protocol/md5_digest.h"

namespace homefs {
namespace {

SharedBuffer buffer_of(std::string_view text) {
  auto buffer = std::make_shared<Buffer>(text.size());
  std::ranges::copy(std::as_bytes(std::span(text)), buffer->writable().begin());
  return buffer;
}

}  // namespace

Task<Result<SharedBuffer>> FileSystem::own_xattr(NodeId id, std::string name) {
  if (name == "user.homefs.md5") co_return co_await md5_xattr(id);
  const StatfsReply home = co_await statfs();
  const std::array<std::pair<std::string_view, std::uint64_t>, 4> figures{{
      {"user.homefs.quota.max_bytes", home.grant.limit},
      {"user.homefs.quota.used_bytes", home.grant.used},
      {"user.homefs.quota.max_files", home.files_max},
      {"user.homefs.quota.used_files", home.files_used},
  }};
  for (const auto& [figure, value] : figures) {
    if (name == figure) co_return buffer_of(std::to_string(value));
  }
  co_return fail(Status::kNoAttribute);
}

// Of what has been written, also if it is still on its way. An error of that stays where it is, for
// the program that writes.
Task<Result<SharedBuffer>> FileSystem::md5_xattr(NodeId id) {
  co_await take_pages(id);
  co_await drained(id);
  {
    auto state = state_.lock();
    const Node* node = state->nodes.find(id);
    if (node == nullptr) co_return fail(Status::kStale);
    if (!node->is_regular()) co_return fail(Status::kNoAttribute);
  }
  Call call = make_call(Op::kDigest, {id}, DigestRequest{.node = id, .whole = true});
  Result<DigestReply> reply = co_await ask<DigestReply>(std::move(call));
  if (!reply) co_return std::unexpected(reply.error());
  if (reply->digests.size() != 1) co_return fail(Status::kProtocolError, "not one digest");
  co_return buffer_of(md5_to_hex(reply->digests.front()));
}

}  // namespace homefs

#include "fusefs/transfer/small_puts.h"

#include <memory>
#include <utility>

#include "fusefs/remote/partial_name.h"
#include "fusefs/transfer/local_file.h"
#include "fusefs/transfer/local_tree.h"

namespace homefs {
namespace {

// Two requests each, in both halves: within the window of the protocol together.
constexpr std::size_t kAheadMax = 56;
constexpr std::uint64_t kBytesAheadMax = std::uint64_t{8} * 1024 * 1024;

}  // namespace

SmallPuts::SmallPuts(RemoteClient& client, TransferMonitor& monitor, RateLimit& rate,
                     std::string key)
    : client_(client), monitor_(monitor), rate_(rate), key_(std::move(key)) {}

Result<> SmallPuts::read_file(Put& put) {
  Result<> read;
  for (int i = 0; i < kFileAttemptsMax; ++i) {
    read = read_once(put);
    if (read || !is_worth_another_try(read.error())) break;
  }
  return read;
}

Result<> SmallPuts::read_once(Put& put) {
  const auto file = LocalFile::open_to_read(put.file.local);
  if (!file) return std::unexpected(file.error());
  const auto stat = file->settled_stat();
  if (!stat) return std::unexpected(stat.error());
  put.attributes = attributes_of(*stat);
  if (put.attributes.size > kSmallFileBytes) return fail(Status::kIoError, "it grew meanwhile");
  auto buffer = std::make_shared<Buffer>(put.attributes.size);
  const auto count = file->read_at(0, buffer->writable());
  if (!count) return std::unexpected(count.error());
  const auto after = file->stat();
  if (!after) return std::unexpected(after.error());
  const Attributes now = attributes_of(*after);
  if (*count != put.attributes.size || now.size != put.attributes.size ||
      now.mtime != put.attributes.mtime) {
    return fail(Status::kIoError, "it changed while it was put");
  }
  put.data = slice_of(buffer);
  return {};
}

void SmallPuts::add(PutFile file) {
  Put put{.file = std::move(file)};
  // Other processes of this user have other keys, so nobody else is at this partial file.
  put.partial = {put.file.place.folder, partial_name(put.file.place.name, key_)};
  if (const Result<> read = read_file(put); !read) {
    return monitor_.failed(put.file.path, read.error());
  }
  if (!rate_.take(bytes_of(put))) return;
  begin(std::move(put));
  while (writing_.size() > kAheadMax || bytes_writing_ > kBytesAheadMax) publish_first();
}

void SmallPuts::begin(Put put) {
  put.node = client_.book().next_id();
  monitor_.begin(put.node, put.file.path, bytes_of(put));
  put.created = client_.create(put.partial, put.node, 0600);
  if (bytes_of(put) > 0) put.appended = client_.append(put.node, put.data);
  bytes_writing_ += bytes_of(put);
  writing_.push_back(std::move(put));
}

void SmallPuts::publish_first() {
  Put put = std::move(writing_.front());
  writing_.pop_front();
  bytes_writing_ -= bytes_of(put);
  const auto created = put.created.get();
  Result<> done = created ? Result<>() : std::unexpected(created.error());
  if (put.appended.is_expected()) {
    const auto appended = put.appended.get();
    if (done && !appended) done = std::unexpected(appended.error());
  }
  if (!done) return try_again_or_fail(std::move(put), done.error(), created.has_value());
  monitor_.sent(put.node, bytes_of(put));
  put.set = client_.setattr(attributes_request(put.node, put.attributes));
  put.renamed = client_.rename(put.partial, put.file.place, RenameMode::kReplace, put.node);
  publishing_.push_back(std::move(put));
  while (publishing_.size() > kAheadMax) finish_first();
}

void SmallPuts::finish_first() {
  Put put = std::move(publishing_.front());
  publishing_.pop_front();
  const auto set = put.set.get();
  const auto renamed = put.renamed.get();
  if (!renamed) return try_again_or_fail(std::move(put), renamed.error(), true);
  monitor_.end(put.node, put.file.path,
               set ? Result<>() : fail(set.error().status, "its mode and times are not kept"));
  client_.drop(put.node);
}

void SmallPuts::try_again_or_fail(Put put, const Error& error, bool is_partial_there) {
  // Left behind by a process of the same key that was killed.
  const bool is_left_over = error.status == Status::kExists && put.attempt == 1;
  const bool is_repeated =
      (is_left_over || is_worth_another_try(error)) && put.attempt < kFileAttemptsMax;
  if (is_partial_there || is_repeated) (void)client_.unlink(put.partial).get();
  client_.drop(put.node);
  if (!is_repeated) return monitor_.end(put.node, put.file.path, std::unexpected(error));
  monitor_.begin_again(put.node);
  monitor_.forget(put.node);
  ++put.attempt;
  begin(std::move(put));
}

void SmallPuts::drain() {
  while (!writing_.empty() || !publishing_.empty()) {
    while (!writing_.empty()) publish_first();
    while (!publishing_.empty()) finish_first();
  }
}

}  // namespace homefs

#include "fusefs/transfer/get_run.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "fusefs/remote/partial_name.h"
#include "fusefs/transfer/content_compare.h"
#include "fusefs/transfer/job_queue.h"
#include "fusefs/transfer/large_get.h"
#include "fusefs/transfer/local_file.h"

namespace homefs {
namespace {

// One answer of small files: within a frame, with room for the digests.
constexpr std::size_t kBatchFiles = 128;
constexpr std::uint64_t kBatchBytes = std::uint64_t{768} * 1024;

}  // namespace

GetRun::FolderState& GetRun::folder_of(const PlanItem& item) {
  return item.folder == PlanItem::kTop ? top_ : folders_[item.folder];
}

GetFile GetRun::file_of(const PlanItem& item) {
  const FolderState& folder = folder_of(item);
  GetFile file{.path = item.path,
               .node = item.source->node,
               .local = folder.local / item.source->name,
               .attributes = item.source->attributes,
               .has_basis = item.target != nullptr && item.target->is_file()};
  if (file.node == kNoNode) {
    file.node = client_.number_for({folder.node, item.source->name}, item.source->attributes);
  }
  return file;
}

void GetRun::run(TransferPlan& plan, const std::filesystem::path& target) {
  top_.local = target;
  folders_.resize(plan.items.size());
  monitor_.plan(plan.files, plan.bytes);
  make_folders(plan);
  settle_comparisons(plan);
  fetch_files(plan);
  if (!options_.has_to_stop()) set_folder_attributes(plan);
}

void GetRun::make_folders(const TransferPlan& plan) {
  for (std::size_t i = 0; i < plan.items.size(); ++i) {
    const PlanItem& item = plan.items[i];
    if (!is_folder_step(item.step)) continue;
    FolderState& parent = folder_of(item);
    folders_[i].local = parent.local / item.source->name;
    folders_[i].node = item.source->node;
    folders_[i].has_failed = parent.has_failed;
    if (item.step == PlanStep::kEnterFolder || parent.has_failed) continue;
    parent.is_changed = true;
    if (::mkdir(folders_[i].local.c_str(), (item.source->attributes.mode & 0777) | 0700) == 0) {
      monitor_.folder_made();
    } else {
      monitor_.failed(item.path, fail_errno(errno).error());
      folders_[i].has_failed = true;
    }
  }
}

void GetRun::settle_comparisons(TransferPlan& plan) {
  ContentCompare compare(client_);
  for (PlanItem& item : plan.items) {
    if (item.step != PlanStep::kCompare || options_.has_to_stop()) continue;
    const GetFile file = file_of(item);
    compare.add(file.local, file.node, file.attributes.size,
                [this, &item, file](const Result<bool>& is_equal) {
                  client_.drop(file.node);
                  item.step = step_after_comparing(item, is_equal && *is_equal);
                  if (item.step == PlanStep::kSend) monitor_.add_file(file.attributes.size);
                });
  }
  compare.drain();
}

void GetRun::fetch_files(const TransferPlan& plan) {
  std::deque<GetFile> large;
  for (const PlanItem& item : plan.items) {
    if (item.step != PlanStep::kSend || folder_of(item).has_failed) continue;
    folder_of(item).is_changed = true;
    if (item.source->attributes.size > kSmallFileBytes) large.push_back(file_of(item));
  }
  JobQueue<GetFile> queue(large);
  const std::vector<std::jthread> threads = queue.run(options_, [this](const GetFile& file) {
    LargeGet(client_, monitor_, rate_, options_, file).run();
  });
  for (const PlanItem& item : plan.items) {
    if (options_.has_to_stop()) break;
    if (!folder_of(item).has_failed) fetch_one(item);
  }
  send_batch();
  batches_.drain();
}

void GetRun::fetch_one(const PlanItem& item) {
  switch (item.step) {
    case PlanStep::kSend:
      if (item.source->attributes.size <= kSmallFileBytes) add_small(file_of(item));
      return;
    case PlanStep::kMakeSymlink:
      return make_symlink(item);
    case PlanStep::kSetAttributes:
      return set_attributes(item);
    case PlanStep::kUnchanged:
    case PlanStep::kSkipSpecial:
    case PlanStep::kConflict:
      return tell_of_untouched(item, monitor_);
    case PlanStep::kMakeFolder:
    case PlanStep::kEnterFolder:
    case PlanStep::kCompare:
      return;
  }
}

// ---- Small files ------------------------------------------------------------------------------

void GetRun::add_small(GetFile file) {
  const std::uint64_t size = file.attributes.size;
  if (batch_.size() >= kBatchFiles || batch_bytes_ + size > kBatchBytes) send_batch();
  batch_bytes_ += size;
  batch_.push_back(std::move(file));
}

void GetRun::send_batch() {
  if (batch_.empty()) return;
  if (!rate_.take(batch_bytes_)) {
    for (const GetFile& file : batch_) client_.drop(file.node);
    batch_.clear();
    return;
  }
  std::vector<NodeId> nodes;
  for (const GetFile& file : batch_) {
    monitor_.begin(file.node, file.path, file.attributes.size);
    nodes.push_back(file.node);
  }
  batches_.push(
      client_.read_many(std::move(nodes), kSmallFileBytes),
      [this, batch = std::exchange(batch_, {})](Result<std::vector<SmallFileData>> answer) {
        finish_batch(batch, std::move(answer));
      });
  batch_bytes_ = 0;
}

void GetRun::finish_batch(const Batch& batch, Result<std::vector<SmallFileData>> answer) {
  for (std::size_t i = 0; i < batch.size(); ++i) {
    // What failed as a whole, or had no place in the answer, is asked for by itself.
    Result<Slice> data =
        answer ? std::move((*answer)[i].data) : Result<Slice>(fail(Status::kWouldBlock));
    finish_small(batch[i], std::move(data));
  }
}

void GetRun::finish_small(const GetFile& file, Result<Slice> data) {
  if (!data &&
      (data.error().status == Status::kWouldBlock || data.error().status == Status::kStale)) {
    auto read = client_.read(file.node, 0, kSmallFileBytes).get();
    if (!read) {
      data = std::unexpected(read.error());
    } else if (read->size != read->data.bytes.size()) {
      data = fail(Status::kIoError, "it changed meanwhile");
    } else {
      data = std::move(read->data);
    }
  }
  Result<> done;
  if (data) {
    monitor_.sent(file.node, data->bytes.size());
    done = store_small(file, *data);
  } else {
    done = std::unexpected(data.error());
  }
  monitor_.end(file.node, file.path, done);
  client_.drop(file.node);
}

Result<> GetRun::store_small(const GetFile& file, const Slice& data) {
  const auto partial_path = file.local.parent_path() / partial_name(file.local.filename().string());
  const auto partial = LocalFile::open_partial(partial_path);
  if (!partial) return std::unexpected(partial.error());
  Result<> done = partial->truncate(data.bytes.size());
  if (done) done = partial->write_at(0, data.bytes);
  if (done) done = partial->publish(file.attributes, file.local);
  if (!done) (void)::unlink(partial_path.c_str());
  return done;
}

// ---- What is no file --------------------------------------------------------------------------

void GetRun::make_symlink(const PlanItem& item) {
  FolderState& folder = folder_of(item);
  folder.is_changed = true;
  const auto local = folder.local / item.source->name;
  const auto partial = folder.local / partial_name(item.source->name, options_.client_key);
  (void)::unlink(partial.c_str());  // of a process that was killed
  const bool is_made = ::symlink(item.source->target.c_str(), partial.c_str()) == 0 &&
                       ::rename(partial.c_str(), local.c_str()) == 0;
  if (!is_made) {
    const Error error = fail_errno(errno).error();
    (void)::unlink(partial.c_str());
    return monitor_.failed(item.path, error);
  }
  (void)set_local_attributes(local, item.source->attributes);  // a comfort
  monitor_.symlink_made(item.path);
}

void GetRun::set_attributes(const PlanItem& item) {
  const auto local = folder_of(item).local / item.source->name;
  const Result<> set = set_local_attributes(local, item.source->attributes);
  if (!set) return monitor_.failed(item.path, set.error());
  monitor_.unchanged();
}

void GetRun::set_folder_attributes(const TransferPlan& plan) {
  for (std::size_t i = plan.items.size(); i-- > 0;) {
    const PlanItem& item = plan.items[i];
    if (!is_folder_step(item.step) || folders_[i].has_failed) continue;
    const bool is_same = item.target != nullptr && !folders_[i].is_changed &&
                         looks_the_same(*item.source, *item.target);
    if (is_same) continue;
    const Result<> set = set_local_attributes(folders_[i].local, item.source->attributes);
    if (!set) monitor_.failed(item.path, set.error());
  }
}

}  // namespace homefs

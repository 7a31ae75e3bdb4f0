#include "fusefs/transfer/put_run.h"

#include <thread>

#include "fusefs/remote/partial_name.h"
#include "fusefs/remote/pipeline.h"
#include "fusefs/transfer/content_compare.h"
#include "fusefs/transfer/job_queue.h"
#include "fusefs/transfer/large_put.h"

namespace homefs {

PutRun::FolderState& PutRun::folder_of(const PlanItem& item) {
  return item.folder == PlanItem::kTop ? top_ : folders_[item.folder];
}

PutFile PutRun::file_of(const PlanItem& item) {
  const FolderState& folder = folder_of(item);
  PutFile file{.path = item.path, .place = {folder.node, item.source->name}, .target = item.target};
  file.local = item.source->origin.empty() ? folder.local / item.source->name
                                           : std::filesystem::path(item.source->origin);
  return file;
}

void PutRun::run(TransferPlan& plan, NodeId target) {
  top_.node = target;
  folders_.resize(plan.items.size());
  monitor_.plan(plan.files, plan.bytes);
  make_folders(plan);
  settle_comparisons(plan);
  send_files(plan);
  if (!options_.has_to_stop()) set_folder_attributes(plan);
}

void PutRun::make_folders(const TransferPlan& plan) {
  Pipeline<EntryReply> made;
  for (std::size_t i = 0; i < plan.items.size() && !options_.has_to_stop(); ++i) {
    const PlanItem& item = plan.items[i];
    if (!is_folder_step(item.step)) continue;
    const PutFile file = file_of(item);
    folders_[i].local = file.local;
    if (item.step == PlanStep::kEnterFolder) {
      folders_[i].node = item.target->node;
      continue;
    }
    const NodeId node = client_.book().next_id();
    folders_[i].node = node;
    folder_of(item).is_changed = true;
    // It has to let its contents in; what it shall look like is set in the end.
    made.push(client_.mkdir(file.place, node, (item.source->attributes.mode & 07777) | 0700),
              [this, i, &item](const Result<EntryReply>& reply) {
                if (reply) return monitor_.folder_made();
                folders_[i].node = kNoNode;
                // Its parent has told of it already.
                if (folder_of(item).node != kNoNode) monitor_.failed(item.path, reply.error());
              });
  }
  made.drain();
}

void PutRun::settle_comparisons(TransferPlan& plan) {
  ContentCompare compare(client_);
  for (PlanItem& item : plan.items) {
    if (item.step != PlanStep::kCompare || options_.has_to_stop()) continue;
    const PutFile file = file_of(item);
    const NodeId node = client_.number_for(file.place, item.target->attributes);
    const std::uint64_t size = item.source->attributes.size;
    compare.add(file.local, node, size, [this, &item, node, size](const Result<bool>& is_equal) {
      client_.drop(node);
      item.step = step_after_comparing(item, is_equal && *is_equal);
      if (item.step == PlanStep::kSend) monitor_.add_file(size);
    });
  }
  compare.drain();
}

void PutRun::send_files(const TransferPlan& plan) {
  SmallPuts small(client_, monitor_, rate_, options_.client_key);
  std::deque<PutFile> large;
  for (const PlanItem& item : plan.items) {
    if (item.step != PlanStep::kSend || item.source->attributes.size <= kSmallFileBytes) continue;
    if (folder_of(item).node == kNoNode) continue;
    folder_of(item).is_changed = true;
    large.push_back(file_of(item));
  }
  run_jobs(large, small, plan);
}

// Large files in threads of their own; everything else in this one.
void PutRun::run_jobs(std::deque<PutFile>& large, SmallPuts& small, const TransferPlan& plan) {
  JobQueue<PutFile> queue(large);
  const std::vector<std::jthread> threads = queue.run(options_, [this](const PutFile& file) {
    LargePut(client_, monitor_, rate_, options_, file).run();
  });
  for (const PlanItem& item : plan.items) {
    if (options_.has_to_stop()) break;
    const bool is_without_folder = folder_of(item).node == kNoNode;
    if (!is_without_folder) send_one(item, small);
  }
  small.drain();
}

void PutRun::send_one(const PlanItem& item, SmallPuts& small) {
  switch (item.step) {
    case PlanStep::kSend:
      if (item.source->attributes.size > kSmallFileBytes) return;
      folder_of(item).is_changed = true;
      return small.add(file_of(item));
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

void PutRun::make_symlink(const PlanItem& item) {
  const PutFile file = file_of(item);
  folder_of(item).is_changed = true;
  const RemotePlace partial{file.place.folder, partial_name(file.place.name, options_.client_key)};
  const NodeId node = client_.book().next_id();
  (void)client_.unlink(partial);  // of a process that was killed
  auto made = client_.symlink(partial, node, item.source->target);
  auto set = client_.setattr({.node = node,
                              .which = kSetAtime | kSetMtime,
                              .atime = item.source->attributes.atime,
                              .mtime = item.source->attributes.mtime});
  auto renamed = client_.rename(partial, file.place, RenameMode::kReplace, node);
  const auto is_made = made.get();
  const auto is_renamed = renamed.get();
  (void)set.get();  // times of symlinks are a comfort
  client_.drop(node);
  if (is_made && is_renamed) return monitor_.symlink_made(item.path);
  if (is_made) (void)client_.unlink(partial);
  monitor_.failed(item.path, is_made ? is_renamed.error() : is_made.error());
}

void PutRun::set_attributes(const PlanItem& item) {
  const PutFile file = file_of(item);
  const NodeId node = client_.number_for(file.place, item.target->attributes);
  const auto set = client_.setattr(attributes_request(node, item.source->attributes)).get();
  client_.drop(node);
  if (!set) return monitor_.failed(item.path, set.error());
  monitor_.unchanged();
}

void PutRun::set_folder_attributes(const TransferPlan& plan) {
  Pipeline<ChangeReply> set;
  for (std::size_t i = plan.items.size(); i-- > 0;) {
    const PlanItem& item = plan.items[i];
    if (!is_folder_step(item.step) || folders_[i].node == kNoNode) continue;
    const bool is_same = item.target != nullptr && !folders_[i].is_changed &&
                         looks_the_same(*item.source, *item.target);
    if (is_same) continue;
    set.push(client_.setattr(attributes_request(folders_[i].node, item.source->attributes)),
             [this, &item](const Result<ChangeReply>& reply) {
               if (!reply) monitor_.failed(item.path, reply.error());
             });
  }
  set.drain();
}

}  // namespace homefs

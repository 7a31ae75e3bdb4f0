#include "fusefs/cli/transfer_command.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "fusefs/cli/list_format.h"
#include "fusefs/cli/terminal.h"

namespace homefs {
namespace {

int status_of(const TransferFigures& figures) {
  if (figures.files_failed == 0) return number_of(ExitStatus::kOk);
  const bool has_done_something = figures.files_sent > 0 || figures.files_unchanged > 0 ||
                                  figures.symlinks_made > 0 || figures.folders_made > 0;
  return number_of(has_done_something ? ExitStatus::kPartly : ExitStatus::kFailed);
}

const char* name_of(PlanStep step) {
  switch (step) {
    case PlanStep::kMakeFolder:
      return "folder ";
    case PlanStep::kSend:
      return "file   ";
    case PlanStep::kCompare:
      return "compare";
    case PlanStep::kMakeSymlink:
      return "symlink";
    case PlanStep::kSetAttributes:
      return "times  ";
    case PlanStep::kSkipSpecial:
      return "skip   ";
    case PlanStep::kConflict:
      return "in way ";
    case PlanStep::kEnterFolder:
    case PlanStep::kUnchanged:
      break;
  }
  return nullptr;
}

// For --dry-run: a line for each thing that would be made or sent.
void print_plan(const TransferPlan& plan) {
  for (const PlanItem& item : plan.items) {
    const char* name = name_of(item.step);
    if (name != nullptr) std::printf("%s %s\n", name, escaped(item.path).c_str());
  }
}

}  // namespace

int TransferCommand::run(RemoteContext& context) {
  auto options = flags_.options();
  if (!options) return report(options.error());
  options->client_key = context.session.client_id();
  filter_ = flags_.filter();
  target_text_ = paths_.size() < 2 ? "." : paths_.back();
  if (paths_.size() >= 2) paths_.pop_back();
  TransferDisplay display({.is_quiet = flags_.is_quiet, .is_json = flags_.is_json},
                          [&context] { context.session.link().close(); });
  options->is_stopped = &display.is_stopped();
  TransferMonitor monitor(direction_, context.session.side_log(), display.note());
  const Result<> done = transfer(context, *options, display, monitor);
  return end(context, display, monitor, done);
}

bool TransferCommand::names_contents(std::string_view path) {
  const std::string_view last = path.substr(path.find_last_of('/') + 1);
  return last == "." || last == ".." || path.find_first_not_of('/') == std::string_view::npos;
}

Result<TreeEntry> TransferCommand::join(std::vector<Source> sources, const std::string& new_name) {
  TreeEntry all;
  for (Source& source : sources) {
    if (source.is_contents && new_name.empty()) {
      std::ranges::move(source.entry.children, std::back_inserter(all.children));
      continue;
    }
    if (!new_name.empty()) {
      // The folder is there then, and takes in what is named: so would a folder of that name.
      const std::string& named = paths_.front();
      const bool takes_in = source.entry.is_folder() && !source.is_contents;
      if (takes_in) again_ = "the same command with " + named + "/. for " + named;
      source.entry.name = new_name;
    }
    all.children.push_back(std::move(source.entry));
  }
  all.sort_children();
  const auto twice = std::ranges::adjacent_find(all.children, {}, &TreeEntry::name);
  if (twice == all.children.end()) return all;
  return fail(Status::kInvalid, "two of the sources are called " + homefs::quoted(twice->name));
}

Result<> TransferCommand::transfer(RemoteContext& context, const TransferOptions& options,
                                   TransferDisplay& display, TransferMonitor& monitor) {
  Trees trees;
  if (Result<> looked = look(context, trees, monitor); !looked) return looked;
  if (trees.source.children.empty()) return {};
  TransferPlan plan =
      make_plan(trees.source, trees.target, {.compares_contents = options.compares_contents});
  if (flags_.is_dry) {
    if (!flags_.is_quiet && !flags_.is_json) print_plan(plan);
    monitor.plan(plan.files, plan.bytes);
    return {};
  }
  display.start(monitor);
  carry_out(context, plan, monitor, options);
  return {};
}

int TransferCommand::end(RemoteContext& context, TransferDisplay& display, TransferMonitor& monitor,
                         const Result<>& done) {
  int status = status_of(monitor.figures());
  if (!done) {
    status = number_of(exit_status_of(done.error()));
    context.last_status = done.error().status;
    if (!display.is_stopped()) print_error(text_for_person(done.error()));
  } else if (status == 0) {
    context.last_status = monitor.figures().files_sent > 0 ? Status::kOk : Status::kSizeSame;
  } else {
    context.last_status = Status::kIoError;
  }
  if (display.is_stopped()) status = number_of(ExitStatus::kInterrupted);
  display.finish(monitor, direction_, status, again_);
  context.session.side_log().flush();
  return status;
}

}  // namespace homefs

#include "fusefs/cli/transfer_end.h"

#include <cstdio>

#include "fusefs/cli/list_format.h"
#include "fusefs/cli/terminal.h"

namespace homefs {
namespace {

constexpr int kInterruptedStatus = 130;  // as a shell has it for SIGINT

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

}  // namespace

int end_transfer(RemoteContext& context, TransferDisplay& display, TransferMonitor& monitor,
                 TransferDirection direction, const Result<>& done) {
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
  if (display.is_stopped()) status = kInterruptedStatus;
  display.finish(monitor, direction, status);
  context.session.side_log().flush();
  return status;
}

void print_plan(const TransferPlan& plan, const TransferFlags& flags) {
  if (flags.is_quiet || flags.is_json) return;
  for (const PlanItem& item : plan.items) {
    const char* name = name_of(item.step);
    if (name != nullptr) std::printf("%s %s\n", name, escaped(item.path).c_str());
  }
}

}  // namespace homefs

// How a put or get ends, and what it would do.
//
// Executor: the main thread. Blocks: on the disk.
#pragma once

#include "fusefs/cli/remote_command.h"
#include "fusefs/cli/transfer_display.h"
#include "fusefs/cli/transfer_flags.h"
#include "fusefs/transfer/transfer_plan.h"

namespace homefs {

/// Prints what was done, and `done` if it is an error of the whole. The exit status: 0, 1 when
/// nothing was done, 8 when a part was, 130 when it was interrupted.
int end_transfer(RemoteContext& context, TransferDisplay& display, TransferMonitor& monitor,
                 TransferDirection direction, const Result<>& done);

/// For --dry-run: a line for each thing that would be made or sent.
void print_plan(const TransferPlan& plan, const TransferFlags& flags);

}  // namespace homefs

// `homefs progress`: what is being transferred, from the side logs of all mounts of the user.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>

#include "fusefs/cli/command.h"
#include "fusefs/cli/progress_view.h"
#include "fusefs/cli/terminal.h"

namespace homefs {
namespace {

struct ProgressCommand {
  std::string profile;
  bool is_following = false;
  bool is_json = false;
};

constexpr std::chrono::milliseconds kDrawEvery{250};

volatile std::sig_atomic_t has_ended = 0;
void end_following(int) { has_ended = 1; }

ProgressView look(const ClientPaths& paths, const std::string& profile) {
  std::vector<TransferRecord> records;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(paths.state_dir(), error)) {
    if (!profile.empty() && entry.path().filename() != profile) continue;
    auto more = read_transfers(entry.path() / "transfers.jsonl");
    records.insert(records.end(), std::make_move_iterator(more.begin()),
                   std::make_move_iterator(more.end()));
  }
  std::ranges::stable_sort(records, {}, &TransferRecord::time);
  return progress_of(records, std::chrono::system_clock::now(),
                     [](const std::string& process) { return is_process_running(process); });
}

void print_json(const ProgressView& view) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const TransferView& transfer : view.transfers) {
    list.push_back(nlohmann::ordered_json::parse(line_of(transfer.last)));
  }
  for (const TransferRecord& record : view.cut) {
    list.push_back(nlohmann::ordered_json::parse(line_of(record)));
  }
  std::printf("%s\n", list.dump().c_str());
}

void print_lines(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) std::printf("%s\n", line.c_str());
  (void)std::fflush(stdout);  // a reader that has left is found out at the next line
}

int follow(const ClientPaths& paths, const ProgressCommand& command) {
  (void)std::signal(SIGINT, end_following);
  (void)std::signal(SIGTERM, end_following);
  const bool is_terminal = ::isatty(STDOUT_FILENO) != 0;
  std::vector<std::string> drawn;
  while (has_ended == 0 && std::ferror(stdout) == 0) {
    const ProgressView view = look(paths, command.profile);
    auto lines = draw_progress(view, terminal_columns(STDOUT_FILENO));
    // What is scrolled away can't be drawn over; the cursor's line is one more.
    if (is_terminal) lines = fit_rows(std::move(lines), terminal_rows(STDOUT_FILENO) - 1);
    if (command.is_json) {
      print_json(view);
    } else if (is_terminal) {
      // Over what was drawn before; what it had more is erased.
      if (!drawn.empty()) std::printf("\033[%zuA\r\033[J", drawn.size());
      print_lines(lines);
    } else if (lines != drawn) {
      print_lines(lines);
    }
    drawn = lines;
    (void)std::fflush(stdout);
    std::this_thread::sleep_for(kDrawEvery);
  }
  return number_of(ExitStatus::kOk);
}

int run_progress(const ClientPaths& paths, const ProgressCommand& command) {
  if (command.is_following) return follow(paths, command);
  const ProgressView view = look(paths, command.profile);
  if (command.is_json) {
    print_json(view);
  } else {
    print_lines(draw_progress(view, terminal_columns(STDOUT_FILENO)));
  }
  return number_of(ExitStatus::kOk);
}

}  // namespace

void add_progress_command(CLI::App& app, CommandContext& context) {
  const auto command = std::make_shared<ProgressCommand>();
  CLI::App* progress = app.add_subcommand("progress", "show what is being transferred");
  progress->add_flag("-f,--follow", command->is_following, "go on until Ctrl-C");
  progress->add_flag("--json", command->is_json, "as JSON; with -f a line each time");
  progress->add_option("--profile", command->profile, "of one profile only")->type_name("NAME");
  progress->callback(
      [&context, command] { context.exit_status = run_progress(context.paths, *command); });
}

}  // namespace homefs

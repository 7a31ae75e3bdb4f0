#include "fusefs/cli/shell.h"

#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "config/config_error.h"
#include "fusefs/cli/end_watch.h"
#include "fusefs/cli/terminal.h"

extern char** environ;

namespace homefs {
namespace {

int usage(const std::string& text) { return report(ExitStatus::kUsage, text); }

}  // namespace

Shell::Shell(const ClientPaths& paths, Options options)
    : paths_(paths), options_(std::move(options)), is_terminal_(::isatty(STDIN_FILENO) != 0) {}

Result<> Shell::connect() {
  session_.reset();  // its slot is used again
  auto session = RemoteSession::open(paths_, options_.login, options_.server);
  if (!session) {
    return fail(Status::kDisconnected, session.error().text);
  }
  session_ = *std::move(session);
  // Asked for once.
  const Credentials& credentials = session_->link().options().credentials;
  if (credentials.token_id.empty()) options_.login.password = credentials.password;
  return {};
}

int Shell::run() {
  auto session = RemoteSession::open(paths_, options_.login, options_.server);
  if (!session) {
    print_error(session.error().text);
    return session.error().exit_status;
  }
  session_ = *std::move(session);
  const Credentials& credentials = session_->link().options().credentials;
  if (credentials.token_id.empty()) options_.login.password = credentials.password;
  const auto editor = LineEditor::make(session_->state_folder() / "shell_history",
                                       [this](const std::string& line) { return complete(line); });
  int status = 0;
  while (!has_ended_) {
    const auto line = editor->read(session_->name() + ":" + folder_.text() + "> ");
    if (!line) break;
    status = execute(*line);
    (void)std::fflush(stdout);
    if (status != 0 && !is_terminal_) return status;
  }
  if (is_terminal_ && !has_ended_) std::printf("\n");
  return status;
}

int Shell::execute(const std::string& line) {
  auto words = split_words(line);
  if (!words) return report(words.error());
  if (words->empty()) return 0;
  std::string& command = words->front().text;
  const bool is_failure_ignored = command.size() > 1 && command.starts_with('-');
  if (is_failure_ignored) command.erase(0, 1);
  last_status_ = Status::kOk;
  const int status = execute_words(*words);
  if (options_.is_verbose && !has_ended_) {
    const bool is_silent_failure = status != 0 && is_success(last_status_);
    const Status shown_status = is_silent_failure ? Status::kInvalid : last_status_;
    std::printf("%d %s\n", static_cast<int>(shown_status),
                std::string(text_of(shown_status)).c_str());
  }
  if (status == number_of(ExitStatus::kInterrupted)) {
    // What was under way was ended with the connection.
    if (const Result<> connected = connect(); !connected) {
      has_ended_ = true;
      return report(connected.error());
    }
  }
  return is_failure_ignored ? 0 : status;
}

int Shell::execute_words(const Words& words) {
  const std::string& name = words.front().text;
  auto arguments = expand(name, words);
  if (!arguments) return report(arguments.error());
  for (const LocalCommand& command : local_commands()) {
    if (name == command.name) return (this->*command.run)(*arguments);
  }
  std::vector<std::string> names;
  for (const RemoteCommandEntry& entry : remote_commands()) {
    if (name == entry.name) return run_remote(entry, *std::move(arguments));
    names.emplace_back(entry.name);
  }
  for (const LocalCommand& command : local_commands()) names.emplace_back(command.name);
  return usage("there is no command " + shown(name) + suggestion(name, names) +
               " (\"help\" lists them)");
}

int Shell::run_remote(const RemoteCommandEntry& entry, std::vector<std::string> arguments) {
  const auto command = entry.make();
  CLI::App app(entry.description, entry.name);
  command->declare(app);
  std::ranges::reverse(arguments);  // as CLI11 wants them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help
    return usage(std::string(error.what()) + " (\"help " + entry.name + "\" shows how)");
  }
  RemoteContext context{.session = *session_, .folder = folder_};
  std::optional<EndWatch> watch;
  if (!command->watches_for_end()) watch.emplace([this] { session_->link().close(); });
  const int status = command->run(context);
  last_status_ = context.last_status;
  return watch && watch->has_ended() ? number_of(ExitStatus::kInterrupted) : status;
}

// ---- Commands of the shell itself --------------------------------------------------------------

const std::vector<Shell::LocalCommand>& Shell::local_commands() {
  static const std::vector<LocalCommand> kCommands = {
      {"cd", "go to a folder of the home; \"cd -\": back", &Shell::change_folder},
      {"pwd", "say which folder of the home this is", &Shell::print_folder},
      {"lcd", "go to a folder here", &Shell::change_local},
      {"lpwd", "say which folder here it is", &Shell::print_local},
      {"lls", "list files here, as ls(1)", &Shell::list_local},
      {"verbose", "show the status code of each command, or no more", &Shell::verbose},
      {"help", "list the commands, or show one", &Shell::help},
      {"exit", "end", &Shell::end},
      {"quit", "end", &Shell::end},
  };
  return kCommands;
}

int Shell::change_folder(const std::vector<std::string>& arguments) {
  if (arguments.size() > 1) return usage("cd [FOLDER]");
  RemoteContext context{.session = *session_, .folder = folder_};
  const std::string text = arguments.empty() ? "/" : arguments[0];
  auto path = text == "-" ? Result<RemotePath>(folder_before_) : context.path(text);
  if (!path) return context.failed(path.error(), text);
  const auto node = context.client().resolve(*path);
  if (!node) {
    const int status = context.failed(node.error(), text);
    last_status_ =
        node.error().status == Status::kNoSuchFile ? Status::kNoSuchDirectory : node.error().status;
    return status;
  }
  if (!S_ISDIR(node->attributes.mode)) {
    last_status_ = Status::kNotDirectory;
    return context.failed({Status::kNotDirectory, {}}, text);
  }
  folder_before_ = std::exchange(folder_, *std::move(path));
  return 0;
}

int Shell::print_folder(const std::vector<std::string>&) {
  std::printf("%s\n", folder_.text().c_str());
  return 0;
}

int Shell::change_local(const std::vector<std::string>& arguments) {
  if (arguments.size() > 1) return usage("lcd [FOLDER]");
  const std::string folder = arguments.empty() ? "~" : arguments[0];
  if (::chdir(paths_.expand(folder).c_str()) == 0) return 0;
  const Error error = fail_errno(errno, folder).error();
  last_status_ = error.status;
  return report(error);
}

int Shell::print_local(const std::vector<std::string>&) {
  std::error_code error;
  std::printf("%s\n", std::filesystem::current_path(error).c_str());
  return error ? report(ExitStatus::kFailed, error.message()) : 0;
}

int Shell::list_local(const std::vector<std::string>& arguments) {
  std::vector<std::string> copy = arguments;
  std::string program = "ls";
  std::vector<char*> pointers{program.data()};
  for (std::string& each : copy) pointers.push_back(each.data());
  pointers.push_back(nullptr);
  (void)std::fflush(stdout);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, "ls", nullptr, nullptr, pointers.data(), environ);
  if (error != 0) return report(fail_errno(error, "ls").error());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int Shell::verbose(const std::vector<std::string>&) {
  options_.is_verbose = !options_.is_verbose;
  return 0;
}

int Shell::end(const std::vector<std::string>&) {
  has_ended_ = true;
  return 0;
}

int Shell::help(const std::vector<std::string>& arguments) {
  for (const RemoteCommandEntry& entry : remote_commands()) {
    if (arguments.empty()) std::printf("%-8s %s\n", entry.name, entry.description);
    if (arguments.empty() || arguments[0] != entry.name) continue;
    const auto command = entry.make();
    CLI::App app(entry.description, entry.name);
    command->declare(app);
    std::printf("%s", app.help().c_str());
    return 0;
  }
  bool is_known = arguments.empty();
  for (const LocalCommand& command : local_commands()) {
    if (!arguments.empty() && arguments[0] != command.name) continue;
    is_known = true;
    std::printf("%-8s %s\n", command.name, command.description);
  }
  return is_known ? 0 : usage("there is no command " + shown(arguments[0]));
}

}  // namespace homefs

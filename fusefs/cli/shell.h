// Shell: the prompt of `homefs shell`. Its commands are those of the command line, on a connection
// that stays, with a folder here and one there, and patterns.
//
// Owner: the command. Executor: the main thread. Blocks: run(), until the end of the input.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fusefs/cli/line_editor.h"
#include "fusefs/cli/remote_command.h"
#include "fusefs/cli/shell_words.h"

namespace homefs {

class Shell {
 public:
  struct Options {
    std::string server;
    LoginFlags login;
    bool is_verbose = false;  ///< status codes are shown
  };

  Shell(const ClientPaths& paths, Options options);

  /// Connects, and reads lines to their end. The exit status: of the last command on a terminal;
  /// else of the first that has failed, which ends the input, or 0.
  int run();

  /// Executes one line; its exit status. For "exit" has_ended() is true afterwards.
  int execute(const std::string& line);
  [[nodiscard]] bool has_ended() const { return has_ended_; }

 private:
  using Words = std::vector<ShellWord>;
  struct LocalCommand {
    const char* name;
    const char* description;
    int (Shell::*run)(const std::vector<std::string>& arguments);
  };
  static const std::vector<LocalCommand>& local_commands();

  [[nodiscard]] Result<> connect();
  int execute_words(const Words& words);
  int run_remote(const RemoteCommandEntry& entry, std::vector<std::string> arguments);
  [[nodiscard]] Result<std::vector<std::string>> expand(const std::string& command,
                                                        const Words& words);
  [[nodiscard]] Result<std::vector<std::string>> matches(const ShellWord& word, bool is_local);

  int change_folder(const std::vector<std::string>& arguments);
  int print_folder(const std::vector<std::string>& arguments);
  int change_local(const std::vector<std::string>& arguments);
  int print_local(const std::vector<std::string>& arguments);
  int list_local(const std::vector<std::string>& arguments);
  int help(const std::vector<std::string>& arguments);
  int verbose(const std::vector<std::string>& arguments);
  int end(const std::vector<std::string>& arguments);

  // Completion.
  [[nodiscard]] LineCompletion complete(const std::string& line);
  [[nodiscard]] std::vector<std::string> candidates(const WordAtCursor& word);
  [[nodiscard]] std::vector<std::string> local_names(const std::string& folder);
  [[nodiscard]] std::vector<std::string> remote_names(const std::string& folder);

  const ClientPaths& paths_;
  Options options_;
  std::unique_ptr<RemoteSession> session_;
  RemotePath folder_{.names_folder = true};
  RemotePath folder_before_{.names_folder = true};
  Status last_status_ = Status::kOk;
  bool is_terminal_ = false;
  bool has_ended_ = false;
};

}  // namespace homefs

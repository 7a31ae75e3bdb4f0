// Names in the shell: patterns, and what Tab completes.
#include <algorithm>
#include <filesystem>

#include "config/config_error.h"
#include "fusefs/cli/shell.h"
#include "fusefs/remote/partial_name.h"
#include "fusefs/remote/remote_walk.h"
#include "fusefs/transfer/path_filter.h"

namespace homefs {
namespace {

// The folder of what is typed, with "/" behind it, and the rest.
std::pair<std::string, std::string> split_path(const std::string& text) {
  const std::size_t slash = text.rfind('/');
  if (slash == text.npos) return {"", text};
  return {text.substr(0, slash + 1), text.substr(slash + 1)};
}

// Whether the arguments of `command` name files here. The last of `put` does not.
bool takes_local(const std::string& command) {
  return command == "put" || command == "lcd" || command == "lls" || command == "verify";
}

bool takes_no_names(const std::string& command) {
  return command == "help" || command == "exit" || command == "quit" || command == "verbose";
}

}  // namespace

Result<std::vector<std::string>> Shell::expand(const std::string& command, const Words& words) {
  std::vector<std::string> arguments;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const ShellWord& word = words[i];
    const bool is_pattern = !word.pattern.empty() && !word.text.starts_with('-');
    // Patterns of --include and --exclude are theirs.
    const std::string& before = words[i - 1].text;
    const bool is_value = before == "--include" || before == "--exclude";
    if (!is_pattern || is_value || takes_no_names(command)) {
      arguments.push_back(word.text);
      continue;
    }
    auto found = matches(word, takes_local(command));
    if (!found) return std::unexpected(found.error());
    if (found->empty()) return fail(Status::kInvalid, "nothing fits " + shown(word.text));
    arguments.insert(arguments.end(), found->begin(), found->end());
  }
  return arguments;
}

// The pattern may be in the last part of the path, which is what people use.
Result<std::vector<std::string>> Shell::matches(const ShellWord& word, bool is_local) {
  const auto [folder, rest] = split_path(word.text);
  const auto [folder_pattern, pattern] = split_path(word.pattern);
  if (folder != folder_pattern) {
    return fail(Status::kInvalid, "a pattern may only be in the last part of " + shown(word.text));
  }
  std::vector<std::string> names = is_local ? local_names(folder) : remote_names(folder);
  std::vector<std::string> found;
  for (std::string& name : names) {
    if (name.ends_with('/')) name.pop_back();
    const bool is_hidden = name.starts_with('.') && !pattern.starts_with('.');
    if (!is_hidden && glob_matches(pattern, name)) found.push_back(folder + name);
  }
  std::ranges::sort(found);
  return found;
}

// Folders end with "/".
std::vector<std::string> Shell::local_names(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  const auto path = folder.empty() ? std::filesystem::path(".") : paths_.expand(folder);
  for (const auto& entry : std::filesystem::directory_iterator(path, error)) {
    std::error_code ignored;  // a symlink that leads nowhere is no folder
    names.push_back(entry.path().filename().string() + (entry.is_directory(ignored) ? "/" : ""));
  }
  return names;
}

std::vector<std::string> Shell::remote_names(const std::string& folder) {
  std::vector<std::string> names;
  const auto path = parse_remote_path(folder_, folder);
  if (!path) return names;
  const auto node = session_->client().resolve(*path);
  if (!node) return names;
  const auto tree = walk_remote(session_->client(), *node, {.is_recursive = false, .wants = {}});
  if (!tree) return names;
  for (const TreeEntry& child : tree->root.children) {
    if (!is_partial_name(child.name)) names.push_back(child.name + (child.is_folder() ? "/" : ""));
    session_->client().drop(child.node);
  }
  return names;
}

std::vector<std::string> Shell::candidates(const WordAtCursor& word) {
  std::vector<std::string> names;
  if (word.index == 0) {
    for (const RemoteCommandEntry& entry : remote_commands()) names.emplace_back(entry.name);
    for (const LocalCommand& command : local_commands()) names.emplace_back(command.name);
    return names;
  }
  const auto [folder, rest] = split_path(word.text);
  if (word.command == "help") return candidates({});
  if (takes_no_names(word.command)) return names;
  const bool is_first_of_verify = word.command != "verify" || word.index == 1;
  const bool is_local = takes_local(word.command) && is_first_of_verify;
  names = is_local ? local_names(folder) : remote_names(folder);
  if (word.command == "get" && word.index > 1) {
    // The last one may be a folder here.
    for (std::string& name : local_names(folder)) {
      if (name.ends_with('/')) names.push_back(std::move(name));
    }
  }
  return names;
}

LineCompletion Shell::complete(const std::string& line) {
  const WordAtCursor word = word_at_cursor(line);
  const std::string typed = split_path(word.text).second;
  LineCompletion completion;
  for (std::string& name : candidates(word)) {
    const bool is_hidden = name.starts_with('.') && typed.empty();
    if (name.starts_with(typed) && !is_hidden) completion.choices.push_back(std::move(name));
  }
  std::ranges::sort(completion.choices);
  const auto [end, last] = std::ranges::unique(completion.choices);
  completion.choices.erase(end, last);
  if (completion.choices.empty()) return completion;
  const std::string prefix = common_prefix(completion.choices);
  completion.insert = quoted_for_shell(prefix.substr(typed.size()), word.quote);
  if (completion.choices.size() == 1 && !prefix.ends_with('/')) {
    if (word.quote != 0) completion.insert += word.quote;
    completion.insert += ' ';
  }
  return completion;
}

}  // namespace homefs

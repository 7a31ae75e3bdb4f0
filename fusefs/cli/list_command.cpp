// `homefs ls` and `homefs df`: looking at a home without a mount.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "config/size.h"
#include "fusefs/cli/list_format.h"
#include "fusefs/cli/remote_command.h"
#include "fusefs/remote/remote_walk.h"

namespace homefs {
namespace {

class ListCommand final : public RemoteCommand {
 public:
  void declare(CLI::App& app) override {
    app.add_option("path", paths_, "[USER@]HOST[:PORT]/PATH; as PATH with -s or --profile")
        ->type_name("PATH...");
    app.add_flag("-l,--long", is_long_, "modes, sizes and times as well");
    app.add_flag("-a,--all", shows_all_, "also names that begin with a dot");
    app.add_flag("-R,--recursive", is_recursive_, "folders with all that is in them");
    app.add_flag("--json", is_json_, "as JSON, one array");
  }

  std::vector<std::string*> remote_arguments() override {
    std::vector<std::string*> arguments;
    for (std::string& path : paths_) arguments.push_back(&path);
    return arguments;
  }

  int run(RemoteContext& context) override {
    if (paths_.empty()) paths_.emplace_back();
    escapes_ = ::isatty(STDOUT_FILENO) != 0;
    int status = 0;
    bool is_first = true;
    for (const std::string& path : paths_) {
      const int shown = show(context, path, is_first);
      if (shown != 0) status = shown;
      is_first = false;
    }
    if (is_json_) std::printf("%s\n", json_.dump().c_str());
    return status;
  }

 private:
  int show(RemoteContext& context, const std::string& text, bool is_first) {
    const std::string named = text.empty() ? "/" : text;
    const auto path = context.path(text);
    if (!path) return context.failed(path.error(), named);
    const auto node = context.client().resolve(*path);
    if (!node) return context.failed(node.error(), named);
    if (!S_ISDIR(node->attributes.mode)) {
      TreeEntry entry{.name = text, .attributes = node->attributes, .target = node->target};
      print({&entry}, "");
      return 0;
    }
    const WalkOptions options{.is_recursive = is_recursive_, .wants = {}};
    const auto tree = walk_remote(context.client(), *node, options);
    if (!tree) return context.failed(tree.error(), named);
    if (paths_.size() > 1 && !is_recursive_ && !is_json_) {
      std::printf("%s%s:\n", is_first ? "" : "\n", shown_name(named).c_str());
    }
    print_folder(tree->root, text, is_first);
    int status = 0;
    for (const WalkProblem& problem : tree->problems) {
      status = context.failed(problem.error, problem.path);
    }
    return status;
  }

  void print_folder(const TreeEntry& folder, const std::string& path, bool is_first) {
    std::vector<const TreeEntry*> entries;
    for (const TreeEntry& child : folder.children) {
      if (shows_all_ || !child.name.starts_with('.')) entries.push_back(&child);
    }
    const std::string prefix = path.empty() || path.ends_with('/') ? path : path + "/";
    if (is_recursive_ && !is_json_) {
      std::printf("%s%s:\n", is_first ? "" : "\n", shown_name(path.empty() ? "/" : path).c_str());
    }
    print(entries, prefix);
    if (!is_recursive_) return;
    for (const TreeEntry* entry : entries) {
      if (entry->is_folder()) print_folder(*entry, prefix + entry->name, false);
    }
  }

  void print(const std::vector<const TreeEntry*>& entries, const std::string& prefix) {
    std::uint64_t largest = 0;
    for (const TreeEntry* entry : entries) largest = std::max(largest, entry->attributes.size);
    const int size_columns = static_cast<int>(std::to_string(largest).size());
    for (const TreeEntry* entry : entries) {
      if (is_json_) {
        json_.push_back(json_of(*entry, prefix + entry->name));
      } else if (is_long_) {
        std::printf("%s\n", long_line(*entry, shown_name(entry->name), size_columns).c_str());
      } else {
        std::printf("%s\n", shown_name(entry->name).c_str());
      }
    }
  }

  // As ls(1): what would disturb a terminal is escaped, a pipe gets the bytes.
  [[nodiscard]] std::string shown_name(const std::string& name) const {
    return escapes_ ? escaped(name) : name;
  }

  std::vector<std::string> paths_;
  bool is_long_ = false;
  bool shows_all_ = false;
  bool is_recursive_ = false;
  bool is_json_ = false;
  bool escapes_ = false;
  nlohmann::ordered_json json_ = nlohmann::ordered_json::array();
};

class SpaceCommand final : public RemoteCommand {
 public:
  void declare(CLI::App& app) override {
    app.set_help_flag("--help", "Print this help message and exit");
    app.add_option("server", server_, "[USER@]HOST[:PORT]")->type_name("[USER@]HOST");
    app.add_flag("-h,--human-readable", is_human_, "sizes as 1.5GiB");
    app.add_flag("--json", is_json_, "as JSON");
  }

  std::vector<std::string*> remote_arguments() override {
    if (server_.empty()) return {};
    return {&server_};
  }

  int run(RemoteContext& context) override {
    const auto reply = context.client().statfs().get();
    if (!reply) return context.failed(reply.error(), "df");
    const GrantState& grant = reply->grant;
    const bool has_quota = grant.limit != 0;
    const std::uint64_t size = has_quota ? grant.limit : reply->disk_bytes;
    const std::uint64_t left = grant.limit - std::min(grant.limit, grant.used);
    const std::uint64_t free =
        has_quota ? std::min(left, reply->disk_bytes_free) : reply->disk_bytes_free;
    if (is_json_) {
      const nlohmann::ordered_json json = {
          {"home", context.session.name()}, {"quota_bytes", grant.limit},
          {"used_bytes", grant.used},       {"free_bytes", free},
          {"files_max", reply->files_max},  {"files_used", reply->files_used}};
      std::printf("%s\n", json.dump().c_str());
      return 0;
    }
    const auto shown = [this](std::uint64_t bytes) {
      return is_human_ ? describe_size(bytes) : std::to_string(bytes);
    };
    const double percent =
        size == 0 ? 0 : 100.0 * static_cast<double>(grant.used) / static_cast<double>(size);
    std::printf("%-32s %16s %16s %16s %5s\n", "Home", "Size", "Used", "Free", "Used%");
    std::printf("%-32s %16s %16s %16s %4.0f%%\n", context.session.name().c_str(),
                shown(size).c_str(), shown(grant.used).c_str(), shown(free).c_str(), percent);
    return 0;
  }

 private:
  std::string server_;
  bool is_human_ = false;
  bool is_json_ = false;
};

}  // namespace

std::unique_ptr<RemoteCommand> make_list_command() { return std::make_unique<ListCommand>(); }
std::unique_ptr<RemoteCommand> make_space_command() { return std::make_unique<SpaceCommand>(); }

}  // namespace homefs

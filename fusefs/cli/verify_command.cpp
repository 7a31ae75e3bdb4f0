// `homefs verify`: compares files here with files of the server, without moving them.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "fusefs/cli/list_format.h"
#include "fusefs/cli/remote_command.h"
#include "fusefs/cli/transfer_flags.h"
#include "fusefs/remote/partial_name.h"
#include "fusefs/remote/remote_walk.h"
#include "fusefs/transfer/content_compare.h"
#include "fusefs/transfer/local_tree.h"

namespace homefs {
namespace {

class VerifyCommand final : public RemoteCommand {
 public:
  void declare(CLI::App& app) override {
    app.add_option("local", local_, "a file or folder here")->type_name("LOCAL")->required();
    app.add_option("remote", remote_, "[USER@]HOST[:PORT]/PATH")->type_name("REMOTE")->required();
    flags_.declare_common(app);
  }

  std::vector<std::string*> remote_arguments() override { return {&remote_}; }

  int run(RemoteContext& context) override {
    filter_ = flags_.filter();
    ContentCompare compare(context.client());
    const Result<> done = compare_all(context, compare);
    compare.drain();
    if (!done) {
      // 1 would say that they were compared, and differ.
      const int status = context.failed(done.error(), done.error().context);
      return status == number_of(ExitStatus::kFailed) ? number_of(ExitStatus::kPartly) : status;
    }
    print_sum();
    if (problems_ > 0) return number_of(ExitStatus::kPartly);
    context.last_status = differences_ == 0 ? Status::kSizeSame : Status::kSizeDiffers;
    return differences_ == 0 ? number_of(ExitStatus::kOk) : number_of(ExitStatus::kFailed);
  }

 private:
  Result<> compare_all(RemoteContext& context, ContentCompare& compare) {
    const WalkOptions options{.wants = filter_.for_walk()};
    auto here = local_entry(local_);
    if (!here) return fail(here.error().status, local_);
    const auto path = context.path(remote_);
    if (!path) return std::unexpected(path.error());
    const auto node = context.client().resolve(*path);
    if (!node) return std::unexpected(node.error());
    TreeEntry there{.attributes = node->attributes, .target = node->target, .node = node->id};
    if (here->is_folder() && there.is_folder()) {
      auto local = walk_local(local_, options);
      if (!local) return std::unexpected(local.error());
      auto remote = walk_remote(context.client(), *node, options);
      if (!remote) return std::unexpected(remote.error());
      for (const auto& problem : local->problems) problem_with(context, problem);
      for (const auto& problem : remote->problems) problem_with(context, problem);
      compare_folders(context, compare, {local->root, remote->root, local_, ""});
      compare.drain();
      return {};
    }
    compare_entries(context, compare, {*here, there, local_, local_}, kNoNode);
    compare.drain();
    return {};
  }

  struct Pair {
    const TreeEntry& here;
    const TreeEntry& there;
    std::filesystem::path local;
    std::string path;  // of a folder: "" or with "/" behind it
  };

  void compare_folders(RemoteContext& context, ContentCompare& compare, const Pair& pair) {
    for (const TreeEntry& here : pair.here.children) {
      if (is_partial_name(here.name)) continue;
      const TreeEntry* there = pair.there.find(here.name);
      const std::string path = pair.path + here.name;
      if (there == nullptr) {
        tell_missing("missing there", here, path);
      } else {
        compare_entries(context, compare, {here, *there, pair.local / here.name, path},
                        pair.there.node);
      }
    }
    for (const TreeEntry& there : pair.there.children) {
      if (is_partial_name(there.name) || pair.here.find(there.name) != nullptr) continue;
      tell_missing("missing here", there, pair.path + there.name);
    }
  }

  void compare_entries(RemoteContext& context, ContentCompare& compare, const Pair& pair,
                       NodeId folder) {
    const TreeEntry& here = pair.here;
    const TreeEntry& there = pair.there;
    if (((here.attributes.mode ^ there.attributes.mode) & S_IFMT) != 0) {
      return tell("type differs", pair.path);
    }
    if (here.is_folder()) {
      return compare_folders(context, compare, {here, there, pair.local, pair.path + "/"});
    }
    ++compared_;
    if (here.is_symlink()) {
      if (here.target != there.target) tell("differs", pair.path);
      return;
    }
    if (!here.is_file()) return;  // of the same kind is all that there is to say
    const std::uint64_t size = here.attributes.size;
    if (size != there.attributes.size) return tell("differs", pair.path);
    const NodeId node = there.node != kNoNode
                            ? there.node
                            : context.client().number_for({folder, there.name}, there.attributes);
    compare.add(pair.local, node, size,
                [this, &context, node, size, path = pair.path](const Result<bool>& is_equal) {
                  context.client().drop(node);
                  if (!is_equal) return problem_with(context, {path, is_equal.error()});
                  bytes_ += size;
                  if (!*is_equal) tell("differs", path);
                });
  }

  void tell(const char* what, const std::string& path) {
    ++differences_;
    if (flags_.is_json) {
      json_.push_back({{"path", escaped(path)}, {"difference", what}});
    } else if (!flags_.is_quiet) {
      std::printf("%s: %s\n", what, escaped(path).c_str());
    }
  }

  // What put and get never move is not missing.
  void tell_missing(const char* what, const TreeEntry& entry, const std::string& path) {
    if (entry.is_folder() || entry.is_file() || entry.is_symlink()) return tell(what, path);
    ++skipped_;
  }

  void problem_with(RemoteContext& context, const WalkProblem& problem) {
    ++problems_;
    (void)context.failed(problem.error, problem.path);
  }

  void print_sum() {
    if (flags_.is_json) {
      const nlohmann::ordered_json json = {{"compared", compared_},
                                           {"bytes", bytes_},
                                           {"skipped", skipped_},
                                           {"problems", problems_},
                                           {"differences", json_}};
      std::printf("%s\n", json.dump().c_str());
    } else if (!flags_.is_quiet && differences_ == 0 && problems_ == 0) {
      const std::string skipped =
          skipped_ == 0 ? ""
                        : ", " + std::to_string(skipped_) + " devices, pipes or sockets skipped";
      std::printf("%s files are equal%s\n", std::to_string(compared_).c_str(), skipped.c_str());
    }
  }

  std::string local_;
  std::string remote_;
  TransferFlags flags_;
  PathFilter filter_;
  std::uint64_t compared_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t skipped_ = 0;
  std::uint64_t differences_ = 0;
  std::uint64_t problems_ = 0;
  nlohmann::ordered_json json_ = nlohmann::ordered_json::array();
};

}  // namespace

std::unique_ptr<RemoteCommand> make_verify_command() { return std::make_unique<VerifyCommand>(); }

}  // namespace homefs

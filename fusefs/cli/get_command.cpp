// `homefs get`: files and trees from the server, verified, resumed where they broke off.
#include <filesystem>

#include "fusefs/cli/transfer_command.h"
#include "fusefs/remote/remote_walk.h"
#include "fusefs/transfer/get_run.h"
#include "fusefs/transfer/local_tree.h"

namespace homefs {
namespace {

class GetCommand final : public TransferCommand {
 public:
  GetCommand() : TransferCommand(TransferDirection::kDown) {}

  void declare(CLI::App& app) override {
    app.add_option("path", paths_, "what is got, [USER@]HOST[:PORT]/PATH, and the folder for it")
        ->type_name("REMOTE... [LOCAL]")
        ->required();
    flags_.declare_transfer(app);
  }

  std::vector<std::string*> remote_arguments() override {
    std::vector<std::string*> arguments;
    const std::size_t count = paths_.size() < 2 ? paths_.size() : paths_.size() - 1;
    for (std::size_t i = 0; i < count; ++i) arguments.push_back(&paths_[i]);
    return arguments;
  }

 private:
  Result<> look(RemoteContext& context, Trees& trees, TransferMonitor& monitor) override {
    for (const std::string& text : paths_) {
      if (const Result<> added = add_source(context, text, trees.source, monitor); !added) {
        monitor.failed(text, added.error());
      }
    }
    trees.source.sort_children();
    if (trees.source.children.empty()) return {};
    auto folder = find_folder(trees.source);
    if (!folder) return std::unexpected(folder.error());
    folder_ = *std::move(folder);
    look_at_target(trees, monitor);
    return {};
  }

  void carry_out(RemoteContext& context, TransferPlan& plan, TransferMonitor& monitor,
                 const TransferOptions& options) override {
    GetRun(context.client(), monitor, options).run(plan, folder_);
  }

  // `source` gets what `text` names as a child, or as its children.
  Result<> add_source(RemoteContext& context, const std::string& text, TreeEntry& source,
                      TransferMonitor& monitor) {
    const auto path = context.path(text);
    if (!path) return std::unexpected(path.error());
    auto node = context.client().resolve(*path);
    if (!node) return fail(node.error().status);
    TreeEntry entry{.attributes = node->attributes, .target = node->target, .node = node->id};
    if (entry.is_folder()) {
      if (!flags_.is_recursive) return fail(Status::kIsDirectory, "got only with -r");
      auto walked = walk(context, *node);
      if (!walked) return std::unexpected(walked.error());
      for (const WalkProblem& problem : walked->problems) {
        monitor.failed(text + "/" + problem.path, problem.error);
      }
      entry = std::move(walked->root);
    }
    if (!path->is_root()) {
      entry.name = path->name();
      if (source.find_unsorted(entry.name) != nullptr) {
        return fail(Status::kInvalid, "two of the sources have this name");
      }
      source.children.push_back(std::move(entry));
      return {};
    }
    is_merging_ = true;  // the home itself: what is in it
    for (TreeEntry& child : entry.children) {
      if (child.node == kNoNode) {
        child.node = context.client().number_for({kRootNode, child.name}, child.attributes);
      }
      source.children.push_back(std::move(child));
    }
    return {};
  }

  [[nodiscard]] Result<WalkedTree> walk(RemoteContext& context, const RemoteNode& node) const {
    const WalkOptions options{.wants = filter_.for_walk()};
    return walk_remote(context.client(), node, options);
  }

  // The local folder that takes all in; the one source may get another name.
  Result<std::filesystem::path> find_folder(TreeEntry& source) const {
    const std::filesystem::path path(target_text_);
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) return path;
    const bool needs_folder =
        source.children.size() > 1 || is_merging_ || target_text_.ends_with('/');
    if (needs_folder) return fail(Status::kNotDirectory, target_text_);
    const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    if (!std::filesystem::is_directory(parent, error)) {
      return fail(Status::kNoSuchDirectory, parent.string());
    }
    source.children.front().name = path.filename().string();
    return parent;
  }

  void look_at_target(Trees& trees, TransferMonitor& monitor) const {
    for (const TreeEntry& child : trees.source.children) {
      auto entry = local_entry(folder_ / child.name);
      if (!entry) continue;
      if (entry->is_folder() && child.is_folder()) {
        if (auto walked = walk_local(folder_ / child.name, {})) {
          *entry = std::move(walked->root);
        } else {
          monitor.failed(child.name, walked.error());
        }
      }
      entry->name = child.name;
      trees.target.children.push_back(*std::move(entry));
    }
  }

  std::filesystem::path folder_;  // where all goes
};

}  // namespace

std::unique_ptr<RemoteCommand> make_get_command() { return std::make_unique<GetCommand>(); }

}  // namespace homefs

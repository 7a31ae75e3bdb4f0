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
    std::vector<Source> sources;
    for (const std::string& text : paths_) {
      auto source = read_source(context, text, monitor);
      if (!source) {
        monitor.failed(text, source.error());
      } else if (source->entry.is_folder() || filter_.accepts(source->entry.name, false)) {
        sources.push_back(*std::move(source));
      }
    }
    if (sources.empty()) return {};
    auto place = find_place();
    if (!place) return std::unexpected(place.error());
    folder_ = std::move(place->folder);
    auto source = join(std::move(sources), place->name);
    if (!source) return std::unexpected(source.error());
    trees.source = *std::move(source);
    look_at_target(trees, monitor);
    return {};
  }

  void carry_out(RemoteContext& context, TransferPlan& plan, TransferMonitor& monitor,
                 const TransferOptions& options) override {
    GetRun(context.client(), monitor, options).run(plan, folder_);
  }

  Result<Source> read_source(RemoteContext& context, const std::string& text,
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
      entry.node = node->id;
    }
    if (!path->is_root()) entry.name = path->name();
    const bool is_contents = entry.is_folder() && (path->is_root() || names_contents(text));
    if (is_contents) {
      for (TreeEntry& child : entry.children) {
        if (child.node != kNoNode) continue;
        child.node = context.client().number_for({node->id, child.name}, child.attributes);
      }
    }
    return Source{std::move(entry), is_contents};
  }

  [[nodiscard]] Result<WalkedTree> walk(RemoteContext& context, const RemoteNode& node) const {
    const WalkOptions options{.wants = filter_.for_walk()};
    return walk_remote(context.client(), node, options);
  }

  struct Place {
    std::filesystem::path folder;
    std::string name;  // for the only source; empty: each keeps its own
  };

  // Where the target is on the local disk.
  [[nodiscard]] Result<Place> find_place() const {
    const std::filesystem::path path(target_text_);
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) return Place{path, {}};
    if (needs_folder() || target_text_.ends_with('/')) {
      const bool is_there = std::filesystem::exists(path, error);
      return fail(is_there ? Status::kNotDirectory : Status::kNoSuchDirectory, target_text_);
    }
    const auto parent = path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
    if (!std::filesystem::is_directory(parent, error)) {
      return fail(Status::kNoSuchDirectory, parent.string());
    }
    return Place{parent, path.filename().string()};
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

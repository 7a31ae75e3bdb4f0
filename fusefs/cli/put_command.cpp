// `homefs put`: files and trees to the server, verified, resumed where they broke off.
#include <filesystem>

#include "fusefs/cli/transfer_command.h"
#include "fusefs/remote/destination.h"
#include "fusefs/remote/pipeline.h"
#include "fusefs/remote/remote_walk.h"
#include "fusefs/transfer/local_tree.h"
#include "fusefs/transfer/put_run.h"

namespace homefs {
namespace {

class PutCommand final : public TransferCommand {
 public:
  PutCommand() : TransferCommand(TransferDirection::kUp) {}

  void declare(CLI::App& app) override {
    app.add_option("path", paths_, "what is put, and where: [USER@]HOST[:PORT]/PATH")
        ->type_name("LOCAL... TARGET")
        ->required();
    flags_.declare_transfer(app);
  }

  std::vector<std::string*> remote_arguments() override {
    // One argument is what is put, where it is clear into which home.
    if (paths_.size() < 2) return {};
    return {&paths_.back()};
  }

 private:
  Result<> look(RemoteContext& context, Trees& trees, TransferMonitor& monitor) override {
    std::vector<Source> sources = collect(monitor);
    if (sources.empty()) return {};
    const auto path = context.path(target_text_);
    if (!path) return std::unexpected(path.error());
    const auto destination = find_destination(context.client(), *path, needs_folder());
    if (!destination) return std::unexpected(destination.error());
    auto source = join(std::move(sources), destination->name);
    if (!source) return std::unexpected(source.error());
    trees.source = *std::move(source);
    folder_ = destination->folder.id;
    return look_at_target(context.client(), trees);
  }

  void carry_out(RemoteContext& context, TransferPlan& plan, TransferMonitor& monitor,
                 const TransferOptions& options) override {
    PutRun(context.client(), monitor, options).run(plan, folder_);
  }

  std::vector<Source> collect(TransferMonitor& monitor) {
    std::vector<Source> sources;
    for (const std::string& text : paths_) {
      auto entry = read_source(text, monitor);
      if (!entry) {
        monitor.failed(text, entry.error());
        continue;
      }
      const std::filesystem::path path(text);
      const bool is_contents = entry->is_folder() && names_contents(text);
      entry->name = name_of(path);
      if (!entry->is_folder() && !filter_.accepts(entry->name, /*is_folder=*/false)) continue;
      if (is_contents) {
        for (TreeEntry& child : entry->children) child.origin = (path / child.name).string();
      }
      sources.push_back({*std::move(entry), is_contents});
    }
    return sources;
  }

  static std::string name_of(const std::filesystem::path& path) {
    const std::filesystem::path normal = path.lexically_normal();
    return (normal.has_filename() ? normal : normal.parent_path()).filename().string();
  }

  Result<TreeEntry> read_source(const std::string& text, TransferMonitor& monitor) {
    auto entry = local_entry(text);
    if (!entry) return fail(entry.error().status);
    if (!entry->is_folder()) return entry;
    if (!flags_.is_recursive) return fail(Status::kIsDirectory, "put only with -r");
    const WalkOptions options{.wants = filter_.for_walk()};
    auto walked = walk_local(text, options);
    if (!walked) return fail(walked.error().status);
    for (const WalkProblem& problem : walked->problems) {
      monitor.failed(text + "/" + problem.path, problem.error);
    }
    return std::move(walked->root);
  }

  // What of the sources is in the folder already.
  Result<> look_at_target(RemoteClient& client, Trees& trees) const {
    Pipeline<RemoteNode> lookups;
    Result<> result;
    for (const TreeEntry& child : trees.source.children) {
      lookups.push(client.lookup({folder_, child.name}), [&](Result<RemoteNode> found) {
        if (!found) {
          if (found.error().status != Status::kNoSuchFile) {
            result = std::unexpected(found.error());
          }
          return;
        }
        trees.target.children.push_back({.name = child.name,
                                         .attributes = found->attributes,
                                         .target = std::move(found->target),
                                         .node = found->id});
      });
    }
    lookups.drain();
    for (TreeEntry& child : trees.target.children) {
      const TreeEntry* from = trees.source.find(child.name);
      if (!child.is_folder() || from == nullptr || !from->is_folder()) continue;
      auto walked = walk_remote(client, {child.node, child.attributes, {}}, {});
      if (!walked) return std::unexpected(walked.error());
      child.children = std::move(walked->root.children);
    }
    return result;
  }

  NodeId folder_{};  // where all goes
};

}  // namespace

std::unique_ptr<RemoteCommand> make_put_command() { return std::make_unique<PutCommand>(); }

}  // namespace homefs

// `homefs put`: files and trees to the server, verified, resumed where they broke off.
#include <cstdio>

#include "fusefs/cli/list_format.h"
#include "fusefs/cli/remote_command.h"
#include "fusefs/cli/terminal.h"
#include "fusefs/cli/transfer_end.h"
#include "fusefs/cli/transfer_flags.h"
#include "fusefs/remote/destination.h"
#include "fusefs/remote/pipeline.h"
#include "fusefs/remote/remote_walk.h"
#include "fusefs/transfer/local_tree.h"
#include "fusefs/transfer/put_run.h"

namespace homefs {
namespace {

class PutCommand final : public RemoteCommand {
 public:
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

  int run(RemoteContext& context) override {
    auto options = flags_.options();
    if (!options) return report(options.error());
    options->client_key = context.session.client_id();
    filter_ = flags_.filter();
    target_text_ = paths_.size() < 2 ? "." : paths_.back();
    if (paths_.size() >= 2) paths_.pop_back();
    TransferDisplay display({.is_quiet = flags_.is_quiet, .is_json = flags_.is_json},
                            [&context] { context.session.link().close(); });
    options->is_stopped = &display.is_stopped();
    TransferMonitor monitor(TransferDirection::kUp, context.session.side_log(), display.note());
    const Result<> done = put(context, *options, display, monitor);
    return end_transfer(context, display, monitor, TransferDirection::kUp, done);
  }

 private:
  Result<> put(RemoteContext& context, const TransferOptions& options, TransferDisplay& display,
               TransferMonitor& monitor) {
    TreeEntry source;
    collect(source, monitor);
    if (const Result<> checked = check_names(source); !checked) return checked;
    if (source.children.empty()) return {};
    const auto path = context.path(target_text_);
    if (!path) return std::unexpected(path.error());
    const bool is_for_many = source.children.size() > 1 || is_merging_;
    const auto destination = find_destination(context.client(), *path, is_for_many);
    if (!destination) return std::unexpected(destination.error());
    if (!destination->name.empty()) source.children.front().name = destination->name;
    TreeEntry target;
    if (const Result<> looked = look_at_target(context, destination->folder.id, source, target);
        !looked) {
      return looked;
    }
    TransferPlan plan = make_plan(source, target, {.compares_contents = options.compares_contents});
    if (flags_.is_dry) {
      print_plan(plan, flags_);
      monitor.plan(plan.files, plan.bytes);
      return {};
    }
    display.start(monitor);
    PutRun(context.client(), monitor, options).run(plan, destination->folder.id);
    return {};
  }

  // The sources as children of one folder, whose names are those they will have.
  void collect(TreeEntry& all, TransferMonitor& monitor) {
    for (const std::string& text : paths_) {
      auto entry = read_source(text, monitor);
      if (!entry) {
        monitor.failed(text, entry.error());
        continue;
      }
      const std::filesystem::path path(text);
      const std::string name = name_of(path);
      if (!name.empty()) {
        entry->name = name;
        all.children.push_back(*std::move(entry));
        continue;
      }
      is_merging_ = true;  // ".", "..", "/": what is in it
      for (TreeEntry& child : entry->children) {
        child.origin = (path / child.name).string();
        all.children.push_back(std::move(child));
      }
    }
    all.sort_children();
  }

  static std::string name_of(const std::filesystem::path& path) {
    std::filesystem::path normal = path.lexically_normal();
    if (!normal.has_filename()) normal = normal.parent_path();
    const std::string name = normal.filename().string();
    return name == "." || name == ".." ? std::string() : name;
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

  static Result<> check_names(const TreeEntry& source) {
    for (std::size_t i = 1; i < source.children.size(); ++i) {
      if (source.children[i].name == source.children[i - 1].name) {
        return fail(Status::kInvalid,
                    "two of the sources are called " + homefs::quoted(source.children[i].name));
      }
    }
    return {};
  }

  // What of the sources is in the folder already.
  static Result<> look_at_target(RemoteContext& context, NodeId folder, const TreeEntry& source,
                                 TreeEntry& target) {
    RemoteClient& client = context.client();
    Pipeline<RemoteNode> lookups;
    Result<> result;
    for (const TreeEntry& child : source.children) {
      lookups.push(client.lookup({folder, child.name}), [&](Result<RemoteNode> found) {
        if (!found) {
          if (found.error().status != Status::kNoSuchFile) {
            result = std::unexpected(found.error());
          }
          return;
        }
        target.children.push_back({.name = child.name,
                                   .attributes = found->attributes,
                                   .target = std::move(found->target),
                                   .node = found->id});
      });
    }
    lookups.drain();
    for (TreeEntry& child : target.children) {
      const TreeEntry* from = source.find(child.name);
      if (!child.is_folder() || from == nullptr || !from->is_folder()) continue;
      auto walked = walk_remote(client, {child.node, child.attributes, {}}, {});
      if (!walked) return std::unexpected(walked.error());
      child.children = std::move(walked->root.children);
    }
    return result;
  }

  std::vector<std::string> paths_;
  std::string target_text_;
  TransferFlags flags_;
  PathFilter filter_;
  bool is_merging_ = false;
};

}  // namespace

std::unique_ptr<RemoteCommand> make_put_command() { return std::make_unique<PutCommand>(); }

}  // namespace homefs

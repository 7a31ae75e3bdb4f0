// `homefs cp`, `mv`, `re`, `mkdir` and `rm`: changes of a home without a mount.
#include <sys/stat.h>

#include "fusefs/cli/remote_command.h"
#include "fusefs/cli/terminal.h"
#include "fusefs/remote/destination.h"
#include "fusefs/remote/remote_copy.h"
#include "fusefs/remote/remote_remove.h"

namespace homefs {
namespace {

std::vector<std::string*> pointers_to(std::vector<std::string>& texts) {
  std::vector<std::string*> pointers;
  for (std::string& text : texts) pointers.push_back(&text);
  return pointers;
}

Error usage(const std::string& text) { return {Status::kInvalid, text}; }

// What cp and mv have in common: SOURCE... TARGET.
class TwoPlacesCommand : public RemoteCommand {
 public:
  std::vector<std::string*> remote_arguments() override { return pointers_to(paths_); }

  int run(RemoteContext& context) override {
    if (paths_.size() < 2) return report(usage("a source and a target are needed"));
    const std::string target_text = paths_.back();
    paths_.pop_back();
    const auto target = context.path(target_text);
    if (!target) return context.failed(target.error(), target_text);
    const auto destination = find_destination(context.client(), *target, paths_.size() > 1);
    if (!destination) return context.failed(destination.error(), target_text);
    int status = 0;
    for (const std::string& source : paths_) {
      const int done = carry_out_one(context, source, *destination);
      if (done != 0) status = done;
    }
    return status;
  }

 protected:
  virtual int carry_out(RemoteContext& context, const RemotePath& source, const std::string& text,
                        const RemotePlace& to) = 0;

  std::vector<std::string> paths_;

 private:
  int carry_out_one(RemoteContext& context, const std::string& text,
                    const Destination& destination) {
    const auto source = context.path(text);
    if (!source) return context.failed(source.error(), text);
    if (source->is_root()) return context.failed(usage("it is the home itself"), text);
    const std::string& name = destination.name_for(source->name());
    const RemotePath end = destination.path.child(name);
    if (end.parts == source->parts) return context.failed(usage("both are the same"), text);
    if (end.is_within(*source)) {
      return context.failed(usage("a folder cannot go into itself"), text);
    }
    return carry_out(context, *source, text, {destination.folder.id, name});
  }
};

class CopyCommand final : public TwoPlacesCommand {
 public:
  void declare(CLI::App& app) override {
    app.add_option("path", paths_, "SOURCE... TARGET")->type_name("SOURCE... TARGET")->required();
    app.add_flag("-r,-R,--recursive", is_recursive_, "folders with all that is in them");
  }

 protected:
  int carry_out(RemoteContext& context, const RemotePath& source, const std::string& text,
                const RemotePlace& to) override {
    const auto node = context.client().resolve(source);
    if (!node) return context.failed(node.error(), text);
    if (S_ISDIR(node->attributes.mode) && !is_recursive_) {
      return context.failed({Status::kIsDirectory, "copied only with -r"}, text);
    }
    int status = 0;
    (void)copy_remote(
        context.client(), *node, text, to,
        [&](const std::string& path, const Error& error) { status = context.failed(error, path); });
    if (status == 0) context.last_status = Status::kCopied;
    return status;
  }

 private:
  bool is_recursive_ = false;
};

class MoveCommand final : public TwoPlacesCommand {
 public:
  void declare(CLI::App& app) override {
    app.add_option("path", paths_, "SOURCE... TARGET")->type_name("SOURCE... TARGET")->required();
    app.add_flag("-n,--no-clobber", keeps_existing_, "never replace a file");
  }

 protected:
  int carry_out(RemoteContext& context, const RemotePath& source, const std::string& text,
                const RemotePlace& to) override {
    const auto folder = context.client().resolve(source.parent());
    if (!folder) return context.failed(folder.error(), text);
    const RenameMode mode = keeps_existing_ ? RenameMode::kNoReplace : RenameMode::kReplace;
    const auto moved = context.client().rename({folder->id, source.name()}, to, mode).get();
    if (!moved) return context.failed(moved.error(), text);
    context.last_status = Status::kRenamed;
    return 0;
  }

 private:
  bool keeps_existing_ = false;
};

class RenameCommand final : public RemoteCommand {
 public:
  void declare(CLI::App& app) override {
    app.add_option("path", path_, "what is renamed")->type_name("PATH")->required();
    app.add_option("name", name_, "its new name, in the same folder")
        ->type_name("NAME")
        ->required();
    app.add_flag("-f,--force", replaces_, "replace what has this name already");
  }

  std::vector<std::string*> remote_arguments() override { return {&path_}; }

  int run(RemoteContext& context) override {
    if (name_.find('/') != std::string::npos) {
      return report(usage("the new name has no \"/\" in it; \"mv\" moves to other folders"));
    }
    const auto path = context.path(path_);
    if (!path) return context.failed(path.error(), path_);
    if (path->is_root()) return context.failed(usage("it is the home itself"), path_);
    const auto folder = context.client().resolve(path->parent());
    if (!folder) return context.failed(folder.error(), path_);
    const RenameMode mode = replaces_ ? RenameMode::kReplace : RenameMode::kNoReplace;
    const auto moved =
        context.client().rename({folder->id, path->name()}, {folder->id, name_}, mode).get();
    if (!moved) {
      const bool is_taken = moved.error().status == Status::kRenameTargetExists ||
                            moved.error().status == Status::kExists;
      return context.failed(moved.error(), is_taken ? name_ : path_);
    }
    context.last_status = Status::kRenamed;
    return 0;
  }

 private:
  std::string path_;
  std::string name_;
  bool replaces_ = false;
};

class MkdirCommand final : public RemoteCommand {
 public:
  void declare(CLI::App& app) override {
    app.add_option("path", paths_, "the folders")->type_name("PATH...")->required();
    app.add_flag("-p,--parents", makes_parents_, "parents too; one that exists is no mistake");
  }

  std::vector<std::string*> remote_arguments() override { return pointers_to(paths_); }

  int run(RemoteContext& context) override {
    const mode_t mask = ::umask(0);
    (void)::umask(mask);
    mode_ = 0777 & ~mask;
    int status = 0;
    for (const std::string& text : paths_) {
      const auto path = context.path(text);
      const Result<> made =
          path ? make(context.client(), *path) : Result<>(std::unexpected(path.error()));
      if (!made) status = context.failed(made.error(), text);
    }
    return status;
  }

 private:
  Result<> make(RemoteClient& client, const RemotePath& path) const {
    if (path.is_root()) return makes_parents_ ? Result<>() : fail(Status::kExists);
    auto parent = client.resolve(path.parent());
    if (!parent && makes_parents_ && parent.error().status == Status::kNoSuchFile) {
      if (const Result<> above = make(client, path.parent()); !above) return above;
      parent = client.resolve(path.parent());
    }
    if (!parent) return std::unexpected(parent.error());
    const RemotePlace place{parent->id, path.name()};
    const auto made = client.mkdir(place, client.book().next_id(), mode_).get();
    if (made) return {};
    if (!makes_parents_ || made.error().status != Status::kExists) {
      return std::unexpected(made.error());
    }
    const auto there = client.lookup(place).get();
    if (there && S_ISDIR(there->attributes.mode)) return {};
    return std::unexpected(made.error());
  }

  std::vector<std::string> paths_;
  bool makes_parents_ = false;
  std::uint32_t mode_ = 0755;
};

class RemoveCommand final : public RemoteCommand {
 public:
  void declare(CLI::App& app) override {
    app.add_option("path", paths_, "what is removed")->type_name("PATH...")->required();
    app.add_flag("-r,-R,--recursive", is_recursive_, "folders with all that is in them");
    app.add_flag("-f,--force", is_forced_, "what does not exist is no mistake");
  }

  std::vector<std::string*> remote_arguments() override { return pointers_to(paths_); }

  int run(RemoteContext& context) override {
    int status = 0;
    for (const std::string& text : paths_) {
      const int done = remove(context, text);
      if (done != 0) status = done;
    }
    return status;
  }

 private:
  int remove(RemoteContext& context, const std::string& text) const {
    const auto path = context.path(text);
    if (!path) return context.failed(path.error(), text);
    if (path->is_root()) return context.failed(usage("it is the home itself"), text);
    RemoteClient& client = context.client();
    const auto folder = client.resolve(path->parent());
    Result<RemoteNode> node = folder ? client.lookup({folder->id, path->name()}).get()
                                     : Result<RemoteNode>(std::unexpected(folder.error()));
    if (!node) {
      const bool is_absent = node.error().status == Status::kNoSuchFile;
      return is_absent && is_forced_ ? 0 : context.failed(node.error(), text);
    }
    const RemotePlace place{folder->id, path->name()};
    if (!S_ISDIR(node->attributes.mode)) {
      const auto removed = client.unlink(place).get();
      return removed ? 0 : context.failed(removed.error(), text);
    }
    if (!is_recursive_) {
      return context.failed({Status::kIsDirectory, "removed only with -r"}, text);
    }
    int status = 0;
    (void)remove_remote_tree(
        client, *node, place, text,
        [&](const std::string& name, const Error& error) { status = context.failed(error, name); });
    return status;
  }

  std::vector<std::string> paths_;
  bool is_recursive_ = false;
  bool is_forced_ = false;
};

}  // namespace

std::unique_ptr<RemoteCommand> make_copy_command() { return std::make_unique<CopyCommand>(); }
std::unique_ptr<RemoteCommand> make_move_command() { return std::make_unique<MoveCommand>(); }
std::unique_ptr<RemoteCommand> make_rename_command() { return std::make_unique<RenameCommand>(); }
std::unique_ptr<RemoteCommand> make_mkdir_command() { return std::make_unique<MkdirCommand>(); }
std::unique_ptr<RemoteCommand> make_remove_command() { return std::make_unique<RemoveCommand>(); }

}  // namespace homefs

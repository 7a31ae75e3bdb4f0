#include "fusefs/remote/remote_remove.h"

#include "fusefs/remote/pipeline.h"
#include "fusefs/remote/remote_walk.h"

namespace homefs {
namespace {

using Note = std::function<void(const std::string& path, const Error& error)>;

class TreeRemoval {
 public:
  TreeRemoval(RemoteClient& client, const Note& note) : client_(client), note_(note) {}

  std::uint64_t run(const TreeEntry& root, const RemotePlace& place, const std::string& path) {
    remove_contents(root, path);
    push(client_.rmdir(place), path);
    pipeline_.drain();
    return failures_;
  }

  void failed(const std::string& path, const Error& error) {
    if (error.status == Status::kNoSuchFile) return;  // somebody was quicker
    ++failures_;
    note_(path, error);
  }

 private:
  void remove_contents(const TreeEntry& folder, const std::string& path) {
    for (const TreeEntry& child : folder.children) {
      const std::string child_path = path + "/" + child.name;
      const RemotePlace place{folder.node, child.name};
      if (child.is_folder()) {
        remove_contents(child, child_path);
        push(client_.rmdir(place), child_path);
      } else {
        push(client_.unlink(place), child_path);
      }
    }
  }

  void push(Answer<RemoveReply> answer, const std::string& path) {
    pipeline_.push(std::move(answer), [this, path](const Result<RemoveReply>& reply) {
      if (!reply) failed(path, reply.error());
    });
  }

  RemoteClient& client_;
  const Note& note_;
  std::uint64_t failures_ = 0;
  Pipeline<RemoveReply> pipeline_;
};

}  // namespace

std::uint64_t remove_remote_tree(RemoteClient& client, const RemoteNode& folder,
                                 const RemotePlace& place, const std::string& path,
                                 const Note& note) {
  TreeRemoval removal(client, note);
  const auto walked = walk_remote(client, folder, {});
  if (!walked) {
    removal.failed(path, walked.error());
    return 1;
  }
  return removal.run(walked->root, place, path);
}

}  // namespace homefs

#include "fusefs/remote/remote_copy.h"

#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <memory>

#include "fusefs/remote/partial_name.h"
#include "fusefs/remote/remote_walk.h"
#include "protocol/limits.h"

namespace homefs {
namespace {

constexpr std::size_t kFilesAhead = 24;  // with four requests each, within the window

using Note = std::function<void(const std::string& path, const Error& error)>;

class TreeCopy {
 public:
  TreeCopy(RemoteClient& client, const Note& note) : client_(client), note_(note) {}

  CopyFigures run(const RemoteNode& source, const std::string& from, RemotePlace to) {
    if (S_ISDIR(source.attributes.mode)) {
      auto walked = walk_remote(client_, source, {});
      if (!walked) {
        failed(from, walked.error());
        return figures_;
      }
      for (const WalkProblem& problem : walked->problems) {
        failed(from + "/" + problem.path, problem.error);
      }
      copy_folder(walked->root, from, std::move(to));
    } else {
      TreeEntry entry{.attributes = source.attributes, .target = source.target, .node = source.id};
      copy_entry(entry, source.id, from, std::move(to));
    }
    while (!ahead_.empty()) finish_first();
    return figures_;
  }

 private:
  struct Copying {
    std::string path;
    NodeId source{};
    NodeId node{};
    RemotePlace temporary;
    RemotePlace place;
    std::uint64_t size = 0;
    std::uint32_t mode = 0;
    Answer<EntryReply> created;
    std::deque<Answer<CopyReply>> copied;
  };

  void failed(const std::string& path, const Error& error) {
    ++figures_.failures;
    note_(path, error);
  }

  void copy_folder(const TreeEntry& folder, const std::string& path, RemotePlace to) {
    const NodeId node = client_.book().next_id();
    auto made = client_.mkdir(to, node, (folder.attributes.mode & 0777) | 0700).get();
    NodeId inside = node;
    if (!made && made.error().status == Status::kExists) {
      const auto there = client_.lookup(to).get();
      if (there && S_ISDIR(there->attributes.mode)) {
        inside = there->id;
        made = EntryReply{};
      }
    }
    if (!made) return failed(path, made.error());
    for (const TreeEntry& child : folder.children) {
      const std::string child_path = path + "/" + child.name;
      if (child.is_folder()) {
        copy_folder(child, child_path, {inside, child.name});
      } else if (!is_partial_name(child.name)) {
        const NodeId source = client_.number_for({folder.node, child.name}, child.attributes);
        copy_entry(child, source, child_path, {inside, child.name});
      }
    }
    if ((folder.attributes.mode & 0700) != 0700 && inside == node) {
      while (!ahead_.empty()) finish_first();  // it may have to be writable until then
      (void)client_.setattr(
          {.node = node, .which = kSetMode, .mode = folder.attributes.mode & 07777});
    }
  }

  void copy_entry(const TreeEntry& entry, NodeId source, const std::string& path, RemotePlace to) {
    if (entry.is_file()) {
      begin(entry, source, path, std::move(to));
      while (ahead_.size() > kFilesAhead) finish_first();
      return;
    }
    if (!entry.is_symlink()) return failed(path, {Status::kNotSupported, "a special file"});
    RemotePlace temporary{to.folder, partial_name(to.name, "copy")};
    const NodeId node = client_.book().next_id();
    auto made = client_.symlink(temporary, node, entry.target);
    auto renamed = client_.rename(temporary, to, RenameMode::kReplace, node);
    const auto result = made.get();
    if (!result) return failed(path, result.error());
    finish_rename(path, temporary, renamed.get());
    ++figures_.files;
  }

  void begin(const TreeEntry& entry, NodeId source, const std::string& path, RemotePlace to) {
    Copying copy{.path = path,
                 .source = source,
                 .node = client_.book().next_id(),
                 .temporary = {to.folder, partial_name(to.name, "copy")},
                 .place = std::move(to),
                 .size = entry.attributes.size,
                 .mode = entry.attributes.mode & 07777};
    // One that an earlier copy has left behind is in the way.
    (void)client_.unlink(copy.temporary);
    copy.created = client_.create(copy.temporary, copy.node, 0600);
    for (std::uint64_t at = 0; at < copy.size; at += kCopyBytesMax) {
      copy.copied.push_back(client_.copy({.source = copy.source,
                                          .source_offset = at,
                                          .target = copy.node,
                                          .target_offset = at,
                                          .length = std::min(kCopyBytesMax, copy.size - at)}));
      if (copy.copied.size() > kFilesAhead) break;  // a large file: the rest when these are done
    }
    ahead_.push_back(std::move(copy));
  }

  // Waits for the copies under way and makes those that are left; kIoError when the source shrank.
  Result<> finish_data(Copying& copy) {
    std::uint64_t done = 0;
    while (done < copy.size) {
      if (copy.copied.empty()) {
        copy.copied.push_back(client_.copy({.source = copy.source,
                                            .source_offset = done,
                                            .target = copy.node,
                                            .target_offset = done,
                                            .length = std::min(kCopyBytesMax, copy.size - done)}));
      }
      const auto reply = copy.copied.front().get();
      copy.copied.pop_front();
      if (!reply) return std::unexpected(reply.error());
      if (reply->length != std::min(kCopyBytesMax, copy.size - done)) {
        return fail(Status::kIoError, "it became shorter while it was copied");
      }
      done += reply->length;
    }
    return {};
  }

  void finish_first() {
    Copying copy = std::move(ahead_.front());
    ahead_.pop_front();
    const auto created = copy.created.get();
    Result<> done;
    if (created) {
      done = finish_data(copy);
    } else {
      done = std::unexpected(created.error());
    }
    if (done) {
      auto set = client_.setattr({.node = copy.node, .which = kSetMode, .mode = copy.mode});
      auto renamed = client_.rename(copy.temporary, copy.place, RenameMode::kReplace, copy.node);
      (void)set.get();  // a mode that is not possible there is no reason to lose the copy
      if (finish_rename(copy.path, copy.temporary, renamed.get())) {
        ++figures_.files;
        figures_.bytes += copy.size;
      }
    } else {
      if (created) (void)client_.unlink(copy.temporary).get();
      failed(copy.path, done.error());
    }
    client_.drop(copy.node);
  }

  bool finish_rename(const std::string& path, const RemotePlace& temporary,
                     const Result<RenameReply>& renamed) {
    if (renamed) return true;
    (void)client_.unlink(temporary).get();
    failed(path, renamed.error());
    return false;
  }

  RemoteClient& client_;
  const Note& note_;
  CopyFigures figures_;
  std::deque<Copying> ahead_;
};

}  // namespace

CopyFigures copy_remote(RemoteClient& client, const RemoteNode& source, const std::string& from,
                        RemotePlace to, const Note& note) {
  return TreeCopy(client, note).run(source, from, std::move(to));
}

}  // namespace homefs

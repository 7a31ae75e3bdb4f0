// StorageModel: comparing what the two sides hold, and going on after a kill of the server.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <set>
#include <sstream>

#include "tests/model/storage_model.h"

namespace homefs::test {
namespace {

std::string contents_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

std::set<std::string> xattrs_of(const std::filesystem::path& path) {
  std::array<char, 4096> names;
  const ssize_t bytes = ::llistxattr(path.c_str(), names.data(), names.size());
  std::set<std::string> list;
  for (ssize_t at = 0; at < bytes;) {
    const std::string name(names.data() + at);
    at += static_cast<ssize_t>(name.size()) + 1;
    if (name.starts_with("user.")) list.insert(name);
  }
  return list;
}

std::set<std::string> split(const std::string& names) {
  std::set<std::string> list;
  for (std::size_t at = 0; at < names.size();) {
    list.insert(std::string(names.c_str() + at));
    at += list.empty() ? 1 : std::string(names.c_str() + at).size() + 1;
  }
  return list;
}

// One path of everything below `root`.
std::map<ino_t, std::filesystem::path> paths_by_inode(const std::filesystem::path& root) {
  std::map<ino_t, std::filesystem::path> paths;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
    struct ::stat s{};
    if (::lstat(entry.path().c_str(), &s) == 0) paths.emplace(s.st_ino, entry.path());
  }
  return paths;
}

}  // namespace

void StorageModel::compare_folder(TestSession& session, NodeId node,
                                  const std::filesystem::path& path) {
  const auto answer = session.list({.folder = node, .bytes_max = 1'000'000});
  ASSERT_EQ(answer.status, Status::kOk) << path;
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(path)) {
    names.insert(entry.path().filename());
  }
  for (const ListedEntry& entry : answer->folders[0].entries) {
    ASSERT_EQ(names.erase(entry.name), 1u) << path << " " << entry.name;
    const auto below = path / entry.name;
    const UniqueFd fd(::open(below.c_str(), O_PATH | O_NOFOLLOW));
    expect_attributes(below.c_str(), entry.attributes, fd.get());
    const NodeId child = session.find(node, entry.name);
    EXPECT_EQ(split(session.call<EmptyMessage>(Op::kListxattr, NodeRequest{.node = child}).payload),
              xattrs_of(below))
        << below;
    if (S_ISDIR(entry.attributes.mode)) compare_folder(session, child, below);
    if (S_ISREG(entry.attributes.mode)) {
      EXPECT_TRUE(session.read(child, 0, kPayloadBytesMax).payload == contents_of(below)) << below;
    }
    if (S_ISLNK(entry.attributes.mode)) {
      EXPECT_EQ(entry.target, std::filesystem::read_symlink(below));
    }
    session.forget({child});
  }
  EXPECT_TRUE(names.empty()) << path << " misses " << *names.begin();
}

void StorageModel::compare_trees() {
  for (const Known& known : known_) {
    const auto answer = session_of(known).getattr(known.node);
    ASSERT_EQ(answer.status, Status::kOk);
    expect_attributes("known", answer->attributes, known.fd.get());
  }
  TestSession session(home_);
  compare_folder(session, kRootNode, reference_.path());
  home_->wait_until_usage_known();
  EXPECT_EQ(home_->usage(), home_.counted());
}

// What leads to `path` (below the reference's root), the last of it as `node`.
Introductions StorageModel::introductions_for(const std::string& path, NodeId node,
                                              std::map<std::string, NodeId>& folders) {
  Introductions introductions;
  NodeId parent = kRootNode;
  std::string walked;
  for (const auto& part : std::filesystem::path(path)) {
    walked += "/" + part.string();
    struct ::stat s{};
    EXPECT_EQ(::lstat((reference_.path().string() + walked).c_str(), &s), 0) << walked;
    const bool is_last = walked == "/" + path;
    const auto [known, is_new] = folders.try_emplace(walked, sessions_[0]->next_node());
    const NodeId as = is_last ? node : known->second;
    const auto inode = inode_of_.find(s.st_ino);
    if (inode == inode_of_.end()) return introductions;
    introductions.list.push_back(
        {as, parent, part, inode->second.number, inode->second.generation});
    parent = as;
  }
  return introductions;
}

void StorageModel::kill_and_restart() {
  for (auto& session : sessions_) session->kill(home_);
  home_.restart(/*is_clean=*/false);
  for (auto& session : sessions_) session = std::make_unique<TestSession>(home_);
  std::vector<std::map<std::string, NodeId>> folders(sessions_.size());
  const auto paths = paths_by_inode(reference_.path());
  for (const Known& known : known_) {
    if (known.node == kRootNode) continue;
    struct ::stat s{};
    ASSERT_EQ(::fstatat(known.fd.get(), "", &s, AT_EMPTY_PATH), 0);
    const auto path = paths.find(s.st_ino);
    Introductions introductions;
    if (path == paths.end()) {
      const InodeName& there = inode_of_.at(s.st_ino);
      introductions.list = {{known.node, kNoNode, "", there.number, there.generation}};
    } else {
      const auto below = path->second.lexically_relative(reference_.path());
      introductions = introductions_for(below, known.node, folders[known.session]);
    }
    const auto answer = session_of(known).call<AttributesReply>(
        Op::kGetattr, NodeRequest{.node = known.node}, {}, introductions);
    EXPECT_EQ(answer.status, Status::kOk) << (path == paths.end() ? "orphan" : path->second);
    if (answer.is_ok()) expect_attributes("introduced", answer->attributes, known.fd.get());
  }
}

}  // namespace homefs::test

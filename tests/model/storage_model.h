// A home and a plain folder on the same disk, to which the same operations are done: to the home as
// a session asks for them, to the folder by system calls. Whatever the two say has to agree.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "protocol/unique_fd.h"
#include "tests/support/server/test_home.h"

namespace homefs::test {

class StorageModel {
 public:
  StorageModel(unsigned seed, std::size_t descriptors_max);

  /// Does one random operation to both.
  void step();
  /// Compares the two trees, and the use of the home with what a walk counts.
  void compare_trees();
  /// Ends the server as a kill does, starts it again, and introduces every node.
  void kill_and_restart();

 private:
  /// A file or folder that both sides know: a node there, an O_PATH descriptor here.
  struct Known {
    std::size_t session = 0;
    NodeId node{};
    UniqueFd fd;
  };

  unsigned random(unsigned below) { return engine_() % below; }
  std::uint32_t random_mode();
  std::string random_name() { return std::string(1, static_cast<char>('a' + random(12))); }
  Known& random_known();
  Known& random_known_of(std::size_t session);
  Known& random_folder();
  TestSession& session_of(const Known& known) { return *sessions_[known.session]; }
  void keep(std::size_t session, NodeId node, int folder, const std::string& name);
  bool is_kept_open(std::size_t session, int folder, const std::string& name);
  void drop_removed();
  void forget_some();

  void create();
  void make_folder();
  void make_special();
  void link();
  void remove();
  void rename();
  void look_up();
  void change_attributes();
  void write();
  void append();
  void read();
  void copy();
  void fallocate();
  void change_xattr();

  void expect_same(const char* what, Status status, int reference_result);
  void expect_attributes(const char* what, const Attributes& attributes, int fd);
  void compare_folder(TestSession& session, NodeId node, const std::filesystem::path& path);
  Introductions introductions_for(const std::string& path, NodeId node,
                                  std::map<std::string, NodeId>& folders);

  std::mt19937 engine_;
  TestHome home_;
  ScratchFolder reference_;
  std::vector<std::unique_ptr<TestSession>> sessions_;
  std::vector<Known> known_;
  std::map<std::uint64_t, InodeName> inode_of_;  // here -> there
};

}  // namespace homefs::test

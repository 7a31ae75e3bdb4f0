// NodeBook: which file each node number of a command means, so that the server can be told again
// after it has forgotten (a restart, a full table). What NodeCache is to a mount, without a cache.
//
// Owner: RemoteClient. Executor: thread-safe. Blocks: never.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fusefs/link.h"
#include "protocol/attributes.h"
#include "protocol/guarded.h"
#include "protocol/ids.h"

namespace homefs {

class NodeBook final : public IntroductionSource {
 public:
  /// A number that was never used.
  [[nodiscard]] NodeId next_id();

  /// From now on `id` is the inode `is`, seen as `name` in `parent`. `is_bound`: the server was
  /// told of the number, and is to be told when it is dropped.
  void enter(NodeId id, NodeId parent, std::string_view name, const Attributes& is, bool is_bound);
  /// It has another place now. Nothing happens for a number that is not in the book.
  void move(NodeId id, NodeId parent, std::string_view name);
  /// The number is not used any more.
  void drop(NodeId id);
  /// Dropped numbers that the server knows, when there are at least `count` of them; else none.
  [[nodiscard]] std::vector<NodeId> take_forgotten(std::size_t count);

  [[nodiscard]] std::size_t size();

  // IntroductionSource.
  void introduce(std::span<const NodeId> nodes, std::uint64_t incarnation,
                 std::vector<Introduction>& out) override;
  void confirm(std::span<const Introduction> introductions, std::uint64_t incarnation) override;
  void distrust(std::span<const NodeId> nodes) override;

 private:
  struct Entry {
    NodeId parent{};
    std::string name;
    InodeNumber inode{};
    std::uint32_t generation = 0;  // of the inode, as Attributes say
    std::uint64_t known_to = 0;    // the incarnation that knows the number; 0: none
    bool is_bound = false;
  };
  struct State {
    std::unordered_map<NodeId, Entry> entries;
    std::vector<NodeId> forgotten;
    std::uint64_t next_id = number_of(kRootNode) + 1;
  };

  Guarded<State> state_;
};

}  // namespace homefs

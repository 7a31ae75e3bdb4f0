// KernelNotifier: tells the kernel to drop what it caches. Implemented by Notifier (a thread of its
// own: the kernel takes locks inside of these calls that a request may hold which waits for us).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/ids.h"

namespace homefs {

/// What the kernel may keep of what a change is about.
struct Concerned {
  std::vector<std::pair<NodeId, std::string>> names;  ///< in their folders
  std::vector<NodeId> nodes;                          ///< contents and attributes

  void add(Concerned other) {
    std::ranges::move(other.names, std::back_inserter(names));
    std::ranges::move(other.nodes, std::back_inserter(nodes));
  }
};

class KernelNotifier {
 public:
  virtual ~KernelNotifier() = default;
  /// Queues; thread-safe, never blocks.
  virtual void invalidate_attributes(NodeId node) = 0;
  virtual void invalidate_data(NodeId node) = 0;  ///< and attributes
  /// The file has become longer: its mappings may reach as far. Puts a zero where `place` says at
  /// the time, behind the end, for which the kernel takes the file to be that long; nothing: not
  /// any more. When it says something else afterwards, the file's data is invalidated.
  using Place = std::move_only_function<std::optional<std::uint64_t>()>;
  virtual void extend(NodeId node, Place place) = 0;
  /// The file ends behind `last`, its last byte, at `end` > 0: the kernel takes it to be as long at
  /// least. Of a file whose data was invalidated before, or `last` is the newest.
  virtual void set_end(NodeId node, std::uint64_t end, std::byte last) = 0;
  /// A moment in what the kernel is told, and whether it was told of the node's attributes or data
  /// since, may have been, or is about to be. It keeps no attributes that it has asked for before.
  [[nodiscard]] virtual std::uint64_t moment() = 0;
  [[nodiscard]] virtual bool has_told(NodeId node, std::uint64_t since) = 0;
  virtual void invalidate_entry(NodeId parent, std::string name) = 0;
  /// All cached names at once.
  virtual void invalidate_all_entries() = 0;
  /// Calls `done` when the kernel has been told all that was queued before: at once, or on the
  /// notifier's thread. Only for what holds no lock in the kernel that the notices wait for.
  virtual void when_told(std::move_only_function<void()> done) = 0;
};

}  // namespace homefs

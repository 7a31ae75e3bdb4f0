// FakeNotifier: a KernelNotifier that writes down what the kernel is told, and tells it to whoever
// plays the kernel: at once, or when the test says so. As Notifier it has two queues: one for
// single names, which nobody waits for, and one for all else.
//
// Owner: the test. Executor: the test's thread. Blocks: never.
#pragma once

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "fusefs/kernel_notifier.h"

namespace homefs::test {

struct Notice {
  enum class Kind { kAttributes, kData, kExtend, kEnd, kEntry, kAllEntries };
  Kind kind{};
  NodeId node{};  ///< of kEntry: the folder
  std::string name;
  std::uint64_t place = 0;  ///< of kExtend, when it was told; of kEnd: the end
  std::byte last{};         ///< of kEnd
  bool operator==(const Notice&) const = default;
};

class FakeNotifier final : public KernelNotifier {
 public:
  /// Who is told. Without one notices are only written down.
  void listen(std::function<void(const Notice&)> kernel) { kernel_ = std::move(kernel); }
  /// From now on notices wait until they are delivered.
  void hold(bool is_holding = true) { is_holding_ = is_holding; }

  /// Delivers the oldest notice of a queue; false: there is none.
  bool deliver_one();
  bool deliver_name();
  void deliver_all();
  /// The notice that would be delivered next; null: there is none, or somebody waits there.
  [[nodiscard]] const Notice* front() const {
    return queue_.empty() || queue_.front().done ? nullptr : &queue_.front().notice;
  }
  [[nodiscard]] const Notice* front_name() const {
    return names_.empty() ? nullptr : &names_.front().notice;
  }
  [[nodiscard]] bool has_waiting() const { return !queue_.empty(); }
  [[nodiscard]] bool has_waiting_name() const { return !names_.empty(); }

  /// All that was delivered.
  [[nodiscard]] const std::vector<Notice>& told() const { return told_; }
  [[nodiscard]] bool was_told(const Notice& notice) const;
  void clear() { told_.clear(); }

  // ---- KernelNotifier ----
  void invalidate_attributes(NodeId node) override;
  void invalidate_data(NodeId node) override;
  void extend(NodeId node, Place place) override;
  void set_end(NodeId node, std::uint64_t end, std::byte last) override;
  std::uint64_t moment() override { return node_notices_.size(); }
  bool has_told(NodeId node, std::uint64_t since) override;
  void invalidate_entry(NodeId parent, std::string name) override;
  void invalidate_all_entries() override;
  void when_told(std::move_only_function<void()> done) override;

 private:
  struct Queued {
    Notice notice;
    std::move_only_function<void()> done;  // of when_told(): no notice then
    Place place{};                         // of extend()
  };
  void push(std::deque<Queued>& queue, Notice notice);
  bool deliver(std::deque<Queued>& queue);

  std::function<void(const Notice&)> kernel_;
  std::deque<Queued> queue_;
  std::deque<Queued> names_;
  std::vector<Notice> told_;
  std::vector<NodeId> node_notices_;  // that were delivered, of attributes or data
  bool is_holding_ = false;
};

}  // namespace homefs::test

// Files that programs store to through mmap(2). The kernel says nothing of a store: it writes the
// page back when it likes, or when it is told to drop it. That is done before whatever depends on
// what was stored: unlocking, setting times, looking for holes.
#include "fusefs/file_system.h"

namespace homefs {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

// A write past the pages is over.
void passed(Node* node) {
  // Without an open file none is counted: the program was interrupted, and the last close came.
  if (node != nullptr && node->data != nullptr && node->data->passing > 0) --node->data->passing;
}

}  // namespace

// Only what is open for both can be mapped for storing; a mapping keeps the file open.
void FileSystem::count_mappable(ClientState& state, const OpenFile& file, int step) {
  if (!file.is_mappable) return;
  const auto found = state.mappable.try_emplace(file.node, 0).first;
  found->second += static_cast<std::uint32_t>(step);
  if (found->second == 0) state.mappable.erase(found);
}

Task<> FileSystem::kernel_told() {
  Completion<bool> told([this](Completion<bool>::Done done) {
    notifier_->when_told([this, done = std::move(done)]() mutable {
      // Not on the notifier's thread: the kernel waits for what we do next.
      post_([done = std::move(done)]() mutable { done(true); });
    });
  });
  (void)co_await told;
}

void FileSystem::use_pages(Node& node) {
  node.may_have_pages = true;
  ++node.data->page_uses;
}

void FileSystem::pages_dropped(const std::vector<std::pair<NodeId, std::uint32_t>>& nodes) {
  auto state = state_.lock();
  for (const auto& [id, uses] : nodes) {
    Node* const node = state->nodes.find(id);
    if (node == nullptr) continue;
    const std::uint32_t now = node->data == nullptr ? 0 : node->data->page_uses;
    if (now == uses) node->may_have_pages = false;
  }
}

// Asked when the write is done: somebody may have opened the file since it began.
Task<> FileSystem::end_passing(NodeId id, bool is_written) {
  {
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    if (!is_written || node == nullptr || !node->has_read_pages) {
      passed(node);
      co_return;
    }
  }
  notifier_->invalidate_data(id);
  co_await kernel_told();
  auto state = state_.lock();
  passed(state->nodes.find(id));
}

Task<> FileSystem::take_pages(NodeId id) {
  if (!is_mappable(*state_.lock(), id)) co_return;
  notifier_->invalidate_data(id);
  co_await kernel_told();
}

Task<> FileSystem::take_pages_and_drain(NodeId id, std::move_only_function<void()> done) {
  // Alone in the home nobody else sees the file before begin_sharing() has done this.
  if (state_.lock()->is_shared) co_await take_pages(id);
  co_await drained(id);
  done();
}

// ---- What other mounts have done ----------------------------------------------------------------

// Behind the end of the file, where there are zeros anyway, and not first in a page: the kernel
// would take the page for complete.
std::optional<std::uint64_t> FileSystem::place_behind_end(NodeId id) {
  auto state = state_.lock();
  const Node* node = state->nodes.find(id);
  if (node == nullptr || node->opens == 0) return std::nullopt;
  std::uint64_t size = effective(*node).size;
  if (!node->has_attributes) {
    if (node->data == nullptr || node->data->grown_order != node->attributes.order) {
      return std::nullopt;
    }
    size = node->data->grown_size;
  }
  return size % kPageBytes == 0 ? size + 1 : size;
}

// One is under way at a time, however many changes come meanwhile.
void FileSystem::note_told(std::uint64_t order) {
  std::uint64_t epoch = 0;
  {
    auto state = state_.lock();
    state->heard_order = std::max(state->heard_order, order);
    if (std::exchange(state->is_telling_order, true)) return;
    order = state->heard_order;
    epoch = state->told_epoch;
  }
  notifier_->when_told([this, order, epoch] {
    std::uint64_t next = 0;
    {
      auto state = state_.lock();
      state->is_telling_order = false;
      if (state->told_epoch == epoch) state->told_order = order;
      if (state->told_epoch != epoch || state->heard_order > order) next = state->heard_order;
    }
    if (next != 0) note_told(next);
  });
}

void FileSystem::begin_resizing(NodeId id) {
  auto state = state_.lock();
  Node* node = state->nodes.find(id);
  if (node != nullptr && is_mappable(*state, id)) ++data_of(*state, *node).resizing;
}

void FileSystem::end_resizing(NodeId id) {
  bool is_void = false;
  {
    auto state = state_.lock();
    Node* node = state->nodes.find(id);
    if (node == nullptr || node->data == nullptr || node->data->resizing == 0) return;
    if (--node->data->resizing == 0) is_void = std::exchange(node->data->is_void_after, false);
  }
  if (is_void) notifier_->invalidate_data(id);
}

}  // namespace homefs

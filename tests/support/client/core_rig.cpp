#include "tests/support/client/core_rig.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "protocol/block_md5.h"

namespace homefs::test {

Status status_of(const RunningRef<Result<>>& outcome) {
  EXPECT_TRUE(outcome->is_done());
  if (!outcome->is_done()) return Status::kInterrupted;
  return outcome->value->has_value() ? Status::kOk : outcome->value->error().status;
}

void PostedWork::run(std::size_t place) {
  HOMEFS_CHECK(place < work_.size());
  const auto found = work_.begin() + static_cast<std::ptrdiff_t>(place);
  auto work = std::move(*found);
  work_.erase(found);
  work();
}

void PostedWork::run_all() {
  while (!work_.empty()) run();
}

AttributesOf::operator Attributes() const {
  Attributes attributes;
  attributes.inode = InodeNumber{inode};
  attributes.mode = mode;
  attributes.links = links;
  attributes.generation = static_cast<std::uint32_t>(inode);
  attributes.size = size;
  attributes.blocks = (size + 511) / 512;
  attributes.version = version;
  attributes.order = order;
  return attributes;
}

CoreRig::CoreRig(const Options& options) : options_(options), link_(options.has_bulk) {
  files_ = std::make_unique<FileSystem>(
      [this](std::move_only_function<void()> work) { posted_.post(std::move(work)); },
      options.files);
  files_->attach(link_, notifier_, transfers_);
  if (!options.is_old_kernel) {
    files_->let_kernel_keep_absent_names();
    files_->let_kernel_map_direct_files();
  }
  link_.attach(*files_, *files_);
  const auto started = start(files_->start());
  answer_attributes(link_.find(Op::kGetattr),
                    AttributesOf{.inode = kRootInode, .mode = S_IFDIR | 0755, .links = 2});
  link_.answer(link_.find(Op::kStatfs), StatfsReply{.grant = grant()});
  EXPECT_TRUE(started->is_done() && started->value->has_value());
  if (options.is_shared) {
    const auto shared = link_.mode(true);
    posted_.run_all();
    EXPECT_TRUE(shared->is_there());
  }
}

// What still waits fails, and so ends.
CoreRig::~CoreRig() {
  link_.close();
  notifier_.hold(false);
  do {
    notifier_.deliver_all();
    posted_.run_all();
    files_->send_held_writes();
  } while (posted_.size() > 0 || notifier_.has_waiting());
  files_->wait_idle();
}

GrantState CoreRig::grant() {
  return {.stamp = ++stamp_, .granted = options_.granted, .used = 0, .limit = options_.limit};
}

NodeId CoreRig::look_up(NodeId parent, const std::string& name, const Attributes& attributes) {
  const auto found = start(files_->lookup(parent, name));
  if (!found->is_done()) {
    link_.answer(link_.find(Op::kLookup), LookupReply{attributes, ""});
  }
  EXPECT_TRUE(found->is_done() && found->value->has_value()) << name;
  const NodeId node = found->is_done() && *found->value ? (**found)->node : kNoNode;
  looked_up_[node] = attributes;
  return node;
}

std::uint64_t CoreRig::open(NodeId node, int flags) {
  const auto opened = start(files_->open(node, flags));
  while (link_.has(Op::kGetattr)) {
    answer_attributes(link_.find(Op::kGetattr), looked_up_[node]);
  }
  EXPECT_TRUE(opened->is_done() && opened->value->has_value());
  return opened->is_done() && *opened->value ? (**opened)->handle : 0;
}

void CoreRig::answer_entry(const FakeLink::Request& request, const Attributes& attributes,
                           const Attributes& parent) {
  link_.answer(request, EntryReply{attributes, parent, grant()});
}

void CoreRig::answer_attributes(const FakeLink::Request& request, const Attributes& attributes) {
  link_.answer(request, AttributesReply{attributes});
}

void CoreRig::answer_change(const FakeLink::Request& request, const Attributes& attributes) {
  link_.answer(request, ChangeReply{attributes, grant()});
}

void CoreRig::answer_read(const FakeLink::Request& request, std::string_view data) {
  const auto asked = FakeLink::message<ReadRequest>(request);
  ReadReply reply{.version = 1, .size = asked.offset + data.size()};
  const auto bytes = std::as_bytes(std::span(data));
  reply.digests.resize(piece_count(asked.offset, bytes.size()));
  md5_pieces(asked.offset, bytes, reply.digests);
  link_.answer(request, reply, data);
}

void CoreRig::answer_list(const FakeLink::Request& request, const Attributes& folder,
                          std::vector<ListedEntry> entries) {
  ListReply reply;
  reply.folders.push_back({.folder = folder, .next_cursor = 0, .entries = std::move(entries)});
  link_.answer(request, reply);
}

Slice CoreRig::slice(std::string_view text) {
  auto buffer = std::make_shared<Buffer>(text.size());
  std::ranges::copy(std::as_bytes(std::span(text)), buffer->writable().begin());
  return slice_of(buffer);
}

std::string CoreRig::text(const std::vector<Slice>& slices) {
  std::string all;
  for (const Slice& slice : slices) {
    all.append(reinterpret_cast<const char*>(slice.bytes.data()), slice.bytes.size());
  }
  return all;
}

}  // namespace homefs::test

// A link to a fake server, and a client core that writes down what it is told.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <latch>
#include <set>

#include "fusefs/server_link.h"
#include "tests/support/fake_server.h"

namespace homefs {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::FakeReply;
using testing::FakeRequest;
using testing::FakeServer;

inline constexpr NodeId kNode{42};

inline FakeReply refusal(Status status) { return {status, encode_fields(ErrorReply{"because"})}; }

/// A client core that knows where its nodes are, and writes down what it is told.
class FakeCore final : public IntroductionSource, public LinkEvents {
 public:
  void introduce(std::span<const NodeId> nodes, std::uint64_t incarnation,
                 std::vector<Introduction>& out) override {
    const std::lock_guard lock(mutex_);
    for (const NodeId node : nodes) {
      if (known_.contains({node, incarnation})) continue;
      for (std::size_t i = 1; i < depth; ++i) {
        out.push_back({.node = NodeId{1000 + i}, .parent = kRootNode, .name = "folder"});
      }
      out.push_back({.node = node, .parent = kRootNode, .name = "file", .inode = InodeNumber{7}});
    }
  }
  void confirm(std::span<const Introduction> introductions, std::uint64_t incarnation) override {
    const std::lock_guard lock(mutex_);
    for (const Introduction& each : introductions) known_.insert({each.node, incarnation});
  }
  void distrust(std::span<const NodeId> nodes) override {
    const std::lock_guard lock(mutex_);
    ++distrusted;
    std::erase_if(known_, [&](const auto& each) {
      return std::find(nodes.begin(), nodes.end(), each.first) != nodes.end();
    });
  }
  void on_mode(bool is_shared, std::move_only_function<void()> acknowledge) override {
    const std::lock_guard lock(mutex_);
    modes.push_back(is_shared);
    acknowledge();
  }
  void on_changed(ChangedEvent event, std::move_only_function<void()> acknowledge) override {
    const std::lock_guard lock(mutex_);
    changed += static_cast<int>(event.changes.size());
    acknowledge();
  }
  void on_quota(const GrantState& state) override {
    const std::lock_guard lock(mutex_);
    grant = state;
  }
  void on_power_lost() override {
    const std::lock_guard lock(mutex_);
    ++power_losses;
  }
  void on_session(bool is_same_session) override {
    const std::lock_guard lock(mutex_);
    sessions.push_back(is_same_session);
  }
  void on_lock_granted(std::uint64_t id) override {
    const std::lock_guard lock(mutex_);
    granted_locks.push_back(id);
  }
  void on_reconnected(const Reconnected& caches) override {
    const std::lock_guard lock(mutex_);
    reconnected.push_back(caches.are_valid);
  }

  template <class Look>
  auto look(Look look) {
    const std::lock_guard lock(mutex_);
    return look(*this);
  }

  std::size_t depth = 1;  ///< introductions for one node
  int distrusted = 0;
  int changed = 0;
  GrantState grant;
  std::vector<bool> modes;
  std::vector<bool> sessions;
  int power_losses = 0;
  std::vector<std::uint64_t> granted_locks;
  std::vector<bool> reconnected;

 private:
  std::mutex mutex_;
  std::set<std::pair<NodeId, std::uint64_t>> known_;
};

class ServerLinkTest : public ::testing::Test {
 protected:
  ServerLinkTest() {
    io_.start();
    options_.server = {.host = "127.0.0.1", .port = server_.port()};
    options_.credentials = {.user = FakeServer::kUser, .password = FakeServer::kPassword};
    options_.trust.pinned = server_.fingerprint();
    options_.client_id = "test";
    options_.times.backoff_first = milliseconds(1);
    options_.times.backoff_max = milliseconds(20);
    options_.times.tick = milliseconds(5);
  }
  ~ServerLinkTest() override {
    if (link_ != nullptr) {
      link_->close();
      if (is_attached_) link_->detach();
    }
    EXPECT_THAT(server_.complaints(), ::testing::IsEmpty());
  }

  ServerLink& make_link() {
    link_ = std::make_unique<ServerLink>(io_, *TlsContext::client(), options_);
    return *link_;
  }
  ServerLink& connect() {
    make_link();
    const auto connected = link_->connect_and_login();
    EXPECT_TRUE(connected) << connected.error().message();
    link_->attach(core_, core_);
    is_attached_ = true;
    return *link_;
  }

  struct Sent {
    std::uint64_t number = 0;
    std::future<Result<InFrame>> reply;
    Status status() {
      const Result<InFrame> result = reply.get();
      return result ? result->header.status : result.error().status;
    }
  };
  Sent send(Op op, std::uint64_t value, std::vector<NodeId> nodes = {},
            Lane lane = Lane::kControl) {
    auto promise = std::make_shared<std::promise<Result<InFrame>>>();
    Sent sent{.reply = promise->get_future()};
    Call call = make_call(op, std::move(nodes), NodeRequest{NodeId{value}});
    call.lane = lane;
    sent.number = link_->send(std::move(call), [promise](Result<InFrame> reply) {
      promise->set_value(std::move(reply));
    });
    return sent;
  }
  /// The values of the changes that the server has applied, in its order.
  std::vector<std::uint64_t> applied() {
    std::vector<std::uint64_t> values;
    for (const auto& fields : server_.applied()) {
      values.push_back(number_of(decode_all<NodeRequest>(fields)->node));
    }
    return values;
  }
  std::vector<FakeRequest> requests_of(Op op) {
    auto list = server_.requests();
    std::erase_if(list, [&](const FakeRequest& request) { return request.header.op != op; });
    return list;
  }

  FakeServer server_;
  IoThreads io_{kLinkThreads};
  FakeCore core_;
  LinkOptions options_;
  std::unique_ptr<ServerLink> link_;
  bool is_attached_ = false;
};

}  // namespace homefs

// FakeLink: a Link without a network, for tests that decide themselves what arrives when.
//
// A call leaves at once when its connection is up, and then waits in under_way() until the test
// answers it: in any order, with any reply or error. Connections break and come back as the test
// says. Which call leaves when, what is sent again after a break and what fails is decided by
// CallWindow, as in ServerLink; introductions are made, confirmed and distrusted as there.
//
// Owner: the test. Executor: the test's thread. Blocks: never.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fusefs/call_window.h"
#include "fusefs/link.h"

namespace homefs::test {

class FakeLink final : public Link {
 public:
  /// A request on its way to the server.
  struct Request {
    std::uint32_t tag = 0;
    std::uint64_t connection = 0;
    Lane lane = Lane::kControl;
    Op op{};
    std::uint64_t seq = 0;
    std::uint64_t seq_done = 0;
    std::vector<NodeId> nodes;
    std::vector<Introduction> introductions;
    std::vector<std::byte> fields;  ///< the message
    std::vector<Slice> payload;

    [[nodiscard]] std::string data() const;
    /// As a server receives it.
    [[nodiscard]] InFrame frame() const;
  };
  /// What the server says when the control connection is back.
  struct Reconnection {
    bool is_same_session = true;
    bool are_caches_valid = true;
    bool has_lost_power = false;
    bool is_new_incarnation = false;  ///< the server was started anew; also with a new session
    std::uint64_t order = 0;          ///< the server's of then
  };
  /// Counts the acknowledgements of the events that were raised.
  struct Acknowledgement {
    int count = 0;
    [[nodiscard]] bool is_there() const { return count > 0; }
  };
  using AcknowledgementRef = std::shared_ptr<Acknowledgement>;

  /// `has_bulk`: a second connection for bulk data; without it all goes over one.
  explicit FakeLink(bool has_bulk = false);
  ~FakeLink() override;

  void attach(IntroductionSource& introductions, LinkEvents& events);
  /// Called with each request as it leaves; under_way() has it too.
  void listen(std::function<void(const Request&)> on_request) { on_request_ = on_request; }

  // ---- Link ----
  std::uint64_t send(Call call, Done done) override;
  void interrupt(std::uint64_t call_number) override;
  void note_damaged_block(NodeId node, std::uint64_t offset, int attempt) override;
  [[nodiscard]] std::uint64_t session_number() override { return window_.session_number(); }
  [[nodiscard]] bool is_connected() override { return control_ != 0; }

  // ---- Requests and their answers ----

  /// Not answered, in the order of sending.
  [[nodiscard]] const std::vector<Request>& under_way() const { return under_way_; }
  /// The oldest one of `op` behind the first `skip`; fails the test and returns an empty one when
  /// there is none.
  Request find(Op op, std::size_t skip = 0);
  [[nodiscard]] bool has(Op op) const;
  [[nodiscard]] int sent_count(Op op) const { return counts_[static_cast<std::size_t>(op)]; }
  /// The message of a request; an empty one for a request that find() has not found.
  template <class Message>
  static Message message(const Request& request) {
    ByteReader in(request.fields);
    Result<Message> decoded = decode<Message>(in);
    return decoded ? *std::move(decoded) : Message{};
  }

  /// Answers the request: with success, with an error, with any frame.
  template <class Message>
  void answer(const Request& request, const Message& message, std::string_view payload = {}) {
    answer_bytes(request, Status::kOk, encode_fields(message), payload);
  }
  void refuse(const Request& request, Status status);
  void answer_bytes(const Request& request, Status status, std::vector<std::byte> fields,
                    std::string_view payload = {});
  /// A reply as it comes over `connection`; one of a connection that is gone is dropped.
  void deliver(std::uint64_t connection, InFrame reply);

  // ---- Connections ----

  [[nodiscard]] std::uint64_t control() const { return control_; }  ///< 0: down
  [[nodiscard]] std::uint64_t bulk() const { return bulk_; }
  void break_control();
  void break_bulk();
  void reconnect() { reconnect(Reconnection{}); }
  void reconnect(const Reconnection& how);
  void reconnect_bulk();
  [[nodiscard]] bool has_bulk() const { return has_bulk_; }
  [[nodiscard]] std::uint64_t incarnation() const { return incarnation_; }
  [[nodiscard]] std::uint64_t seq_done() const { return window_.seq_done(); }
  /// A soft mount: all that has no answer now fails with kTimedOut.
  void time_out();
  /// Everything that waits fails with kDisconnected, now and from now on.
  void close();

  // ---- Events ----

  AcknowledgementRef mode(bool is_shared);
  AcknowledgementRef changed(std::vector<Change> changes, std::uint64_t order);
  void mode(bool is_shared, std::move_only_function<void()> acknowledge);
  void changed(ChangedEvent event, std::move_only_function<void()> acknowledge);
  void quota(const GrantState& grant);
  void lock_granted(std::uint64_t id);

  int damaged_blocks = 0;  ///< note_damaged_block()

 private:
  [[nodiscard]] std::uint64_t connection_of(Lane lane) const;
  void pump(Lane lane);
  void pump_all();
  void leave(const PendingPtr& call);
  void forget(std::uint64_t connection, std::uint32_t tag);
  bool wants_another_try(PendingCall& call, Status status);

  const bool has_bulk_;
  std::function<void(const Request&)> on_request_;
  IntroductionSource* introductions_ = nullptr;
  LinkEvents* events_ = nullptr;
  CallWindow window_;
  std::vector<Request> under_way_;
  std::array<int, 128> counts_{};
  std::uint64_t last_number_ = 0;
  std::uint64_t last_connection_ = 0;
  std::uint64_t control_ = 0;
  std::uint64_t bulk_ = 0;
  std::uint64_t incarnation_ = 1;
  std::array<bool, 2> is_pumping_{};
  bool is_closed_ = false;
};

}  // namespace homefs::test

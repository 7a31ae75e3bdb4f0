// One login of one client: its connections, the order of its changes, its view of the home. It
// outlives its connections, until its client says goodbye or stays away too long.
//
// Changes run one at a time in their order, everything else beside each other on the threads of
// the server, never on more of them than SessionLimits allows. No lock is held while a request
// runs.
//
// Owner: the registry of sessions, its connections, and the requests that run; the last of them
// gives the files free (SessionHome::close). Executor: thread-safe.
// Blocks: on_request() and the jobs it posts, on the disk.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/guarded.h"
#include "protocol/login_messages.h"
#include "server/coherence.h"
#include "server/data_queue.h"
#include "server/event_outbox.h"
#include "server/home_registry.h"
#include "server/lock_log.h"
#include "server/sequencer.h"
#include "server/session_home.h"
#include "server/session_record.h"

namespace homefs {

class Connection;
class Session;

/// What a session needs of the server around it. Thread-safe.
class SessionOwner {
 public:
  virtual ~SessionOwner() = default;
  /// The session is over: by its client's wish (kOk), or because it broke the protocol.
  virtual void end_session(Session& session, Error why) = 0;
  /// A change of the session's sequence was carried out; not for a resend of one that was.
  virtual void note_change(Op op, Status status) = 0;
  /// Answers a request about device tokens. Blocks: on the database.
  virtual Reply handle_token(Session& session, const InFrame& request) = 0;
  /// A token was revoked, and that was answered: its sessions end, be it the asking one.
  virtual void answered_revocation() = 0;
};

struct SessionLimits {
  std::size_t running_max = 2;  ///< threads for what runs beside the changes
  std::size_t slow_max = 1;     ///< of these, for fsync and digest
  std::size_t bulk_connections_max = 4;
  std::chrono::milliseconds event_deadline = kEventDeadline;
};

struct SessionSetup {
  SessionIdentity identity;
  std::shared_ptr<LiveHome> home;
  std::unique_ptr<LockLog> lock_log;  ///< used by `files`; null: locks are in memory only
  std::unique_ptr<SessionHome> files;
  SessionLimits limits;
  boost::asio::any_io_executor digest_executor;  ///< for what reads whole files; empty: as the rest
  std::unique_ptr<ReplayRecord> record;
  bool has_missed_events = false;  ///< of a session that was saved
};

class Session final : public CoherenceMember {
 public:
  using Clock = std::chrono::steady_clock;

  static std::shared_ptr<Session> make(boost::asio::any_io_executor executor, SessionOwner& owner,
                                       SessionSetup setup);
  ~Session() override;

  [[nodiscard]] const SessionId& id() const override { return setup_.identity.id; }
  [[nodiscard]] const SessionSecret& secret() const { return setup_.identity.secret; }
  [[nodiscard]] const std::string& account() const { return setup_.identity.account; }
  [[nodiscard]] const std::string& client_id() const { return setup_.identity.client_id; }
  [[nodiscard]] const SessionIdentity& identity() const { return setup_.identity; }
  [[nodiscard]] SessionHome& files() { return *setup_.files; }
  [[nodiscard]] HomeCoherence& coherence() { return *setup_.home->coherence; }
  [[nodiscard]] std::string short_id() const;

  // ---- Connections ----

  struct Attached {
    bool has_missed_events = false;  ///< its caches are void
    std::uint64_t last_applied = 0;  ///< the highest seq that took effect
  };
  /// Makes `connection` the control connection. The older ones of both kinds are closed, so that
  /// nothing arrives over them any more that the client has sent again. The first event over it is
  /// the mode of the home. kSessionUnknown when the session has ended.
  /// Precondition: called from HomeCoherence::in_order() with `is_shared`.
  Result<Attached> attach_control(std::shared_ptr<Connection> connection, bool is_shared);
  /// Makes it the bulk connection at `place` (from 1); an older one there is closed. With 0 it
  /// takes a free place, or the first. kInvalid for a place over the limit.
  Result<void> attach_bulk(std::shared_ptr<Connection> connection, std::uint32_t place);
  /// Tells the client its share of the quota.
  void tell_quota();
  /// The first event behind the mode: tells the quota. With its acknowledgement a client that has
  /// come back after a restart has dropped what it knew before.
  void greet();
  /// The client has the replies up to `seq_done`. kProtocolError when it cannot have them.
  Result<void> acknowledge(std::uint64_t seq_done);
  /// `connection` is gone; nothing happens for one that was replaced.
  void detach(const Connection& connection);
  /// The same, and the session ends with it when the peer broke the protocol.
  void on_connection_closed(const Connection& connection, const Error& why);
  /// Since when it has no connection at all; none while it has one.
  [[nodiscard]] std::optional<Clock::time_point> idle_since() const;

  /// Its client has logged in anew: it is over when it has no connection any more.
  void supersede() { is_superseded_ = true; }
  [[nodiscard]] bool is_superseded() const { return is_superseded_; }

  /// A frame of one of its connections; those of connections that were replaced are dropped.
  void on_frame(const std::shared_ptr<Connection>& connection, InFrame frame);
  /// A connection can take replies again.
  void on_uncongested() { start_jobs(/*here=*/false); }

  /// No more requests are received; what was is answered.
  void stop_reading();
  /// Its connections end when they have sent what is queued; it stays.
  void disconnect(const Error& why);
  /// No more requests are taken, connections end when they have sent what is queued. Idempotent.
  void close(const Error& why);
  /// An event that needs no acknowledgement.
  void tell(Op op, std::vector<std::byte> fields) { outbox_->tell(op, std::move(fields)); }
  /// See EventOutbox.
  void give_up_late_events(Clock::time_point now) { outbox_->give_up_late(now); }
  /// From now on its end leaves its files and its locks for the next run of the server.
  void keep_for_next_run();
  /// Whether a request has been received and not been answered.
  [[nodiscard]] bool has_unanswered();

  // ---- CoherenceMember ----
  [[nodiscard]] bool has_ended() override { return state_.lock()->has_ended; }
  void set_shared(bool is_shared) override;
  void send_mode(bool is_shared, std::move_only_function<void(bool)> done) override;
  void send_changes(const std::vector<std::byte>& fields,
                    std::move_only_function<void()> done) override;
  void release_grant() override { setup_.files->release_grant(); }
  void begin_late() override { setup_.files->begin_late(); }
  [[nodiscard]] bool is_late() override { return setup_.files->is_late(); }
  [[nodiscard]] bool obeys(std::uint64_t mode) override;
  [[nodiscard]] std::uint64_t progress() override;

 private:
  struct Bulk {
    std::shared_ptr<Connection> connection;  // null: none
    std::uint64_t order = 0;                 // grows from one to the next that came
  };
  struct State {
    State(std::unique_ptr<ReplayRecord> record, DataQueue::Limits limits)
        : sequencer(std::move(record)), data(limits) {}

    bool has_ended = false;
    bool is_draining = false;  // a thread applies changes
    std::shared_ptr<Connection> control;
    std::vector<Bulk> bulk;  // by place - 1
    std::uint64_t bulk_attached = 0;
    Sequencer sequencer;
    DataQueue data;

    [[nodiscard]] bool owns(const Connection& connection) const;
    [[nodiscard]] bool has_connection() const;
  };
  using ConnectionRef = std::shared_ptr<Connection>;

  Session(boost::asio::any_io_executor executor, SessionOwner& owner, SessionSetup setup);

  [[nodiscard]] static std::vector<ConnectionRef> connections_of(const State& state);
  [[nodiscard]] EventOutbox::Acknowledged when_shared_is_obeyed();
  void post_end_introduction();

  // session_requests.cpp
  void on_request(const ConnectionRef& connection, InFrame frame);
  bool take_acknowledgement(const ConnectionRef& connection, const FrameHeader& header);
  void on_change(const ConnectionRef& connection, InFrame frame);
  void on_session_request(const ConnectionRef& connection, const InFrame& frame);
  void queue_job(const ConnectionRef& connection, InFrame frame, bool is_slow);
  void apply_changes();
  void apply_change(const InFrame& frame);
  void settle(std::uint64_t seq, const Reply& reply);
  void post_apply_changes();
  void start_jobs(bool here);
  void run_jobs(DataJob job);
  void post_job(DataJob job);
  void run_job(const DataJob& job);
  [[nodiscard]] WriteLog* log_of(const FrameHeader& header);
  Reply answer(const InFrame& frame, std::function<bool()> is_cancelled);
  void refuse(const ConnectionRef& connection, const FrameHeader& request, const Error& error);
  void note_reply(const Reply& reply);
  [[nodiscard]] std::vector<DataJob> begin_jobs();

  boost::asio::any_io_executor executor_;
  SessionOwner& owner_;
  std::weak_ptr<Session> self_;
  SessionSetup setup_;
  std::shared_ptr<EventOutbox> outbox_;
  std::uint64_t soles_ = 0;  // times that it was sole; on the strand of its home's coherence
  std::atomic<Clock::rep> idle_since_;  // kNotIdle while there is a connection
  std::atomic<bool> is_kept_{false};
  std::atomic<bool> is_superseded_{false};
  std::atomic<bool> has_returned_{false};  // with a connection, after a restart
  Guarded<State> state_;
  ChangeJournal* const journal_;  // of the record in state_; used by the thread that drains
  WriteLog& writes_;              // likewise
  WriteLog& syncs_;               // likewise
};

}  // namespace homefs

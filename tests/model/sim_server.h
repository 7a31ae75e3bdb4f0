// SimServer: a home on the disk, and the sessions of the server in it, without a network. Frames
// come and go through lists; what is posted runs when the simulation says so.
//
// Owner: the simulation. Executor: its thread. Blocks: on the disk.
#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "protocol/frame.h"
#include "server/connection.h"
#include "server/session.h"
#include "tests/model/sim_queue.h"

namespace homefs::test {

/// A connection: two lists of frames. Owners: the session, and the simulation.
class SimConnection final : public Connection {
 public:
  explicit SimConnection(bool is_control) : is_control_(is_control) {}

  void reply(const FrameHeader& request, const Reply& reply) override;
  void send_event(OutFrame frame) override;
  void close(Error) override { is_closed_ = true; }
  void close_after_flush(const Error&) override { is_closed_ = true; }
  void stop_reading() override {}
  [[nodiscard]] bool has_unanswered() override { return false; }
  [[nodiscard]] bool is_control() const override { return is_control_; }
  [[nodiscard]] bool is_congested() const override { return false; }
  [[nodiscard]] bool is_gone() const override { return is_gone_; }
  [[nodiscard]] std::string peer_address() const override { return "simulated"; }
  [[nodiscard]] std::uint64_t received_bytes() const override { return 0; }

  [[nodiscard]] bool is_closed() const { return is_closed_; }  ///< by the server
  void gone() { is_gone_ = true; }                             ///< the server has noticed

  std::deque<InFrame> up;     ///< to the server
  std::deque<OutFrame> down;  ///< to the client
  /// The answer to the login or the resume goes before all else.
  struct Attached {
    bool is_same_session = false;
    bool has_missed_events = false;
    bool is_new_incarnation = false;
    std::uint64_t order = 0;
  };
  std::optional<Attached> attached;
  bool is_busy = false;  ///< a thread of the client works on a frame of it

 private:
  const bool is_control_;
  bool is_closed_ = false;
  bool is_gone_ = false;
};
using SimConnectionRef = std::shared_ptr<SimConnection>;

/// What the server has of one client.
struct SimClient {
  SimQueue jobs;
  std::shared_ptr<Session> session;
  std::shared_ptr<MemoryReplayRecord> record;
  std::shared_ptr<LiveHome> home;  ///< that the session is in
};

class SimServer final : public SessionOwner {
 public:
  using Report = std::function<void(const std::string&)>;

  /// `root`: the folder of the home; a new one is made for each server. `report` hears of what
  /// should not happen.
  SimServer(std::shared_ptr<Home> home, std::string folder, Report report);
  ~SimServer() override;

  /// A login: a new session, that is in the home when `connection` is attached.
  void log_in(SimClient& client, const SimConnectionRef& connection);
  /// Re-joins the session; logs in anew where there is none.
  void resume(SimClient& client, const SimConnectionRef& connection);
  void attach_bulk(SimClient& client, const SimConnectionRef& connection);
  /// The server notices that a connection is broken.
  void notice_break(SimClient& client, const SimConnectionRef& connection);
  /// The session is over: its client stayed away for too long.
  void end(SimClient& client);
  /// The wait for late acknowledgements of all that was sent until now ends.
  void give_up_late(SimClient& client);
  void receive(SimClient& client, const SimConnectionRef& connection, InFrame frame);

  /// What is posted on the strand of the home.
  [[nodiscard]] SimQueue& jobs() { return jobs_; }

  // ---- SessionOwner ----
  void end_session(Session& session, Error why) override;
  void note_change(Op, Status) override {}
  Reply handle_token(Session&, const InFrame&) override { return {}; }
  void answered_revocation() override {}

 private:
  void attach(SimClient& client, const SimConnectionRef& connection, bool is_same_session);

  SimQueue jobs_;
  std::shared_ptr<LiveHome> live_;
  const std::string folder_;
  const Report report_;
};

}  // namespace homefs::test

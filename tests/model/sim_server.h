// SimServer: a home on the disk, and the sessions of the server in it, without a network. Frames
// come and go through lists; what is posted runs when the simulation says so. The server can be
// stopped and killed: what it has in memory is gone then, and the next run of it takes up what is
// on the disk, as the real one does.
//
// Owner: the simulation. Executor: its thread. Blocks: on the disk.
#pragma once

#include <deque>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/frame.h"
#include "server/connection.h"
#include "server/session.h"
#include "tests/model/sim_disk.h"
#include "tests/model/sim_queue.h"

namespace homefs {
class SessionMaker;
}  // namespace homefs

namespace homefs::test {

/// A connection: two lists of frames. Owners: the session, and the simulation.
class SimConnection final : public Connection {
 public:
  explicit SimConnection(bool is_control) : is_control_(is_control) {}

  void reply(const FrameHeader& request, const Reply& reply) override;
  void send_event(OutFrame frame) override;
  void close(Error) override { is_closed_ = true; }
  void close_after_flush(const Error&) override { is_closed_ = true; }
  void stop_reading() override { is_reading_ = false; }
  [[nodiscard]] bool has_unanswered() override { return false; }
  [[nodiscard]] bool is_control() const override { return is_control_; }
  [[nodiscard]] bool is_congested() const override { return false; }
  [[nodiscard]] bool is_gone() const override { return is_gone_; }
  [[nodiscard]] std::string peer_address() const override { return "simulated"; }
  [[nodiscard]] std::uint64_t received_bytes() const override { return 0; }

  [[nodiscard]] bool is_closed() const { return is_closed_; }    ///< by the server
  [[nodiscard]] bool is_reading() const { return is_reading_; }  ///< what comes up
  void gone() { is_gone_ = true; }                               ///< the server has noticed

  std::deque<InFrame> up;     ///< to the server
  std::deque<OutFrame> down;  ///< to the client
  /// The answer to the login or the resume goes before all else.
  struct Attached {
    bool is_same_session = false;
    bool has_missed_events = false;
    std::uint64_t incarnation = 0;
    std::uint64_t order = 0;
  };
  std::optional<Attached> attached;
  bool is_busy = false;  ///< a thread of the client works on a frame of it

 private:
  const bool is_control_;
  bool is_reading_ = true;
  bool is_closed_ = false;
  bool is_gone_ = false;
};
using SimConnectionRef = std::shared_ptr<SimConnection>;

/// What the server has of one client.
struct SimClient {
  std::string client_id;
  std::optional<SessionId> id;  ///< of its session, as the client knows it
  std::unique_ptr<SimQueue> jobs = std::make_unique<SimQueue>();
  std::shared_ptr<SessionMaker> maker;  ///< of the server's run: what it posts goes to `jobs`
  std::shared_ptr<Session> session;     ///< null: there is none in memory
};

class SimServer final : public SessionOwner {
 public:
  using Report = std::function<void(const std::string&)>;

  /// `folder`: of the history, in the home; sessions are confined to it. `waits_for_absent`:
  /// changes wait until all are back after a restart. `report` hears of what should not happen.
  SimServer(SimDisk& disk, std::string folder, bool waits_for_absent, Report report);
  ~SimServer() override;

  /// A login: a new session, that is in the home when `connection` is attached.
  void log_in(SimClient& client, const SimConnectionRef& connection);
  /// Re-joins the session, whose replies the client has up to `seq_done`; logs in anew where there
  /// is none.
  void resume(SimClient& client, const SimConnectionRef& connection, std::uint64_t seq_done);
  void attach_bulk(SimClient& client, const SimConnectionRef& connection);
  /// The server notices that a connection is broken.
  void notice_break(SimClient& client, const SimConnectionRef& connection);
  /// The session is over: its client stayed away for too long.
  void end(SimClient& client);
  /// The wait for late acknowledgements of all that was sent until now ends.
  void give_up_late(SimClient& client);
  void receive(SimClient& client, const SimConnectionRef& connection, InFrame frame);

  /// The server is killed: what it has in memory is gone. The next run begins.
  void kill(const std::vector<SimClient*>& clients);
  /// It is stopped in order: what was received is answered. Connections end behind that.
  void stop(const std::vector<SimClient*>& clients);

  /// What is posted on the strands of the home.
  [[nodiscard]] SimQueue& jobs();

  // ---- SessionOwner ----
  void end_session(Session& session, Error why) override;
  void note_change(Op, Status) override {}
  Reply handle_token(Session&, const InFrame&) override { return {}; }
  void answered_revocation() override {}

 private:
  struct Run;

  [[nodiscard]] SessionMaker& maker_of(SimClient& client);
  void join(SimClient& client, const SimConnectionRef& connection, bool is_same_session,
            std::uint64_t seq_done);
  void attach(SimClient& client, const SimConnectionRef& connection, bool is_same_session);
  void begin_run();
  void end_run(const std::vector<SimClient*>& clients);

  SimDisk& disk_;
  const std::string folder_;
  const std::filesystem::path sessions_folder_;
  const bool waits_for_absent_;
  const Report report_;
  std::uint64_t incarnation_ = 0;
  std::unique_ptr<Run> run_;
};

}  // namespace homefs::test

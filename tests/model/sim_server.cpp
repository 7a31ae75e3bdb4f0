#include "tests/model/sim_server.h"

#include <utility>

#include "server/frame_outlet.h"
#include "server/posix_disk.h"

namespace homefs::test {
namespace {

// Time passes for the waits for acknowledgements when the simulation says so.
constexpr std::chrono::hours kNever{24};

// The session's record, which outlives it as the file of a record does.
class KeptRecord final : public ReplayRecord {
 public:
  explicit KeptRecord(std::shared_ptr<MemoryReplayRecord> kept) : kept_(std::move(kept)) {}
  [[nodiscard]] std::uint64_t last_applied() const override { return kept_->last_applied(); }
  [[nodiscard]] std::uint64_t last_dropped() const override { return kept_->last_dropped(); }
  void begin(std::uint64_t seq, std::uint64_t fingerprint, Op op) override {
    kept_->begin(seq, fingerprint, op);
  }
  void finish(std::uint64_t seq, std::shared_ptr<const Reply> reply) override {
    kept_->finish(seq, std::move(reply));
  }
  [[nodiscard]] Result<std::shared_ptr<const Reply>> find(
      std::uint64_t seq, std::uint64_t fingerprint) const override {
    return kept_->find(seq, fingerprint);
  }
  void drop_through(std::uint64_t seq) override { kept_->drop_through(seq); }
  [[nodiscard]] WriteLog& writes() override { return kept_->writes(); }
  [[nodiscard]] WriteLog& syncs() override { return kept_->syncs(); }
  [[nodiscard]] ForeignChanges& foreign_changes() override { return kept_->foreign_changes(); }

 private:
  std::shared_ptr<MemoryReplayRecord> kept_;
};

}  // namespace

void SimConnection::reply(const FrameHeader& request, const Reply& reply) {
  if (!is_gone_) down.push_back(make_reply_frame(request, reply));
}

void SimConnection::send_event(OutFrame frame) {
  if (!is_gone_) down.push_back(std::move(frame));
}

SimServer::SimServer(std::shared_ptr<Home> home, std::string folder, Report report)
    : live_(std::make_shared<LiveHome>()), folder_(std::move(folder)), report_(std::move(report)) {
  live_->name = "simulated";
  live_->files = std::move(home);
  live_->coherence = HomeCoherence::make(jobs_.executor());
}

SimServer::~SimServer() { live_->coherence->clear(); }

void SimServer::log_in(SimClient& client, const SimConnectionRef& connection) {
  auto files = SessionHome::open(live_->files, folder_);
  HOMEFS_CHECK(files.has_value());
  client.record = std::make_shared<MemoryReplayRecord>();
  SessionSetup setup;
  setup.home = live_;
  setup.files = std::move(*files);
  setup.record = std::make_unique<KeptRecord>(client.record);
  setup.limits.event_deadline = kNever;
  client.home = live_;
  client.session = Session::make(client.jobs.executor(), *this, std::move(setup));
  live_->coherence->join(client.session,
                         [this, &client, connection, session = client.session](bool) {
                           if (client.session != session) return;
                           attach(client, connection, /*is_same_session=*/false);
                         });
}

void SimServer::attach(SimClient& client, const SimConnectionRef& connection,
                       bool is_same_session) {
  live_->coherence->in_order(
      [&client, connection, session = client.session, is_same_session](bool is_shared) {
        if (client.session != session || connection->is_gone()) return;
        // Whatever the session sends waits behind the answer.
        const auto attached = session->attach_control(connection, is_shared);
        if (!attached) return connection->close(attached.error());
        connection->attached = {.is_same_session = is_same_session,
                                .has_missed_events = attached->has_missed_events,
                                .order = is_same_session ? disk::next_order() : 0};
        session->tell_quota();
      });
}

void SimServer::resume(SimClient& client, const SimConnectionRef& connection) {
  if (client.session == nullptr) {
    log_in(client, connection);
  } else {
    attach(client, connection, /*is_same_session=*/true);
  }
}

void SimServer::attach_bulk(SimClient& client, const SimConnectionRef& connection) {
  if (client.session == nullptr) return connection->close({});
  const Result<void> attached = client.session->attach_bulk(connection, 1);
  if (!attached) connection->close(attached.error());
}

void SimServer::notice_break(SimClient& client, const SimConnectionRef& connection) {
  connection->gone();
  connection->up.clear();
  if (client.session == nullptr) return;
  client.session->on_connection_closed(*connection, {Status::kDisconnected, "cut"});
}

void SimServer::end(SimClient& client) {
  if (client.session == nullptr) return;
  client.session->close({Status::kSessionUnknown, "away for too long"});
  client.session.reset();
}

void SimServer::give_up_late(SimClient& client) {
  if (client.session == nullptr) return;
  client.session->give_up_late_events(Session::Clock::now() + kNever + kNever);
}

void SimServer::receive(SimClient& client, const SimConnectionRef& connection, InFrame frame) {
  if (client.session != nullptr) client.session->on_frame(connection, std::move(frame));
}

void SimServer::end_session(Session& session, Error why) {
  if (why.status != Status::kOk) report_("the server ends a session: " + why.message());
  session.close(why);
}

}  // namespace homefs::test

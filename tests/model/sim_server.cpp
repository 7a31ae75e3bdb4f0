#include "tests/model/sim_server.h"

#include <utility>

#include "server/frame_outlet.h"
#include "server/posix_disk.h"
#include "server/session_maker.h"

namespace homefs::test {
namespace {

// Time passes for the waits for acknowledgements when the simulation says so.
constexpr std::chrono::hours kNever{24};

// Of a run that is killed: what it leaves is what was there in that moment, whatever its end does.
class KeptFolder {
 public:
  explicit KeptFolder(std::filesystem::path folder)
      : folder_(std::move(folder)), copy_(folder_.string() + ".kept") {
    std::filesystem::copy(folder_, copy_, std::filesystem::copy_options::recursive);
  }
  void put_back() const {
    std::filesystem::remove_all(folder_);
    std::filesystem::rename(copy_, folder_);
  }

 private:
  const std::filesystem::path folder_;
  const std::filesystem::path copy_;
};

SessionStore open_store(const std::filesystem::path& folder) {
  auto store = SessionStore::open(folder);
  HOMEFS_CHECK(store.has_value());
  return *std::move(store);
}

}  // namespace

void SimConnection::reply(const FrameHeader& request, const Reply& reply) {
  if (!is_gone_) down.push_back(make_reply_frame(request, reply));
}

void SimConnection::send_event(OutFrame frame) {
  if (!is_gone_) down.push_back(std::move(frame));
}

// ---- Runs ---------------------------------------------------------------------------------------

// What is in memory of one run of the server. Handlers that did not run go last.
struct SimServer::Run {
  explicit Run(SimServer& server_in);

  [[nodiscard]] SessionMaker::Parts parts(const boost::asio::any_io_executor& executor) {
    return {.executor = executor,
            .digest_executor = executor,
            .owner = server,
            .accounts = server.disk_.accounts(),
            .state = server.disk_.state(),
            .sessions = sessions,
            .saved = saved,
            .store = store,
            .homes = homes,
            .settings = settings};
  }

  SimServer& server;
  SimQueue jobs;  // on the strands of the home
  Guarded<LoginSettings> settings;
  SessionStore store;
  SessionRegistry sessions{1000};
  SavedSessions saved;
  HomeRegistry homes;
  SessionMaker maker;
  std::shared_ptr<LiveHome> home;
};

SimServer::Run::Run(SimServer& server_in)
    : server(server_in),
      store(open_store(server.sessions_folder_)),
      homes({.executor = jobs.executor(),
             .homes_dir = server.disk_.homes(),
             .usage_of = [&disk = server.disk_](const std::string&) { return disk.usage(); },
             .on_open = [this](const std::string& name,
                               Home& opened) { return maker.settle_doubts(name, opened); }}),
      maker(parts(jobs.executor())) {
  settings.lock()->limits.event_deadline = kNever;
}

SimServer::SimServer(SimDisk& disk, std::string folder, bool waits_for_absent, Report report)
    : disk_(disk),
      folder_(std::move(folder)),
      sessions_folder_(disk.root() / ("sessions-" + folder_)),
      waits_for_absent_(waits_for_absent),
      report_(std::move(report)) {
  begin_run();
}

SimServer::~SimServer() {
  run_->sessions.end_if([](const Session&) { return true; }, {});
  run_->homes.let_go_of_sessions();
  run_->homes.stop_all();
  run_.reset();
  std::filesystem::remove_all(sessions_folder_);
}

SimQueue& SimServer::jobs() { return run_->jobs; }

void SimServer::begin_run() {
  ++incarnation_;
  run_ = std::make_unique<Run>(*this);
  auto sessions = run_->store.load();
  HOMEFS_CHECK(sessions.has_value());
  run_->maker.load(*std::move(sessions));
  auto home = run_->homes.acquire(disk_.account());
  HOMEFS_CHECK(home.has_value());
  run_->home = *home;
  // Whoever is not back is waited for until it is, or not at all: never for a time.
  run_->home->coherence = HomeCoherence::make(
      run_->jobs.executor(),
      {.returning = waits_for_absent_ ? kNever : std::chrono::milliseconds(0), .progress = kNever});
}

void SimServer::end_run(const std::vector<SimClient*>& clients) {
  for (SimClient* client : clients) client->jobs->drop();
  run_->jobs.drop();
  run_->homes.stop_all();
  for (const auto& session : run_->sessions.all()) session->keep_for_next_run();
  run_->sessions.end_if([](const Session&) { return true; }, {Status::kGoingAway, "a restart"});
  run_->homes.let_go_of_sessions();
  for (SimClient* client : clients) {
    client->session.reset();
    client->maker.reset();
  }
  run_->home.reset();
  for (SimClient* client : clients) client->jobs = std::make_unique<SimQueue>();
  run_.reset();
}

void SimServer::kill(const std::vector<SimClient*>& clients) {
  const KeptFolder kept(sessions_folder_);
  end_run(clients);
  kept.put_back();
  begin_run();
}

void SimServer::stop(const std::vector<SimClient*>& clients) {
  for (const auto& session : run_->sessions.all()) {
    session->tell(Op::kGoingAway, {});
    session->stop_reading();
  }
  bool goes_on = true;
  while (goes_on) {
    goes_on = jobs().run_one();
    for (SimClient* client : clients) goes_on |= client->jobs->run_one();
  }
  for (const auto& session : run_->sessions.all()) {
    session->disconnect({Status::kGoingAway, "a restart"});
  }
  end_run(clients);
  begin_run();
}

// ---- Sessions -----------------------------------------------------------------------------------

SessionMaker& SimServer::maker_of(SimClient& client) {
  if (client.maker == nullptr) {
    client.maker = std::make_shared<SessionMaker>(run_->parts(client.jobs->executor()));
  }
  return *client.maker;
}

void SimServer::log_in(SimClient& client, const SimConnectionRef& connection) {
  auto session = maker_of(client).make(
      {.account = disk_.account(), .client_id = client.client_id, .subdir = folder_});
  HOMEFS_CHECK(session.has_value());
  client.session = *std::move(session);
  client.id = client.session->id();
  join(client, connection, /*is_same_session=*/false, 0);
}

void SimServer::resume(SimClient& client, const SimConnectionRef& connection,
                       std::uint64_t seq_done) {
  const auto known = client.id ? maker_of(client).find(*client.id) : std::nullopt;
  if (!known) return log_in(client, connection);
  client.session = known->session;
  if (client.session == nullptr) {
    auto restored = maker_of(client).restore(*client.id);
    if (!restored) {
      report_("a saved session is not restored: " + restored.error().message());
      return connection->close(restored.error());
    }
    client.session = *std::move(restored);
  }
  join(client, connection, /*is_same_session=*/true, seq_done);
}

// As LoginDialog and ChannelConnection do it.
void SimServer::join(SimClient& client, const SimConnectionRef& connection, bool is_same_session,
                     std::uint64_t seq_done) {
  client.session->coherence().join(
      client.session,
      [this, &client, connection, session = client.session, is_same_session, seq_done](bool) {
        if (client.session != session) return;
        const Result<void> known = session->acknowledge(seq_done);
        if (!known)
          report_("the client has replies that the server has not: " + known.error().message());
        attach(client, connection, is_same_session);
      });
}

void SimServer::attach(SimClient& client, const SimConnectionRef& connection,
                       bool is_same_session) {
  client.session->coherence().in_order(
      [this, &client, connection, session = client.session, is_same_session](bool is_shared) {
        if (client.session != session || connection->is_gone()) return;
        // Whatever the session sends waits behind the answer.
        const auto attached = session->attach_control(connection, is_shared);
        if (!attached) return connection->close(attached.error());
        connection->attached = {.is_same_session = is_same_session,
                                .has_missed_events = attached->has_missed_events,
                                .incarnation = incarnation_,
                                .order = is_same_session ? disk::next_order() : 0};
        session->greet();
      });
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

// One that is saved ends when its client logs in anew.
void SimServer::end(SimClient& client) {
  client.id.reset();
  if (client.session == nullptr) return;
  run_->sessions.end(*std::exchange(client.session, nullptr),
                     {Status::kSessionUnknown, "away for too long"});
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
  run_->sessions.end(session, why);
}

}  // namespace homefs::test

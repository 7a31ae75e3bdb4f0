#include "tests/model/sim_world.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/guarded.h"

namespace homefs::test {
namespace {

// A critical section in this many is preceded by a change of threads.
constexpr std::uint64_t kYieldOneIn = 4;
// Trouble comes at one step in so many.
constexpr std::uint64_t kTroubleOneIn = 60;
constexpr std::size_t kStepsMax = 200'000;

SimWorld* current = nullptr;

InFrame in_frame(const OutFrame& out) {
  std::size_t bytes = out.fields.size();
  for (const Slice& slice : out.payload) bytes += slice.bytes.size();
  InFrame frame{.header = out.header, .body = std::make_shared<Buffer>(bytes)};
  auto place = std::ranges::copy(out.fields, frame.body->writable().begin()).out;
  for (const Slice& slice : out.payload) place = std::ranges::copy(slice.bytes, place).out;
  return frame;
}

bool is_event(const OutFrame& frame) { return frame.header.kind == FrameKind::kEvent; }

// Whether it answers a rename between two names of one file, which both stay.
bool is_rename_of_one_file(const OutFrame& answer) {
  if (answer.header.op != Op::kRename || answer.header.status != Status::kRenamed) return false;
  const auto reply = decode_all<RenameReply>(answer.fields);
  return reply && reply->other && reply->other->inode == reply->attributes.inode;
}

}  // namespace

SimWorld::SimWorld(const SimOptions& options, SimDisk& disk, std::string folder)
    : options_(options),
      disk_(disk),
      root_(disk.home() / folder),
      random_(options.seed),
      checker_([this](int number) {
        for (const auto& mount : mounts_) {
          if (mount->number == number) return mount->reachable_since;
        }
        return Moment{0};
      }),
      server_(disk, std::move(folder), /*waits_for_absent=*/options.seed % 2 == 0,
              [this](const std::string& what) { checker_.violated(what); }),
      calls_left_(options.calls) {
  for (int i = 0; i < options.mounts; ++i) add_mount();
}

SimWorld::~SimWorld() {
  is_over_ = true;
  for (auto& mount : mounts_) {
    mount->link->close();
    mount->files->locks().end_waits();
    server_.end(mount->client);
  }
  // What still waits in the client fails, and so ends.
  bool goes_on = true;
  while (goes_on) {
    goes_on = false;
    for (auto* list : {&mounts_, &gone_}) {
      for (auto& mount : *list) {
        goes_on |= mount->posted.size() + mount->turns.size() > 0;
        mount->notifier.deliver_all();
        mount->posted.run_all();
        mount->turns.run_all();
        while (mount->client.jobs->run_one()) goes_on = true;
      }
    }
    while (fibers_.yielded() > 0) fibers_.resume(0);
    while (server_.jobs().run_one()) goes_on = true;
  }
  mounts_.clear();
  gone_.clear();
}

void SimWorld::before_lock() {
  if (current == nullptr || !current->fibers_.is_inside()) return;
  if (current->random(kYieldOneIn) == 0) current->fibers_.yield();
}

void SimWorld::note(std::string what) { history_.push_back(fmt::format("{:5} {}", now_, what)); }

void SimWorld::note_frame(const SimMount& mount, std::string_view way, const FrameHeader& header) {
  if (!options_.tells_all) return;
  const bool is_failure = header.status != Status::kOk;
  note(fmt::format("    mount {} {} {} {} {} {}", mount.number, way, name_of(header.op), header.tag,
                   header.seq, is_failure ? text_of(header.status) : ""));
}

// What the server is told of the nodes of a request.
void SimWorld::note_introductions(const InFrame& request) {
  if (!options_.tells_all || request.header.kind != FrameKind::kRequest) return;
  if (request.header.op <= Op::kPing) return;
  ByteReader in(request.bytes());
  const auto introductions = decode<Introductions>(in);
  if (!introductions) return;
  for (const Introduction& one : introductions->list) {
    note(fmt::format("      node {} is inode {} ({:x}), \"{}\" in node {}", number_of(one.node),
                     number_of(one.inode), one.generation, one.name, number_of(one.parent)));
  }
}

void SimWorld::note_notice(const SimMount& mount) {
  const Notice* const told = mount.notifier.front();
  if (told == nullptr || !options_.tells_all) return;
  note(fmt::format("    mount {}: its kernel is told of node {}", mount.number,
                   number_of(told->node)));
}

// ---- What may happen ----------------------------------------------------------------------------

void SimWorld::collect(std::vector<Choice>& choices, bool is_healing) {
  for (const auto& mount : mounts_) collect(*mount, choices);
  for (std::size_t i = 0; i < fibers_.yielded(); ++i) choices.push_back({What::kFiber, nullptr, i});
  if (!server_.jobs().is_empty()) choices.push_back({What::kHomeJob});
  collect_unlocks(choices);
  if (is_healing) return;
  if (calls_left_ == 0) return;
  for (std::size_t i = 0; i < programs_.size(); ++i) {
    const Program& program = *programs_[i];
    if (!program.is_busy && !program.is_stopped && program.mount->is_ready()) {
      choices.push_back({What::kCall, program.mount, i});
    }
  }
}

// When there is nothing else to do, programs give free what others may wait for.
void SimWorld::collect_unlocks(std::vector<Choice>& choices) {
  if (calls_left_ > 0) return;
  for (std::size_t i = 0; i < programs_.size(); ++i) {
    const Program& program = *programs_[i];
    if (!program.is_busy && !program.locks.empty()) {
      choices.push_back({What::kCall, program.mount, i});
    }
  }
}

void SimWorld::collect(SimMount& mount, std::vector<Choice>& choices) {
  const auto add = [&](What what, const SimConnectionRef& connection = nullptr,
                       std::size_t place = 0) {
    choices.push_back({what, &mount, place, connection});
  };
  std::vector<SimConnectionRef> connections(mount.broken.begin(), mount.broken.end());
  for (const SimConnectionRef& one : {mount.control, mount.bulk}) {
    if (one != nullptr) connections.push_back(one);
  }
  for (const SimConnectionRef& one : connections) {
    if (!one->up.empty()) add(What::kUp, one);
  }
  for (const SimConnectionRef& one : {mount.control, mount.bulk}) {
    if (one == nullptr) continue;
    if (!one->down.empty() && !one->is_busy) add(What::kDown, one);
    if (one->is_closed() && one->down.empty() && !mount.is_adopting) {
      add(one == mount.control ? What::kBreak : What::kBreakBulk, one);
    }
  }
  if (mount.joining != nullptr && mount.joining->attached && mount.busy_events == 0 &&
      !mount.is_adopting) {
    add(What::kDown, mount.joining);
  }
  if (mount.turns.size() > 0) add(What::kTurn, nullptr, random(mount.turns.size()));
  if (mount.posted.size() > 0) add(What::kPosted, nullptr, random(mount.posted.size()));
  const Notice* notice = mount.notifier.front();
  if (mount.notifier.has_waiting() && (notice == nullptr || mount.kernel->can_take(*notice))) {
    add(What::kNotice);
  }
  const Notice* name = mount.notifier.front_name();
  if (name != nullptr && mount.kernel->can_take(*name)) add(What::kName);
  if (mount.started != nullptr && mount.control == nullptr && mount.joining == nullptr) {
    add(What::kReconnect);
  }
  if (mount.link->has_bulk() && mount.link->control() != 0 && !mount.is_adopting &&
      mount.control != nullptr && mount.bulk == nullptr && mount.is_ready()) {
    add(What::kBulk);
  }
  if (!mount.broken.empty()) add(What::kNoticeBreak);
  if (!mount.client.jobs->is_empty()) add(What::kSessionJob);
}

// What is not wanted, or comes from a timer.
void SimWorld::collect_trouble(std::vector<Choice>& choices) {
  for (const auto& mount : mounts_) {
    if (!mount->is_ready() || mount->is_adopting) continue;
    const auto add = [&](What what) { choices.push_back({what, mount.get()}); };
    add(What::kHeldWrites);
    add(What::kForgets);
    add(What::kShrink);
    if (mount->kernel->has_lock_waits()) add(What::kSignal);
    for (int i = 0; options_.has_breaks && mount->control != nullptr && i < 3; ++i) {
      add(What::kBreak);
    }
    if (options_.has_breaks && mount->bulk != nullptr) add(What::kBreakBulk);
    if (options_.has_lateness) add(What::kLate);
    if (options_.has_session_losses && mount->control == nullptr) add(What::kLoseSession);
    if (options_.has_comings && mounts_.size() > 1) choices.push_back({What::kLeave, mount.get()});
  }
  const auto is_adopting = [](const auto& mount) { return mount->is_adopting; };
  if (options_.has_restarts && std::ranges::none_of(mounts_, is_adopting)) {
    for (int i = 0; i < 3; ++i) choices.push_back({What::kRestart});
  }
  if (options_.has_comings && mounts_.size() < 3 && last_mount_ < 6) {
    choices.push_back({What::kJoin});
  }
}

bool SimWorld::step(bool is_healing) {
  ++now_;
  for (const auto& mount : mounts_) update_reachable(*mount);
  std::vector<Choice> choices;
  if (!is_healing && random(kTroubleOneIn) == 0) collect_trouble(choices);
  if (choices.empty()) collect(choices, is_healing);
  if (choices.empty()) return false;
  take(Choice(choices[random(choices.size())]));
  return true;
}

void SimWorld::take(const Choice& choice) {
  SimMount* const mount = choice.mount;
  switch (choice.what) {
    case What::kCall:
      return begin_call(*programs_[choice.place]);
    case What::kUp: {
      InFrame frame = std::move(choice.connection->up.front());
      choice.connection->up.pop_front();
      note_frame(*mount, "asks", frame.header);
      note_introductions(frame);
      return server_.receive(mount->client, choice.connection, std::move(frame));
    }
    case What::kDown:
      return deliver(*mount, choice.connection);
    case What::kTurn:
      return fibers_.start([mount, place = choice.place] { mount->turns.run(place); });
    case What::kPosted:
      return fibers_.start([mount, place = choice.place] { mount->posted.run(place); });
    case What::kFiber:
      return fibers_.resume(choice.place);
    case What::kNotice:
      note_notice(*mount);
      return fibers_.start([mount] { mount->notifier.deliver_one(); });
    case What::kName:
      return fibers_.start([mount] { mount->notifier.deliver_name(); });
    case What::kHomeJob:
      (void)server_.jobs().run_one();
      return;
    case What::kSessionJob:
      (void)mount->client.jobs->run_one();
      return;
    case What::kReconnect:
      mount->joining = std::make_shared<SimConnection>(/*is_control=*/true);
      return server_.resume(mount->client, mount->joining, mount->link->seq_done());
    case What::kBulk:
      mount->bulk = std::make_shared<SimConnection>(/*is_control=*/false);
      server_.attach_bulk(mount->client, mount->bulk);
      return fibers_.start([mount] { mount->link->reconnect_bulk(); });
    case What::kNoticeBreak: {
      const SimConnectionRef broken = mount->broken.front();
      mount->broken.pop_front();
      return server_.notice_break(mount->client, broken);
    }
    default:
      return take_trouble(choice);
  }
}

void SimWorld::take_trouble(const Choice& choice) {
  SimMount* const mount = choice.mount;
  switch (choice.what) {
    case What::kHeldWrites:
      return fibers_.start([mount] { mount->files->send_held_writes(); });
    case What::kForgets:
      return fibers_.start([mount] { mount->files->send_waiting_forgets(); });
    case What::kShrink:
      return fibers_.start([mount, which = random_()] { mount->kernel->shrink(which); });
    case What::kSignal:
      note(fmt::format("mount {}: a program that waits for a lock gets a signal", mount->number));
      return mount->kernel->interrupt_lock(random_());
    case What::kBreak:
      note(fmt::format("mount {} loses its connection", mount->number));
      return mount->cut_control();
    case What::kBreakBulk:
      return mount->cut_bulk();
    case What::kLate:
      note(fmt::format("mount {} is late", mount->number));
      mount->was_late = true;
      mount->reachable_since = kNever;
      return server_.give_up_late(mount->client);
    case What::kJoin:
      return add_mount();
    case What::kLeave:
      return remove_mount(*mount);
    case What::kLoseSession:
      note(fmt::format("mount {} loses its session", mount->number));
      has_lost_session_ = true;
      if (mount->joining == nullptr) {
        server_.end(mount->client);
        mount->has_lost_session = true;
        lose_locks(*mount);
      }
      return;
    case What::kRestart:
      return restart_server();
    default:
      return;
  }
}

// ---- Mounts -------------------------------------------------------------------------------------

void SimWorld::add_mount() {
  FileSystemOptions options{.dirty_bytes_max = 64 * 1024, .dirty_bytes_per_file_max = 16 * 1024};
  mounts_.push_back(std::make_unique<SimMount>(++last_mount_, options_.has_bulk, options));
  SimMount& mount = *mounts_.back();
  note(fmt::format("mount {} comes", mount.number));
  mount.client.client_id = fmt::format("mount {}", mount.number);
  log_in(mount);
  for (int i = 0; i < options_.programs; ++i) {
    programs_.push_back(std::make_unique<Program>());
    programs_.back()->number = static_cast<int>(programs_.size());
    programs_.back()->mount = &mount;
  }
}

void SimWorld::log_in(SimMount& mount) {
  mount.joining = std::make_shared<SimConnection>(/*is_control=*/true);
  server_.log_in(mount.client, mount.joining);
}

// Whoever has no answer to the first login logs in once more; all others come back as after a
// break.
void SimWorld::restart_server() {
  const bool is_kill = random(2) == 0;
  note(is_kill ? "the server is killed" : "the server is stopped");
  has_restarted_ = true;
  std::vector<SimClient*> clients;
  for (const auto* list : {&mounts_, &gone_}) {
    for (const auto& mount : *list) clients.push_back(&mount->client);
  }
  for (const auto& mount : mounts_) {
    mount->reachable_since = kNever;
    if (!is_kill) continue;
    mount->cut_control();
    mount->cut_bulk();
    mount->broken.clear();
  }
  if (is_kill) {
    server_.kill(clients);
  } else {
    server_.stop(clients);
  }
  for (const auto& mount : mounts_) {
    if (mount->joining != nullptr && (is_kill || !mount->joining->attached))
      mount->joining = nullptr;
    if (mount->started == nullptr && mount->joining == nullptr) log_in(*mount);
  }
}

// In order: nothing is unsent, and nobody uses it.
void SimWorld::remove_mount(SimMount& mount) {
  bool is_used = fibers_.yielded() > 0 || mount.posted.size() + mount.turns.size() > 0 ||
                 mount.files->figures().dirty_bytes > 0 || mount.control == nullptr;
  for (const auto& program : programs_) {
    is_used |= program->mount == &mount && (program->is_busy || !program->open.empty());
  }
  if (is_used) return;
  note(fmt::format("mount {} leaves", mount.number));
  for (const auto& program : programs_) program->is_stopped |= program->mount == &mount;
  mount.link->close();
  server_.end(mount.client);
  const auto found =
      std::ranges::find_if(mounts_, [&](const auto& one) { return one.get() == &mount; });
  gone_.push_back(std::move(*found));
  mounts_.erase(found);
}

void SimWorld::update_reachable(SimMount& mount) {
  if (mount.reachable_since != kNever || mount.control == nullptr || !mount.is_ready()) return;
  if (mount.control->is_closed()) return;
  if (mount.notifier.has_waiting() || mount.notifier.has_waiting_name()) return;
  if (mount.control->is_busy || fibers_.yielded() > 0) return;
  if (mount.was_late) {
    const bool has_events = std::ranges::any_of(mount.control->down, is_event);
    const bool has_answers = std::ranges::any_of(mount.control->up, [](const InFrame& frame) {
      return frame.header.kind == FrameKind::kEventAck;
    });
    if (has_events || has_answers || mount.events_waiting > 0) return;
    mount.was_late = false;
  }
  mount.reachable_since = now_;
}

void SimWorld::deliver(SimMount& mount, const SimConnectionRef& connection) {
  if (connection == mount.joining) {
    if (mount.started != nullptr) note(fmt::format("mount {} is back", mount.number));
    mount.events_waiting = 0;
    connection->is_busy = mount.is_adopting = true;
    return fibers_.start([&mount, connection] {
      mount.adopt(connection);
      connection->is_busy = false;
      mount.is_adopting = false;
    });
  }
  OutFrame frame = std::move(connection->down.front());
  connection->down.pop_front();
  connection->is_busy = true;
  note_frame(mount, is_event(frame) ? "hears" : "is answered", frame.header);
  if (is_event(frame)) {
    ++mount.busy_events;
    return fibers_.start([this, &mount, connection, frame = std::move(frame)] {
      deliver_event(mount, connection, frame);
      --mount.busy_events;
      connection->is_busy = false;
    });
  }
  if (is_rename_of_one_file(frame)) ++mount.renames_of_one_file;
  const bool is_control = connection == mount.control;
  const std::uint64_t id = is_control ? mount.link->control() : mount.link->bulk();
  fibers_.start([&mount, connection, id, frame = std::move(frame)] {
    mount.link->deliver(id, in_frame(frame));
    connection->is_busy = false;
  });
}

void SimWorld::acknowledge(SimMount& mount, const SimConnectionRef& connection,
                           const FrameHeader& event) {
  if (connection != mount.control) return;
  --mount.events_waiting;
  InFrame frame{.header = {.op = event.op, .kind = FrameKind::kEventAck, .tag = event.tag},
                .body = std::make_shared<Buffer>(0)};
  connection->up.push_back(std::move(frame));
}

// As EventRelay does.
void SimWorld::deliver_event(SimMount& mount, const SimConnectionRef& connection,
                             const OutFrame& frame) {
  ++mount.events_waiting;
  const FrameHeader header = frame.header;
  auto acknowledged = [this, &mount, connection, header] {
    acknowledge(mount, connection, header);
  };
  switch (header.op) {
    case Op::kMode: {
      const auto event = decode_all<ModeEvent>(frame.fields);
      note(fmt::format("mount {} hears that the home is {}", mount.number,
                       event->is_shared ? "shared" : "its own"));
      return mount.link->mode(event->is_shared, std::move(acknowledged));
    }
    case Op::kChanged: {
      auto event = decode_all<ChangedEvent>(frame.fields);
      note(fmt::format("mount {} hears of a change", mount.number));
      return mount.link->changed(*std::move(event), std::move(acknowledged));
    }
    case Op::kQuotaChanged:
      mount.link->quota(decode_all<QuotaEvent>(frame.fields)->grant);
      break;
    case Op::kLockGranted:
      mount.link->lock_granted(decode_all<LockGrantedEvent>(frame.fields)->id);
      break;
    default:
      break;
  }
  acknowledged();
}

// ---- The history --------------------------------------------------------------------------------

// Everything is repaired, and comes to its end.
void SimWorld::heal() {
  for (std::size_t steps = 0; steps < kStepsMax; ++steps) {
    ++now_;
    for (const auto& mount : mounts_) update_reachable(*mount);
    std::vector<Choice> choices;
    collect(choices, /*is_healing=*/true);
    if (!choices.empty()) {
      take(Choice(choices[random(choices.size())]));
      continue;
    }
    for (const auto& mount : mounts_) {
      if (!mount->is_ready()) continue;
      SimMount* const one = mount.get();
      fibers_.start([one] { one->files->send_held_writes(); });
    }
    choices.clear();
    collect(choices, /*is_healing=*/true);
    if (choices.empty()) return;
  }
  checker_.violated("it never comes to its end");
}

// For people: what the mount has asked for, and what it cannot tell its kernel.
std::string SimWorld::what_waits(const SimMount& mount) {
  std::string all = fmt::format("mount {} has asked for:", mount.number);
  for (const auto& request : mount.link->under_way()) {
    all += fmt::format(" {}", name_of(request.op));
  }
  const Notice* const notice = mount.notifier.front();
  if (notice != nullptr) {
    all += fmt::format("; its kernel cannot be told of node {}", number_of(notice->node));
  }
  return all + "; " + mount.kernel->held_locks();
}

std::vector<std::string> SimWorld::run() {
  current = this;
#ifdef HOMEFS_FAULTS
  if (options_.yields) before_guarded_lock = before_lock;
#endif
  for (std::size_t steps = 0; steps < kStepsMax; ++steps) {
    const bool is_busy =
        std::ranges::any_of(programs_, [](const auto& program) { return program->is_busy; });
    if (calls_left_ == 0 && !is_busy) break;
    if (calls_left_ == 0 && steps % 500 == 499) break;  // healing ends what waits for it
    if (!checker_.violations().empty()) break;
    (void)step(/*is_healing=*/false);
  }
  if (checker_.violations().empty()) heal();
  for (const auto& program : programs_) {
    if (program->is_busy && checker_.violations().empty()) {
      checker_.violated(fmt::format("program {} waits for ever", program->number));
      for (const auto& mount : mounts_) note(what_waits(*mount));
    }
  }
  if (checker_.violations().empty()) check_all();
#ifdef HOMEFS_FAULTS
  before_guarded_lock = nullptr;
#endif
  current = nullptr;
  return checker_.violations();
}

}  // namespace homefs::test

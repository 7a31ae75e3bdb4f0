#include "tests/model/sim_mount.h"

namespace homefs::test {

SimMount::SimMount(int number_in, bool has_bulk, const FileSystemOptions& options)
    : number(number_in), link(std::make_unique<FakeLink>(has_bulk)) {
  files = std::make_unique<FileSystem>(
      [this](std::move_only_function<void()> work) { posted.post(std::move(work)); }, options);
  kernel = std::make_unique<FakeKernel>(
      *files, [this](std::move_only_function<void()> work) { turns.post(std::move(work)); });
  files->attach(*link, notifier, transfers);
  files->let_kernel_keep_absent_names();
  files->let_kernel_map_direct_files();
  link->attach(*files, *files);
  notifier.hold();
  notifier.listen([this](const Notice& notice) { kernel->take(notice); });
  link->listen([this](const FakeLink::Request& request) { on_request(request); });
}

// What still waits fails, and so ends.
SimMount::~SimMount() {
  link->close();
  files->locks().end_waits();
  do {
    notifier.deliver_all();
    posted.run_all();
    turns.run_all();
    files->send_held_writes();
  } while (posted.size() + turns.size() > 0 || notifier.has_waiting());
  files->wait_idle();
}

void SimMount::begin() { started = runner.start(files->start()); }

void SimMount::on_request(const FakeLink::Request& request) {
  const bool is_control = request.connection == link->control();
  const SimConnectionRef& connection = is_control ? control : bulk;
  if (connection != nullptr) connection->up.push_back(request.frame());
}

void SimMount::adopt(const SimConnectionRef& connection) {
  const SimConnection::Attached attached = *std::exchange(connection->attached, {});
  const bool is_first = started == nullptr;
  const bool is_new_incarnation =
      std::exchange(incarnation, attached.incarnation) != attached.incarnation;
  control = connection;
  joining = nullptr;
  if (is_first) {
    link->break_bulk();
    begin();
    return;
  }
  if (bulk != nullptr) broken.push_back(std::exchange(bulk, nullptr));
  has_lost_session = has_lost_session && attached.is_same_session;
  link->reconnect({.is_same_session = attached.is_same_session,
                   .are_caches_valid = !attached.has_missed_events,
                   .is_new_incarnation = is_new_incarnation,
                   .order = attached.order});
}

void SimMount::cut_control() {
  if (control == nullptr) return;
  control->down.clear();
  broken.push_back(std::exchange(control, nullptr));
  link->break_control();
  reachable_since = kNever;
}

void SimMount::cut_bulk() {
  if (bulk == nullptr) return;
  bulk->down.clear();
  broken.push_back(std::exchange(bulk, nullptr));
  link->break_bulk();
}

}  // namespace homefs::test

#include "fusefs/cli/remote_session.h"

#include <utility>

#include "fusefs/cli/exit_status.h"
#include "fusefs/cli/server_pins.h"

namespace homefs {
namespace {

Failure failure_of(const Error& error) {
  return {number_of(exit_status_of(error)), text_for_person(error)};
}

}  // namespace

RemoteSession::RemoteSession(ClientSlot slot, std::filesystem::path state_folder, std::string name)
    : slot_(std::move(slot)), state_folder_(std::move(state_folder)), name_(std::move(name)) {}

RemoteSession::~RemoteSession() {
  if (link_ == nullptr) return;
  link_->close();
  if (client_ != nullptr) link_->detach();
  link_.reset();
}

std::expected<std::unique_ptr<RemoteSession>, Failure> RemoteSession::open(
    const ClientPaths& paths, const LoginFlags& flags, const std::string& server) {
  auto plan = make_connect_plan(paths, flags, server, {});
  if (!plan) return std::unexpected(failure_of(plan.error()));
  auto options = link_options_of(paths, flags, *plan);
  if (!options) return std::unexpected(failure_of(options.error()));
  auto folder = paths.make_state_dir(plan->state_name);
  if (!folder) return std::unexpected(failure_of(folder.error()));
  auto slot = ClientSlot::acquire(*folder);
  if (!slot) return std::unexpected(failure_of(slot.error()));
  auto tls = TlsContext::client();
  if (!tls) return std::unexpected(failure_of(tls.error()));

  std::unique_ptr<RemoteSession> session(
      new RemoteSession(*std::move(slot), *folder, plan->target.user + "@" + plan->target.host));
  session->side_log_ =
      std::make_unique<SideLog>(SideLogOptions{.file = *folder / "transfers.jsonl"});
  SideLog& log = *session->side_log_;
  options->client_id = session->client_id();
  options->on_write_mismatch = [&log](NodeId node, std::uint64_t offset, int attempt) {
    log.on_write_mismatch(node, offset, attempt);
  };
  options->on_reconnected = [&log] { log.on_resumed(); };
  session->io_.start();
  session->link_ = std::make_unique<ServerLink>(session->io_, *tls, *std::move(options));
  ServerLink& link = *session->link_;
  if (const auto connected = link.connect_and_login(); !connected) {
    return std::unexpected(Failure{number_of(exit_status_of(connected.error())),
                                   explain_connect_error(connected.error(), plan->target, paths)});
  }
  if (plan->trust.pinned.empty()) {
    const auto pinned = remember_server(paths, plan->target, link.offered_fingerprint());
    if (!pinned) return std::unexpected(failure_of(pinned.error()));
  }
  session->client_ = std::make_unique<RemoteClient>(link);
  link.attach(session->client_->book(), *session->client_);
  return session;
}

}  // namespace homefs

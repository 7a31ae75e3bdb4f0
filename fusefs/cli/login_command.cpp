// `homefs login` and `homefs logout`: the password once, a device token from then on.
#include <spdlog/spdlog.h>

#include <future>
#include <nlohmann/json.hpp>

#include "config/token_store.h"
#include "fusefs/cli/command.h"
#include "fusefs/cli/running_mounts.h"
#include "fusefs/cli/server_pins.h"
#include "fusefs/cli/terminal.h"
#include "fusefs/control_socket.h"
#include "fusefs/log_setup.h"
#include "fusefs/server_link.h"
#include "protocol/name.h"

namespace homefs {
namespace {

struct LoginCommand {
  LoginFlags login;
  std::string target;
  std::string device;
};

// One connection, without a mount. `offered` is the key that the server has shown.
struct Connection {
  IoThreads io{kLinkThreads};
  std::unique_ptr<ServerLink> link;
};

Result<> connect(const LinkOptions& options, Connection& connection) {
  const auto tls = TlsContext::client();
  if (!tls) return std::unexpected(tls.error());
  connection.io.start();
  connection.link = std::make_unique<ServerLink>(connection.io, *tls, options);
  return connection.link->connect_and_login();
}

// The person decides about a key that was not known, once, as with ssh.
Result<bool> ask_about_key(const Target& target, const std::string& fingerprint) {
  return ask_yes_no("The server " + target.server() + " is not known yet. Its key is\n  " +
                    fingerprint +
                    "\nCompare it with what the administrator says (homefsd shows it at its "
                    "start).\nIs it right?");
}

// Before a password is asked for: the key is looked at with a login that cannot succeed.
Result<std::string> look_at_key(LinkOptions options) {
  options.trust = {};
  Connection connection;
  const auto connected = connect(options, connection);
  if (connected || connected.error().status != Status::kServerKeyUnknown) {
    return std::unexpected(connected ? Error{Status::kProtocolError, "no key was shown"}
                                     : connected.error());
  }
  return connection.link->offered_fingerprint();
}

std::vector<RunningMount> mounts_of(const ClientPaths& paths, const Target& target) {
  auto mounts = running_mounts(paths);
  if (!mounts) return {};
  std::erase_if(*mounts, [&](const RunningMount& mount) {
    return mount.user != target.user || mount.server != target.server();
  });
  return *std::move(mounts);
}

int explain(const Error& error, const Target& target, const ClientPaths& paths) {
  return report(exit_status_of(error), explain_connect_error(error, target, paths));
}

Result<> settle_key(const LoginFlags& flags, const LinkOptions& options, ConnectPlan& plan) {
  if (!plan.trust.pinned.empty() || flags.accept_new_server) return {};
  const auto fingerprint = look_at_key(options);
  if (!fingerprint) return std::unexpected(fingerprint.error());
  const auto is_right = ask_about_key(plan.target, *fingerprint);
  if (!is_right || !*is_right) return fail(Status::kServerKeyUnknown, "it is " + *fingerprint);
  plan.trust.pinned = *fingerprint;
  return {};
}

// The token of an earlier login, if it still opens the home.
std::optional<std::string> good_token(const ClientPaths& paths, const Target& target,
                                      LinkOptions options) {
  const auto line = TokenStore(paths.tokens_dir()).load(token_name(target));
  if (!line || !parse_token_line(*line, options.credentials)) return std::nullopt;
  Connection connection;
  if (!connect(options, connection)) return std::nullopt;
  return options.credentials.token_id;
}

Result<> revoke(ServerLink& link, const std::string& token_id) {
  std::promise<Result<>> done;
  const TokenRequest request{.action = TokenAction::kRevoke, .id = token_id};
  Call call{.op = Op::kToken, .nodes = {}, .fields = encode_json(request)};
  (void)link.send(std::move(call), [&done](Result<InFrame> reply) {
    done.set_value(reply ? Result<>() : std::unexpected(reply.error()));
  });
  return done.get_future().get();
}

// Keeps the new token in place of the old one.
Result<> save_token(const ClientPaths& paths, const Target& target, ServerLink& link,
                    const std::optional<std::string>& old_id) {
  const auto token = link.session()->token;
  if (!token) return fail(Status::kProtocolError, "the server has given no device token");
  auto saved =
      TokenStore(paths.tokens_dir()).save(token_name(target), token_line(token->id, token->secret));
  // A mount that runs by the old one would lose its locks with it.
  if (saved && old_id && mounts_of(paths, target).empty()) return revoke(link, *old_id);
  return saved;
}

int run_login(const ClientPaths& paths, const LoginCommand& command) {
  log_to_stderr(false);
  auto plan = make_connect_plan(paths, command.login, command.target, {.credentials = false});
  if (!plan) return report(plan.error());
  auto options = link_options_of(paths, command.login, *plan);
  if (!options) return report(options.error());
  const bool was_known = !plan->trust.pinned.empty() && !plan->is_pinned_by_hand;
  if (const auto settled = settle_key(command.login, *options, *plan); !settled) {
    return explain(settled.error(), plan->target, paths);
  }
  const auto with_password =
      make_connect_plan(paths, command.login, command.target, {.may_use_token = false});
  if (!with_password) return report(with_password.error());
  options->credentials = with_password->credentials;
  options->trust = plan->trust;
  options->bulk_connections = 0;
  options->subdir.clear();
  const auto old_token = good_token(paths, plan->target, *options);
  options->wants_token = !old_token || !command.device.empty();
  if (!command.device.empty()) options->device = command.device;
  Connection connection;
  if (const auto connected = connect(*options, connection); !connected) {
    return explain(connected.error(), plan->target, paths);
  }
  if (!was_known) {
    const auto pinned =
        remember_server(paths, plan->target, connection.link->offered_fingerprint());
    if (!pinned) return report(pinned.error());
  }
  if (options->wants_token) {
    const auto saved = save_token(paths, plan->target, *connection.link, old_token);
    if (!saved) return report(saved.error());
  }
  for (const RunningMount& mount : mounts_of(paths, plan->target)) {
    (void)ask_control(mount.socket, {{"ask", "connect"}});  // else it tries within a minute
  }
  std::printf("Logged in to %s as %s; this device needs no password from now on.\n",
              plan->target.server().c_str(), plan->target.user.c_str());
  return number_of(ExitStatus::kOk);
}

int run_logout(const ClientPaths& paths, const LoginCommand& command) {
  log_to_stderr(false);
  spdlog::set_level(
      spdlog::level::err);  // not that the connection breaks, as it ends with the token
  auto plan = make_connect_plan(paths, command.login, command.target, {.credentials = false});
  if (!plan) return report(plan.error());
  const TokenStore store(paths.tokens_dir());
  const std::string name = token_name(plan->target);
  const auto line = store.load(name);
  if (!line && line.error().status == Status::kNoSuchFile) {
    return report(ExitStatus::kFailed,
                  "not logged in to " + plan->target.server() + " as " + plan->target.user);
  }
  if (!line) return report(line.error());
  for (const RunningMount& mount : mounts_of(paths, plan->target)) {
    print_error("warning: " + homefs::quoted(mount.mountpoint) +
                " is mounted, and waits with what is unsent until you run \"homefs login " +
                plan->target.text() + "\"; its locks are lost");
  }
  auto options = link_options_of(paths, command.login, *plan);
  if (!options) return report(options.error());
  if (const auto parsed = parse_token_line(*line, options->credentials); !parsed) {
    return report(parsed.error());
  }
  options->bulk_connections = 0;
  options->subdir.clear();
  options->times.timeo = std::chrono::seconds(10);
  Connection connection;
  Result<> revoked = connect(*options, connection);
  // A token that is refused has been revoked already.
  const bool was_revoked = !revoked && revoked.error().status == Status::kLoginRefused;
  if (revoked) revoked = revoke(*connection.link, options->credentials.token_id);
  if (const auto removed = store.remove(name); !removed) return report(removed.error());
  if (revoked || was_revoked) {
    std::printf("Logged out of %s.\n", plan->target.server().c_str());
    return number_of(ExitStatus::kOk);
  }
  return report(exit_status_of(revoked.error()),
                "the token is removed here, but " + plan->target.server() +
                    " could not be told to revoke it: " + revoked.error().message());
}

}  // namespace

void add_login_command(CLI::App& app, CommandContext& context) {
  const auto command = std::make_shared<LoginCommand>();
  CLI::App* login = app.add_subcommand("login", "log in once, so that mounts need no password");
  login->add_option("target", command->target, "[USER@]HOST[:PORT]")->type_name("[USER@]HOST");
  login->add_option("--device", command->device, "what this device is called in lists")
      ->type_name("NAME");
  add_login_flags(*login, command->login);
  login->callback(
      [&context, command] { context.exit_status = run_login(context.paths, *command); });
}

void add_logout_command(CLI::App& app, CommandContext& context) {
  const auto command = std::make_shared<LoginCommand>();
  CLI::App* logout = app.add_subcommand("logout", "revoke the device token of \"homefs login\"");
  logout->add_option("target", command->target, "[USER@]HOST[:PORT]")->type_name("[USER@]HOST");
  add_login_flags(*logout, command->login);
  logout->callback(
      [&context, command] { context.exit_status = run_logout(context.paths, *command); });
}

}  // namespace homefs

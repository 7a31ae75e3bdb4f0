#include "fusefs/cli/connect_plan.h"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "config/accounts.h"
#include "config/text_file.h"
#include "config/token_store.h"
#include "fusefs/cli/server_pins.h"
#include "fusefs/cli/terminal.h"
#include "protocol/base64.h"
#include "protocol/scram_crypto.h"

namespace homefs {
namespace {

constexpr std::size_t kSecretBytesMax = 4096;
constexpr std::size_t kStateNameBytesMax = 64;
constexpr const char* kCredentialName = "homefs-password";

std::string name_of_this_user() {
  const passwd* entry = ::getpwuid(::getuid());
  return entry == nullptr ? std::string() : std::string(entry->pw_name);
}

Result<Target> target_of(const LoginFlags& flags, const std::string& target_text,
                         const std::optional<Profile>& profile) {
  Target target;
  if (!target_text.empty()) {
    auto parsed = parse_target(target_text);
    if (!parsed) return parsed;
    target = std::move(*parsed);
    if (!flags.host.empty()) {
      return fail(Status::kInvalid, "the server is named twice: " + target_text + " and -s " +
                                        flags.host + "; leave one of them out");
    }
  } else if (!flags.host.empty()) {
    auto host = check_host(flags.host);
    if (!host) return fail(Status::kInvalid, "-s: " + host.error().context);
    target.host = std::move(*host);
  } else if (profile) {
    target = profile->target;
  } else {
    return fail(Status::kInvalid,
                "no server is named: give [USER@]HOST, -s HOST or --profile NAME");
  }
  if (!flags.port.empty()) {
    const auto port = parse_port(flags.port);
    if (!port) return fail(Status::kInvalid, "-P: " + port.error().context);
    target.port = *port;
  }
  if (!flags.user.empty()) target.user = flags.user;
  if (target.user.empty()) target.user = name_of_this_user();
  if (const auto checked = check_account_name(target.user); !checked) {
    return fail(Status::kInvalid, "the user: " + checked.error().context);
  }
  return target;
}

Result<> take_password(const Result<std::string>& password, Credentials& credentials) {
  if (!password) return fail(Status::kNotLoggedIn, "no password: " + password.error().message());
  credentials.password = *password;
  return {};
}

// A token that was stored for this user and server; none is no error.
Result<bool> take_token(const ClientPaths& paths, const ConnectPlan& plan,
                        Credentials& credentials) {
  const bool is_named = plan.profile && !plan.profile->token.empty();
  const std::string name = is_named ? plan.profile->token : token_name(plan.target);
  const auto line = TokenStore(paths.tokens_dir()).load(name);
  if (!line && line.error().status == Status::kNoSuchFile && !is_named) return false;
  if (!line) return std::unexpected(line.error());
  const auto parsed = parse_token_line(*line, credentials);
  if (!parsed) return std::unexpected(parsed.error());
  return true;
}

// The way that was named first wins: flags, the stored token, the profile, systemd, the person.
Result<> find_credentials(const ClientPaths& paths, const LoginFlags& flags, ConnectPlan& plan,
                          PlanNeeds needs) {
  Credentials& credentials = plan.credentials;
  if (flags.password) {
    credentials.password = *flags.password;
    return {};
  }
  if (!flags.password_file.empty()) {
    return take_password(read_secret_file(flags.password_file), credentials);
  }
  if (needs.may_use_token) {
    const auto taken = take_token(paths, plan, credentials);
    if (!taken) return std::unexpected(taken.error());
    if (*taken) return {};
  }
  if (plan.profile && !plan.profile->password_file.empty()) {
    return take_password(read_secret_file(paths.expand(plan.profile->password_file)), credentials);
  }
  const char* folder = std::getenv("CREDENTIALS_DIRECTORY");
  if (folder != nullptr && *folder != '\0') {
    const auto file = std::filesystem::path(folder) / kCredentialName;
    if (::access(file.c_str(), R_OK) == 0)
      return take_password(read_secret_file(file), credentials);
  }
  if (!needs.may_ask || !has_terminal()) {
    return fail(Status::kNotLoggedIn, "no password for " + plan.target.user +
                                          ": run \"homefs login " + plan.target.text() +
                                          "\" once, or give --password-file FILE");
  }
  return take_password(ask_password(plan.target.user + "@" + plan.target.host + "'s password: "),
                       credentials);
}

Result<ServerTrust> trust_of(const ClientPaths& paths, const LoginFlags& flags,
                             const Target& target) {
  ServerTrust trust{.pinned = {}, .accept_new = flags.accept_new_server};
  auto pinned =
      flags.pin.empty() ? pinned_fingerprint(paths, target) : normalize_fingerprint(flags.pin);
  if (!pinned) return std::unexpected(pinned.error());
  trust.pinned = std::move(*pinned);
  return trust;
}

std::string device_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "unknown";
  return std::string(name.data()).substr(0, kDeviceNameBytesMax);
}

// The same for one state folder on one machine, and for no other: made once, at random.
Result<std::string> client_id_of(const std::filesystem::path& folder) {
  std::string id;
  const auto edited = edit_text_file(folder / "client_id", kSecretBytesMax, 0600,
                                     [&](const std::string& text) -> Result<std::string> {
                                       id = text.substr(0, text.find('\n'));
                                       if (!id.empty() && id.size() <= kClientIdBytesMax)
                                         return text;
                                       std::array<std::byte, 16> random{};
                                       fill_random(random);
                                       id = to_hex(random);
                                       return id + "\n";
                                     });
  if (!edited) return std::unexpected(edited.error());
  return id;
}

}  // namespace

std::string token_line(const std::string& id, const std::string& secret) {
  return id + ":" + secret;
}

Result<> parse_token_line(std::string_view line, Credentials& credentials) {
  const std::size_t colon = line.find(':');
  if (colon == line.npos || colon == 0 || colon + 1 == line.size()) {
    return fail(Status::kConfigError, "the stored device token is broken: log in again");
  }
  credentials.token_id = line.substr(0, colon);
  credentials.token_secret = line.substr(colon + 1);
  return {};
}

Result<std::string> read_secret_file(const std::filesystem::path& path) {
  const auto file = read_text_file(path, kSecretBytesMax);
  if (!file) return std::unexpected(file.error());
  // systemd's credentials may be readable by a group of the same unit; nobody else's are.
  if ((file->mode & S_IROTH) != 0) {
    return fail(
        Status::kAccessDenied,
        path.string() + " can be read by everybody: run \"chmod 600 " + path.string() + "\"");
  }
  std::string text = file->text;
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  if (text.empty()) return fail(Status::kConfigError, path.string() + " is empty");
  return text;
}

std::string state_name_of(const Target& target) {
  std::string name = target.user + "-" + target.host + "-" + std::to_string(target.port);
  if (!target.subdir.empty()) name += "-" + target.subdir;
  for (char& c : name) {
    const bool is_plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '-';
    if (!is_plain) c = '_';
  }
  if (name.size() <= kStateNameBytesMax && name.find('_') == name.npos) return name;
  // Something was replaced or is cut off: its sum keeps two targets apart.
  const auto sum = hmac_sha256({}, target.text());
  const std::string tail = "-" + to_hex(std::span(sum).first<6>());
  return name.substr(0, kStateNameBytesMax - tail.size()) + tail;
}

Result<ConnectPlan> make_connect_plan(const ClientPaths& paths, const LoginFlags& flags,
                                      const std::string& target_text, PlanNeeds needs) {
  ConnectPlan plan;
  if (!flags.profile.empty()) {
    auto profile = ProfileStore(paths.profiles_dir()).load(flags.profile);
    if (!profile && profile.error().status == Status::kNoSuchFile) {
      return fail(Status::kInvalid, "there is no profile \"" + flags.profile +
                                        "\": \"homefs profile list\" lists those that exist");
    }
    if (!profile) return std::unexpected(profile.error());
    plan.profile = std::move(*profile);
  }
  auto target = target_of(flags, target_text, plan.profile);
  if (!target) return std::unexpected(target.error());
  plan.target = std::move(*target);
  plan.state_name = plan.profile ? plan.profile->name : state_name_of(plan.target);
  auto trust = trust_of(paths, flags, plan.target);
  if (!trust) return std::unexpected(trust.error());
  plan.trust = std::move(*trust);
  plan.is_pinned_by_hand = !flags.pin.empty();
  plan.credentials.user = plan.target.user;
  if (needs.credentials) {
    const auto found = find_credentials(paths, flags, plan, needs);
    if (!found) return std::unexpected(found.error());
  }
  return plan;
}

LoginMeans current_means(const ClientPaths& paths, const LoginFlags& flags,
                         const ConnectPlan& plan) {
  LoginMeans means{.credentials = plan.credentials, .trust = plan.trust};
  ConnectPlan renewed = plan;
  renewed.credentials = {.user = plan.credentials.user};
  if (find_credentials(paths, flags, renewed, {.may_ask = false})) {
    means.credentials = std::move(renewed.credentials);
  }
  if (plan.is_pinned_by_hand) return means;
  auto pinned = pinned_fingerprint(paths, plan.target);
  if (pinned && !pinned->empty()) means.trust.pinned = *std::move(pinned);
  return means;
}

Result<LinkOptions> link_options_of(const ClientPaths& paths, const LoginFlags& flags,
                                    const ConnectPlan& plan) {
  const auto folder = paths.make_state_dir(plan.state_name);
  if (!folder) return std::unexpected(folder.error());
  auto client_id = client_id_of(*folder);
  if (!client_id) return std::unexpected(client_id.error());
  return LinkOptions{.server = {.host = plan.target.host, .port = plan.target.port},
                     .credentials = plan.credentials,
                     .trust = plan.trust,
                     .client_id = std::move(*client_id),
                     .device = device_name(),
                     .subdir = plan.target.subdir,
                     .renew = [paths, flags, plan] { return current_means(paths, flags, plan); }};
}

}  // namespace homefs

// From what a command line says to what a link needs: which server and user, which profile, which
// of the many ways to a password, and which key the server is known by.
//
// Executor: the main thread. Blocks: on files, and where a password is asked for.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "config/client_paths.h"
#include "config/profile.h"
#include "config/target.h"
#include "fusefs/link_options.h"
#include "protocol/result.h"

namespace homefs {

/// The flags that every command which connects knows: those of the older system's client
/// (-s -P -u -p) and what came since.
struct LoginFlags {
  std::string host;
  std::string port;
  std::string user;
  std::optional<std::string> password;  ///< -p: `ps` shows it
  std::string password_file;
  std::string profile;
  std::string pin;
  bool accept_new_server = false;
};

struct ConnectPlan {
  Target target;
  std::optional<Profile> profile;  ///< the one that was named
  std::string state_name;          ///< of the state folder: the profile's, or made from the target
  Credentials credentials;
  ServerTrust trust;
  bool is_pinned_by_hand = false;  ///< by --pin: known_servers has no say
};

struct PlanNeeds {
  bool credentials = true;
  bool may_use_token = true;
  bool may_ask = true;  ///< on the terminal
};

/// `target_text` is the positional [USER@]HOST[:PORT][/SUBDIR], or empty.
/// Errors: kInvalid (bad usage, with what to do), those of the files, kLoginRefused when no way to
/// a password is left.
Result<ConnectPlan> make_connect_plan(const ClientPaths& paths, const LoginFlags& flags,
                                      const std::string& target_text, PlanNeeds needs);

/// The options of a link for `plan`; the rest as by default. Before it connects again it looks at
/// token, password file and known_servers again. `flags`: those of the plan.
Result<LinkOptions> link_options_of(const ClientPaths& paths, const LoginFlags& flags,
                                    const ConnectPlan& plan);

/// Token or password, and key of the server, as they are on the disk now; what is not there any
/// more, or cannot be read, stays as it is in `plan`. Nobody is asked.
[[nodiscard]] LoginMeans current_means(const ClientPaths& paths, const LoginFlags& flags,
                                       const ConnectPlan& plan);

/// A name for the state of a mount without a profile: "alice-files.example.org-7070-work".
[[nodiscard]] std::string state_name_of(const Target& target);

/// The text of a file that only its owner should be able to read, without its line's end.
Result<std::string> read_secret_file(const std::filesystem::path& path);

/// Where a device token is kept: in one line.
[[nodiscard]] std::string token_line(const std::string& id, const std::string& secret);
Result<> parse_token_line(std::string_view line, Credentials& credentials);

}  // namespace homefs

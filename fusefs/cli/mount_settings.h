// What `-o` can say, and what the same words mean in a profile: one table of options.
//
// Executor: values. Blocks: never.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fusefs/link_options.h"
#include "fusefs/mount.h"

namespace homefs {

/// All that the options of a mount set.
struct MountSettings {
  MountOptions mount;
  LinkTimes times;
  unsigned bulk_connections = 1;
  bool is_foreground = false;
  bool is_remount = false;  ///< of a mount that is there
  // The same as the flags of the command line.
  std::optional<std::string> pin;
  std::optional<std::string> password_file;
  std::optional<std::string> profile;
  std::optional<std::uint16_t> port;
  std::optional<std::string> set_user;  ///< who root becomes before it mounts
  bool accept_new_server = false;
};

/// Takes `name` or `name=value`. Errors: kInvalid with a text for the person: an option that does
/// not exist (with the nearest that does), a value that is missing, wrong or too much.
Result<> apply_mount_option(std::string_view name, std::optional<std::string_view> value,
                            MountSettings& settings);

/// The list of one -o: "ro,timeo=30". A backslash before a comma makes it part of the value.
Result<> apply_mount_options(std::string_view list, MountSettings& settings);

/// Every option's name, for completion and for the test that compares the manual.
[[nodiscard]] std::vector<std::string> mount_option_names();

}  // namespace homefs

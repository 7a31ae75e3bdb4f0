// A profile: all that `homefs mount --profile NAME` has to know, in <config>/profiles/NAME.json.
//
// JSON with comments, made by `homefs profile add`, and edited by hand:
//   { "server": "files.example.org:7070", "user": "alice", "subdir": "work",
//     "mountpoint": "~/Work", "token": "files", "password_file": "~/.secret",
//     "options": { "soft": true } }
//
// Owner: the command line. Executor: a value. Blocks: ProfileStore, on the disk.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/target.h"
#include "protocol/result.h"

namespace homefs {

struct Profile {
  std::string name;
  Target target;              ///< Server, user and subdir.
  std::string mountpoint;     ///< As written, "~" is not expanded yet; may be empty.
  std::string token;          ///< Which device token to log in with (TokenStore); may be empty.
  std::string password_file;  ///< As written; may be empty.
  /// Mount options as for -o, in the order of the file; `true` and numbers as their text. What
  /// exists is the mount's business.
  std::vector<std::pair<std::string, std::string>> options;

  bool operator==(const Profile&) const = default;

  /// Errors: kConfigError with `file_name`, line and key.
  [[nodiscard]] static Result<Profile> parse(std::string_view name, std::string_view text,
                                             std::string_view file_name);
  /// The JSON that parse() reads back as this.
  [[nodiscard]] std::string text() const;
};

/// A profile's name is a file's name and part of a unit's: 1 to 64 of a-z, A-Z, 0-9, '.', '_', '-',
/// not beginning with '.' or '-'. Errors: kInvalid.
[[nodiscard]] Result<> check_profile_name(std::string_view name);

/// The profiles of a user: one file each in one folder.
class ProfileStore {
 public:
  explicit ProfileStore(std::filesystem::path folder) : folder_(std::move(folder)) {}

  /// Errors: kInvalid for a bad name, kNoSuchFile, kConfigError.
  [[nodiscard]] Result<Profile> load(std::string_view name) const;
  /// Writes the file anew; comments that somebody put into it are lost. Makes the folder.
  [[nodiscard]] Result<> save(const Profile& profile) const;
  /// The names, sorted; none if the folder is missing.
  [[nodiscard]] Result<std::vector<std::string>> list() const;
  /// Errors: kInvalid, kNoSuchFile.
  [[nodiscard]] Result<> remove(std::string_view name) const;

 private:
  [[nodiscard]] Result<std::filesystem::path> file_of(std::string_view name) const;

  std::filesystem::path folder_;
};

}  // namespace homefs

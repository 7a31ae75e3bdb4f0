// accounts.ini as a running server sees it: always the newest version that makes sense.
//
// Owner: the server. Executor: thread-safe. Blocks: current() for a stat at most every
// `check_interval`, and to read the file when it has changed (one caller does, the others go on
// with the version before); edit() on the disk and on other writers.
#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "config/accounts.h"
#include "config/text_file.h"
#include "protocol/guarded.h"
#include "protocol/result.h"

namespace homefs {

class AccountsFile {
 public:
  struct Options {
    /// An edit by others is seen at the latest this long after it, at the next call.
    std::chrono::milliseconds check_interval{200};
    /// Told once about each version of the file that cannot be read or used (the last good one
    /// stays in force), and about its warnings. Called on the thread of current() or edit(),
    /// which hold a lock meanwhile: it must not call back.
    std::function<void(const std::string&)> on_problem;
    std::function<std::chrono::steady_clock::time_point()> now = std::chrono::steady_clock::now;
    std::function<std::chrono::system_clock::time_point()> wall_now =
        std::chrono::system_clock::now;
  };

  AccountsFile(std::filesystem::path path, Options options);
  AccountsFile(const AccountsFile&) = delete;
  AccountsFile& operator=(const AccountsFile&) = delete;

  /// The accounts now. Errors: only if no good version was ever read: those of Accounts::load.
  [[nodiscard]] Result<std::shared_ptr<const Accounts>> current();

  /// edit_accounts() on this file; current() shows the change at once.
  [[nodiscard]] Result<> edit(const std::function<Result<>(AccountsEdit&)>& change);

 private:
  // Of the last reading, good or bad. Only whoever holds refresh_mutex_ touches it.
  struct Seen {
    std::optional<FileVersion> version;
    std::optional<std::string> text;
    std::string problem;
    bool is_settled = false;
  };

  [[nodiscard]] std::shared_ptr<const Accounts> good();
  [[nodiscard]] bool is_check_due() const;
  void refresh();
  void read();
  [[nodiscard]] bool is_half_written(const FileVersion& version) const;
  [[nodiscard]] std::chrono::nanoseconds age(const FileVersion& version) const;
  void report(const std::string& problem);

  const std::filesystem::path path_;
  const Options options_;
  // Who re-reads the file. Held during I/O, never taken while a lock of good_ is held.
  std::mutex refresh_mutex_;
  Seen seen_;
  Error first_error_;
  std::atomic<std::chrono::steady_clock::rep> next_check_;
  // Shared by this object and by the callers that still work with an older version.
  Guarded<std::shared_ptr<const Accounts>> good_;
};

}  // namespace homefs

// The homes that are in use: each is opened once, however many sessions it has, and closed a little
// after the last of them has ended.
//
// Owner: the server. Executor: thread-safe. Blocks: acquire() and tidy() on the disk, and for
// another one that opens or closes the same home; one that is open already is acquired without
// waiting.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/accounts.h"
#include "protocol/buffer.h"
#include "protocol/guarded.h"
#include "protocol/result.h"
#include "server/coherence.h"
#include "server/home.h"
#include "server/usage_store.h"

namespace homefs {

/// A home and what its sessions share.
struct LiveHome {
  std::string name;                          ///< the account's
  std::shared_ptr<Home> files;               ///< owners: this, and the home's own background work
  std::shared_ptr<HomeCoherence> coherence;  ///< owners: this, and handlers on its strand
};

struct HomeRegistryOptions {
  boost::asio::any_io_executor executor;
  std::filesystem::path homes_dir;
  std::chrono::seconds orphan_linger{600};
  std::shared_ptr<BufferPool> buffers;           ///< of the process
  std::shared_ptr<DescriptorCache> descriptors;  ///< of the process
  std::shared_ptr<FolderWatch> watch;            ///< of the process; null: there is none
  /// What is remembered of a home's use.
  std::function<std::shared_ptr<UsageStore>(const std::string& home)> usage_of;
  /// Called for a home that was opened, before anybody gets it; see HomeOptions::on_open.
  std::function<Result<void>(const std::string& name, Home& home)> on_open;
};

/// Makes the folder of the homes where it is missing. Errors: those of the file system.
Result<void> make_homes_folder(const std::filesystem::path& homes_dir);

/// Deletes the home of an account that is no more, and its orphans. It is out of the way at once,
/// also for a server that runs: what sessions have open stays readable until they end.
/// Precondition: check_account_name(name).
Result<void> delete_home(const std::filesystem::path& homes_dir, const std::string& name);

class HomeRegistry {
 public:
  explicit HomeRegistry(HomeRegistryOptions options);

  /// The home of `account`, opened or made if necessary, with the account's limits in force.
  /// Errors: those of Home::open and of making the folder.
  Result<std::shared_ptr<LiveHome>> acquire(const Account& account);

  /// The home of an account if it is open; else null.
  std::shared_ptr<LiveHome> find(const std::string& account);

  /// Puts the account's limits, and whether it preserves owners, in force. Null when its home is
  /// not open or the limits are unchanged.
  std::shared_ptr<LiveHome> apply_limits(const Account& account);

  /// Counts the use of homes again where others have changed them. To be called every second.
  void care_for_usage();
  /// The administrator has changed the home of `account`: its sessions are told that anything may
  /// be different (`tell_sessions`), and its use is counted again; that of one that is not open,
  /// when it is opened next. Errors: those of the usage store.
  Result<void> rescan(const std::string& account, bool tell_sessions);

  /// Deletes orphans whose time has come, and closes homes that no session has any more and no
  /// orphan waits in.
  void tidy();
  /// Homes in which orphans lie, be they open or not.
  [[nodiscard]] std::vector<std::string> names_with_orphans() const;
  /// The server stops: ends of sessions delete no orphans from now on, uses are remembered.
  void stop_all();

  /// Breaks the circle of homes and sessions after handlers have stopped: sessions that could not
  /// leave are forgotten. Precondition: no thread runs handlers.
  void let_go_of_sessions();

  /// Homes that are open.
  [[nodiscard]] std::size_t size();

 private:
  struct Entry {
    std::shared_ptr<LiveHome> home;
    std::uint64_t bytes_max = 0;
    std::uint64_t files_max = 0;
  };
  using Entries = std::unordered_map<std::string, Entry>;

  Result<std::shared_ptr<LiveHome>> open(const Account& account);
  [[nodiscard]] bool is_in_place(const LiveHome& home) const;
  Result<void> let_go(const LiveHome& home);
  static bool is_unused(const Entry& entry);
  void close_if_unused(const std::string& name);
  [[nodiscard]] std::vector<std::shared_ptr<LiveHome>> all();

  const HomeRegistryOptions options_;
  Guarded<Entries> entries_;

  // While a home is opened or closed its name is busy, so that it is never open twice.
  class Busy;
  std::mutex busy_mutex_;
  std::condition_variable busy_changed_;
  std::set<std::string> busy_;  // guarded by busy_mutex_
};

}  // namespace homefs

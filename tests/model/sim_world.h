// SimWorld: some mounts of one home, programs in them, the server, and the network between, on one
// thread. At each step something is chosen, by the seed, from all that could happen next: a program
// begins a call, a request arrives, an answer or an event arrives, a notification reaches the
// kernel, what was posted runs, a thread goes on, a connection breaks or is back, somebody is late.
//
// So a seed is a history, and the same history each time. When enough has happened, everything is
// repaired and comes to its end, and then all mounts must show exactly what is on the server's
// disk, and that what was promised.
//
// Owner: the test. Executor: the test's thread. Blocks: on the disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/model/sim_checker.h"
#include "tests/model/sim_disk.h"
#include "tests/model/sim_fibers.h"
#include "tests/model/sim_mount.h"
#include "tests/model/sim_server.h"

namespace homefs::test {

struct SimOptions {
  std::uint64_t seed = 1;
  int mounts = 2;
  int programs = 2;  ///< in each mount
  int calls = 40;    ///< in all
  bool has_breaks = false;
  bool has_lateness = false;        ///< acknowledgements that nobody waits for any longer
  bool has_comings = false;         ///< mounts come and go
  bool has_session_losses = false;  ///< the server forgets a session
  bool has_restarts = false;        ///< the server is stopped and killed
  bool has_bulk = false;
  bool has_locks = false;  ///< programs lock files, and read and write under locks
  bool tells_all = false;  ///< the story has each request, answer and notice
  bool yields = true;      ///< threads of the client get in between of its critical sections
};

class SimWorld {
 public:
  /// `folder`: of this history, in the home and on the disk.
  SimWorld(const SimOptions& options, SimDisk& disk, std::string folder);
  ~SimWorld();
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  /// Plays the history. What was violated; empty: nothing.
  std::vector<std::string> run();
  /// Step by step, for people.
  [[nodiscard]] const std::vector<std::string>& history() const { return history_; }

 private:
  struct ProgramLock {
    int fd = 0;  ///< through which it was taken
    FileLock lock;
    std::size_t number = 0;  ///< in the checker
  };
  struct Program {
    int number = 0;
    SimMount* mount = nullptr;
    bool is_busy = false;
    bool is_stopped = false;
    std::vector<std::pair<int, int>> open;  // descriptors and flags
    std::vector<ProgramLock> locks;         // that it holds, or may hold
    std::set<int> lost;                     // descriptors through which one was taken that is lost
  };
  enum class What {
    kCall,
    kUp,
    kDown,
    kTurn,
    kPosted,
    kFiber,
    kNotice,
    kName,
    kHomeJob,
    kSessionJob,
    kReconnect,
    kBulk,
    kNoticeBreak,
    kHeldWrites,
    kForgets,
    kShrink,
    kSignal,
    kBreak,
    kBreakBulk,
    kLate,
    kJoin,
    kLeave,
    kLoseSession,
    kRestart,
  };
  struct Choice {
    What what{};
    SimMount* mount = nullptr;
    std::size_t place = 0;
    SimConnectionRef connection;
  };

  // Steps (sim_world.cpp).
  static void before_lock();
  [[nodiscard]] std::uint64_t random(std::uint64_t below) { return random_() % below; }
  void collect(std::vector<Choice>& choices, bool is_healing);
  void collect(SimMount& mount, std::vector<Choice>& choices);
  void collect_unlocks(std::vector<Choice>& choices);
  void collect_trouble(std::vector<Choice>& choices);
  void take(const Choice& choice);
  void take_trouble(const Choice& choice);
  bool step(bool is_healing);
  void heal();
  void add_mount();
  void remove_mount(SimMount& mount);
  void log_in(SimMount& mount);
  void restart_server();
  void deliver(SimMount& mount, const SimConnectionRef& connection);
  void deliver_event(SimMount& mount, const SimConnectionRef& connection, const OutFrame& frame);
  void acknowledge(SimMount& mount, const SimConnectionRef& connection, const FrameHeader& event);
  void update_reachable(SimMount& mount);
  void note(std::string what);
  void note_notice(const SimMount& mount);
  void note_introductions(const InFrame& request);
  void note_frame(const SimMount& mount, std::string_view way, const FrameHeader& header);
  static std::string what_waits(const SimMount& mount);
  [[nodiscard]] std::string on_disk(const FileKey& file) const;
  [[nodiscard]] std::filesystem::path path_on_disk(const FileKey& file) const;

  // What programs do (sim_programs.cpp).
  void begin_call(Program& program);
  Task<> call(Program& program, std::uint64_t choice);
  Task<> call_any(Program& program, std::uint64_t choice);
  Task<> call_open(Program& program, bool creates);
  Task<> call_close(Program& program, std::size_t place);
  Task<> call_write(Program& program, int fd, int flags);
  Task<> call_read(Program& program, int fd);
  Task<> call_truncate(Program& program, int fd);
  Task<> call_fsync(Program& program, int fd);
  Task<> call_stat(Program& program);
  Task<> call_remove(Program& program);
  Task<> call_rename(Program& program);
  void note_moved(const std::string& path);
  Task<> call_link(Program& program);
  Task<> call_mkdir(Program& program);
  Task<> call_list(Program& program);
  Task<> call_xattr(Program& program);
  void check_disk(const Program& program, const FileKey& file, Moment begin, bool is_append);
  std::string random_name();
  Moment begun(const Program& program, const std::string& what);
  void ended(const Program& program, const std::string& what, const Error* error);
  void ended(const Program& program, const std::string& what) { ended(program, what, nullptr); }
  std::size_t begins_name(const Program& program, const std::string& path, bool is_present,
                          Moment begin);
  void saw(const Program& program, const std::string& path, std::optional<FileKey> file,
           bool is_present, Moment begin, const std::string& what);
  [[nodiscard]] bool is_surprising(const Error& error, std::initializer_list<Status> expected);
  /// The same of a call through an open file.
  [[nodiscard]] bool is_surprising(const Error& error, const FileKey& file);

  // Locks (sim_program_locks.cpp).
  Task<bool> call_with_locks(Program& program, std::uint64_t choice);
  Task<> call_lock(Program& program, int fd);
  Task<> call_seek_end(Program& program, int fd);
  Task<> call_unlock(Program& program, std::size_t place);
  FileLock random_lock(const Program& program, int fd);
  std::vector<std::size_t> begin_releasing(Program& program, const FileLocker& locker,
                                           const FileKey& file, std::uint64_t begin,
                                           std::uint64_t end);
  void begin_closing(Program& program, int fd);
  static void forget_locks(Program& program, const std::vector<std::size_t>& numbers);
  void note_released(const Program& program, const FileKey& file,
                     const std::vector<std::size_t>& numbers, Moment begin);
  void check_not_lost(const Program& program, int fd, Moment begin, const std::string& what);
  void lose_locks(const SimMount& mount);
  [[nodiscard]] std::vector<std::size_t> held_locks(const Program& program, const FileKey& file);
  [[nodiscard]] std::optional<std::size_t> write_lock(const Program& program, const FileKey& file);

  // The end (sim_end.cpp).
  void check_all();
  void check_truth(const std::string& folder);
  Task<> check_folder(SimMount& mount, std::string folder, std::shared_ptr<int> left);
  Task<> check_file(SimMount& mount, std::string path, std::uint64_t inode, std::string text,
                    bool has_attribute);

  const SimOptions options_;
  SimDisk& disk_;
  const std::filesystem::path root_;
  std::mt19937_64 random_;
  Fibers fibers_;
  std::vector<std::string> history_;
  Moment now_ = 1;
  bool is_over_ = false;
  SimChecker checker_;
  SimServer server_;
  std::vector<std::unique_ptr<SimMount>> mounts_;
  std::vector<std::unique_ptr<SimMount>> gone_;
  std::vector<std::unique_ptr<Program>> programs_;
  Runner runner_;
  int calls_left_ = 0;
  int last_mount_ = 0;
  bool has_lost_session_ = false;
  bool has_restarted_ = false;
  std::set<FileKey> moved_;              // files that got another name
  std::map<InodeNumber, FileKey> keys_;  // of all files that were seen
  std::set<FileKey> logs_;               // that are only appended to
};

}  // namespace homefs::test

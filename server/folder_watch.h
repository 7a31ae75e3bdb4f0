// FolderWatch: hears from the kernel (inotify) of every change in the folders that sessions know,
// whoever makes it: also a program on the server, a restore, rsync. Changes are gathered for
// kGathering, so that a file that is written for long is looked at a few times a second, and handed
// to the home of the folder, which knows which of them are its own.
//
// A watch costs the kernel about 1 KiB. The system allows a user so many of them
// (fs.inotify.max_user_watches); of folders without one nothing is heard.
//
// Owner: the server. Executor: thread-safe; a thread of its own ("folder-watch"), on which the
// listeners are called with no lock held. Blocks: the destructor, for the thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "protocol/result.h"
#include "protocol/unique_fd.h"
#include "server/inode.h"

namespace homefs {

/// What was heard of one folder.
struct FolderNews {
  /// By name; true: the entry came or went, false: what it leads to was changed.
  std::map<std::string, bool> names;
  bool is_folder_changed = false;  ///< the attributes of the folder itself
};

/// A home. Thread-safe.
class FolderListener {
 public:
  virtual ~FolderListener() = default;
  virtual void on_news(const InodeRef& folder, const FolderNews& news) = 0;
  /// More has happened than the kernel keeps: anything may have changed.
  virtual void on_news_lost() = 0;
  /// All that the kernel had reported before the last such call was handed over.
  virtual void on_quiet() = 0;
};

class FolderWatch {
 public:
  static constexpr std::chrono::milliseconds kGathering{300};

  /// Errors: those of inotify_init1.
  static Result<std::shared_ptr<FolderWatch>> start();
  ~FolderWatch();
  FolderWatch(const FolderWatch&) = delete;
  FolderWatch& operator=(const FolderWatch&) = delete;

  /// From now on every change in the folder behind `fd` is told to `listener`. kNoSpace: there are
  /// no watches left.
  Result<void> add(const std::shared_ptr<FolderListener>& listener, const InodeRef& folder, int fd);
  /// Ends the thread: no listener is called any more. To be called before the last home ends, so
  /// that it does not end on that thread. Idempotent.
  void stop();

  /// Forgets its folders. While it is called by the watch it is kept alive.
  void remove(const FolderListener& listener);
  [[nodiscard]] std::size_t size() const;

 private:
  struct Watched {
    const FolderListener* key = nullptr;
    std::weak_ptr<FolderListener> listener;
    InodeRef folder;
  };
  using News = std::unordered_map<int, FolderNews>;  // by watch descriptor

  FolderWatch(UniqueFd inotify, UniqueFd wake);
  void run(const std::stop_token& stop);
  bool wait_for_events(int timeout_ms) const;
  /// False: some were lost.
  bool read_events(News& news);
  void note(int watch, std::uint32_t mask, const char* name, News& news);
  void hand_over(const News& news);
  std::vector<std::shared_ptr<FolderListener>> listeners() const;

  const UniqueFd inotify_;
  const UniqueFd wake_;  // an eventfd, for the end
  mutable std::mutex mutex_;
  std::unordered_map<int, Watched> watched_;  // guarded by mutex_
  std::condition_variable_any pause_;         // of the thread: its stop ends it
  std::jthread thread_;
};

}  // namespace homefs

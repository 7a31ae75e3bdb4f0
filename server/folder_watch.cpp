#include "server/folder_watch.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "server/posix_disk_internal.h"

namespace homefs {
namespace {

// No event for what has no name any more: it is known to those who have it open only.
constexpr std::uint32_t kMask = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY |
                                IN_ATTRIB | IN_ONLYDIR | IN_EXCL_UNLINK;
constexpr std::uint32_t kNameEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;

// The kernel keeps 16,384 events; read this often they are far from that many, and a busy server is
// not woken for each of them.
constexpr int kReadIntervalMs = 10;

}  // namespace

Result<std::shared_ptr<FolderWatch>> FolderWatch::start() {
  UniqueFd inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify) return fail_errno(errno, "inotify_init1");
  UniqueFd wake(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake) return fail_errno(errno, "eventfd");
  std::shared_ptr<FolderWatch> watch(new FolderWatch(std::move(inotify), std::move(wake)));
  watch->thread_ =
      std::jthread([raw = watch.get()](const std::stop_token& stop) { raw->run(stop); });
  return watch;
}

FolderWatch::FolderWatch(UniqueFd inotify, UniqueFd wake)
    : inotify_(std::move(inotify)), wake_(std::move(wake)) {}

FolderWatch::~FolderWatch() { stop(); }

void FolderWatch::stop() {
  thread_.request_stop();
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);  // cannot fail: nobody else counts in it
  if (thread_.joinable()) thread_.join();
}

Result<void> FolderWatch::add(const std::shared_ptr<FolderListener>& listener,
                              const InodeRef& folder, int fd) {
  const auto path = disk::proc_path_of(fd);
  Watched watched{.key = listener.get(), .listener = listener, .folder = folder};
  const std::lock_guard lock(mutex_);
  const int watch = ::inotify_add_watch(inotify_.get(), path.data(), kMask);
  if (watch < 0) return fail_errno(errno, "inotify_add_watch");
  std::swap(watched_[watch], watched);  // the same number for a folder that is watched already
  return {};
}

void FolderWatch::remove(const FolderListener& listener) {
  std::vector<Watched> removed;  // released after the lock
  const std::lock_guard lock(mutex_);
  for (auto at = watched_.begin(); at != watched_.end();) {
    if (at->second.key != &listener) {
      ++at;
      continue;
    }
    (void)::inotify_rm_watch(inotify_.get(), at->first);  // the folder may be gone
    removed.push_back(std::move(at->second));
    at = watched_.erase(at);
  }
}

std::size_t FolderWatch::size() const {
  const std::lock_guard lock(mutex_);
  return watched_.size();
}

std::vector<std::shared_ptr<FolderListener>> FolderWatch::listeners() const {
  std::unordered_map<const FolderListener*, std::weak_ptr<FolderListener>> found;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [watch, watched] : watched_) found.emplace(watched.key, watched.listener);
  }
  std::vector<std::shared_ptr<FolderListener>> alive;
  for (const auto& [key, weak] : found) {
    if (auto listener = weak.lock()) alive.push_back(std::move(listener));
  }
  return alive;
}

bool FolderWatch::wait_for_events(int timeout_ms) const {
  std::array<pollfd, 2> fds{pollfd{.fd = inotify_.get(), .events = POLLIN, .revents = 0},
                            pollfd{.fd = wake_.get(), .events = POLLIN, .revents = 0}};
  (void)::poll(fds.data(), fds.size(), timeout_ms);  // an error is like no event
  return (fds[0].revents & POLLIN) != 0;
}

// Waits without a limit while nothing happens; then gathers, hands over, and so on until nothing
// has happened for a while.
void FolderWatch::run(const std::stop_token& stop) {
  (void)::pthread_setname_np(::pthread_self(), "folder-watch");  // only a name
  using Clock = std::chrono::steady_clock;
  News news;
  bool is_lost = false;
  auto since = Clock::now();
  while (!stop.stop_requested()) {
    const bool is_idle = news.empty() && !is_lost;
    if (wait_for_events(is_idle ? -1 : kReadIntervalMs)) {
      if (is_idle) since = Clock::now();
      is_lost = !read_events(news) || is_lost;
    }
    if (Clock::now() - since < kGathering) {
      // Events that come one by one are taken together.
      if (!news.empty()) {
        std::unique_lock lock(mutex_);
        pause_.wait_for(lock, stop, std::chrono::milliseconds(kReadIntervalMs),
                        [] { return false; });
      }
      continue;
    }
    if (std::exchange(is_lost, false)) {
      for (const auto& listener : listeners()) listener->on_news_lost();
    }
    hand_over(std::exchange(news, {}));
    since = Clock::now();
    for (const auto& listener : listeners()) listener->on_quiet();
  }
}

bool FolderWatch::read_events(News& news) {
  alignas(inotify_event) std::array<char, 64 * 1024> buffer;
  bool is_complete = true;
  for (;;) {
    const ssize_t bytes = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (bytes <= 0) return is_complete;  // EAGAIN: all were read
    for (ssize_t at = 0; at < bytes;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += static_cast<ssize_t>(sizeof *event + event->len);
      if ((event->mask & IN_Q_OVERFLOW) != 0) is_complete = false;
      note(event->wd, event->mask, event->len > 0 ? event->name : "", news);
    }
  }
}

void FolderWatch::note(int watch, std::uint32_t mask, const char* name, News& news) {
  Watched removed;  // released after the lock
  const std::lock_guard lock(mutex_);
  const auto found = watched_.find(watch);
  if (found == watched_.end()) return;
  if ((mask & IN_IGNORED) != 0) {  // the folder is gone
    removed = std::move(found->second);
    watched_.erase(found);
    return;
  }
  FolderNews& of_folder = news[watch];
  if (*name == '\0') {
    of_folder.is_folder_changed = true;
  } else {
    of_folder.names[name] |= (mask & kNameEvents) != 0;
  }
}

void FolderWatch::hand_over(const News& news) {
  for (const auto& [watch, of_folder] : news) {
    std::shared_ptr<FolderListener> listener;
    InodeRef folder;  // released before the home that it is in
    {
      const std::lock_guard lock(mutex_);
      const auto found = watched_.find(watch);
      if (found == watched_.end()) continue;
      listener = found->second.listener.lock();
      if (listener) folder = found->second.folder;
    }
    if (listener) listener->on_news(folder, of_folder);
  }
}

}  // namespace homefs

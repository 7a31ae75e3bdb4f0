#include "protocol/poller.h"

#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <csignal>
#include <utility>

#include "protocol/result.h"

namespace homefs {
namespace {

void control(const UniqueFd& epoll, int operation, int fd, std::uint32_t events, Poller::Id id) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = id;
  // Fails for want of memory, or of watches (a limit of a user, a million and more): nothing that
  // could be gone on from.
  HOMEFS_CHECK(::epoll_ctl(epoll.get(), operation, fd, &event) == 0);
}

}  // namespace

void begin_thread(const std::string& name) {
  sigset_t all;
  sigfillset(&all);
  (void)::pthread_sigmask(SIG_SETMASK, &all, nullptr);         // fails only for a bad `how`
  (void)::pthread_setname_np(::pthread_self(), name.c_str());  // a name is a comfort, no more
}

Poller::Poller(std::size_t threads)
    : thread_count_(threads),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      stop_event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  HOMEFS_CHECK(epoll_.is_open() && stop_event_.is_open());
  control(epoll_, EPOLL_CTL_ADD, stop_event_.get(), EPOLLIN, kStopId);
}

Poller::~Poller() { stop(); }

void Poller::start() {
  for (std::size_t i = 0; i < thread_count_; ++i) {
    threads_.emplace_back([this, i] {
      begin_thread("net-" + std::to_string(i));
      run();
    });
  }
}

void Poller::stop() {
  HOMEFS_CHECK(::eventfd_write(stop_event_.get(), 1) == 0);
  threads_.clear();  // joins
  std::unordered_map<Id, std::shared_ptr<Pollable>> dropped;
  {
    const auto state = state_.lock();
    state->is_stopped = true;
    dropped.swap(state->pollables);
  }
  for (const auto& [id, each] : dropped) each->on_stopped();
}

Poller::Id Poller::add(int fd, std::shared_ptr<Pollable> who) {
  Id id = 0;
  {
    const auto state = state_.lock();
    id = ++state->last_id;
    if (!state->is_stopped) state->pollables.emplace(id, std::move(who));
  }
  control(epoll_, EPOLL_CTL_ADD, fd, EPOLLONESHOT, id);
  return id;
}

void Poller::arm(Id id, int fd, std::uint32_t events) {
  control(epoll_, EPOLL_CTL_MOD, fd, events | EPOLLONESHOT, id);
}

void Poller::remove(Id id, int fd) {
  control(epoll_, EPOLL_CTL_DEL, fd, 0, id);
  std::shared_ptr<Pollable> removed;  // may end with this, and not under the lock
  const auto state = state_.lock();
  const auto found = state->pollables.find(id);
  if (found == state->pollables.end()) return;
  removed = std::move(found->second);
  state->pollables.erase(found);
}

std::shared_ptr<Pollable> Poller::find(Id id) {
  const auto state = state_.lock();
  const auto found = state->pollables.find(id);
  return found == state->pollables.end() ? nullptr : found->second;
}

void Poller::run() {
  while (true) {
    epoll_event event{};
    const int count = ::epoll_wait(epoll_.get(), &event, 1, -1);
    HOMEFS_CHECK(count >= 0 || errno == EINTR);
    if (count <= 0) continue;
    if (event.data.u64 == kStopId) return;
    if (const std::shared_ptr<Pollable> who = find(event.data.u64)) who->on_ready(event.events);
  }
}

}  // namespace homefs

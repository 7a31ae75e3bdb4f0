#include "fusefs/notifier.h"

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>

namespace homefs {
namespace {

// FUSE_NOTIFY_INC_EPOCH, protocol 7.44, Linux 6.16: every cached name is void.
constexpr int kNotifyIncEpoch = 8;

bool increment_epoch(fuse_session* session) {
  fuse_out_header header{};
  header.len = sizeof header;
  header.error = kNotifyIncEpoch;
  return ::write(fuse_session_fd(session), &header, sizeof header) == sizeof header;
}

}  // namespace

Notifier::Notifier() = default;

Notifier::~Notifier() { stop(); }

void Notifier::start(fuse_session* session, std::function<Names()> cached_names) {
  session_ = session;
  cached_names_ = std::move(cached_names);
  lane_.start("fuse-notifier", [this](Notice& notice) { send(notice); });
  names_lane_.start("fuse-names", [this](Notice& notice) { send(notice); });
}

void Notifier::stop() {
  (void)names_lane_.stop();  // there is no kernel any more that could be wrong
  for (Notice& notice : lane_.stop()) {
    if (notice.done) notice.done();
  }
}

void Notifier::invalidate_attributes(NodeId node) {
  lane_.push({.kind = Kind::kAttributes, .node = node});
}
void Notifier::invalidate_data(NodeId node) { lane_.push({.kind = Kind::kData, .node = node}); }
void Notifier::extend(NodeId node, Place place) {
  lane_.push({.kind = Kind::kExtend, .node = node, .place = std::move(place)});
}
// Two may say different things: none replaces another.
void Notifier::set_end(NodeId node, std::uint64_t end, std::byte last) {
  Notice notice{.kind = Kind::kEnd, .node = node, .end = end, .last = last};
  lane_.push(std::move(notice));
}
std::uint64_t Notifier::moment() { return told_.lock()->count; }
bool Notifier::has_told(NodeId node, std::uint64_t since) {
  return lane_.has(node) || told_.lock()->has(node, since);
}
bool Notifier::Told::has(NodeId node, std::uint64_t since) const {
  if (count - since >= nodes.size()) return true;
  for (std::uint64_t i = since; i != count; ++i) {
    if (nodes[i % nodes.size()] == node) return true;
  }
  return false;
}
void Notifier::invalidate_entry(NodeId parent, std::string name) {
  names_lane_.push({.kind = Kind::kEntry, .node = parent, .name = std::move(name)});
}
void Notifier::invalidate_all_entries() { lane_.push({.kind = Kind::kAllEntries}); }
void Notifier::when_told(std::move_only_function<void()> done) {
  Notice told{.kind = Kind::kTold, .done = std::move(done)};
  if (!lane_.push_behind(told)) told.done();
}

void Notifier::Lane::start(const char* thread_name, Send send) {
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = false;
  }
  thread_ = std::jthread([this, thread_name, send = std::move(send)](const std::stop_token& stop) {
    pthread_setname_np(pthread_self(), thread_name);
    run(stop, send);
  });
}

std::deque<Notifier::Notice> Notifier::Lane::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  std::deque<Notice> left;
  const std::lock_guard lock(mutex_);
  is_stopped_ = true;
  keys_.clear();
  left.swap(queue_);
  return left;
}

void Notifier::Lane::push(Notice notice) {
  {
    const std::lock_guard lock(mutex_);
    if (notice.kind != Kind::kTold) {
      Key key{notice.kind, notice.node, notice.name};
      const bool says_all = notice.kind != Kind::kEnd;
      // The one that waits will be sent later than now: it says this as well.
      if (says_all && keys_.contains(key)) return;
      keys_.insert(std::move(key));
    }
    queue_.push_back(std::move(notice));
  }
  ready_.notify_one();
}

bool Notifier::Lane::has(NodeId node) {
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(
      kAboutNode, [&](Kind kind) { return keys_.contains({kind, node, std::string()}); });
}

bool Notifier::Lane::push_behind(Notice& notice) {
  {
    const std::lock_guard lock(mutex_);
    if (is_stopped_ || (!is_sending_ && queue_.empty())) return false;
    queue_.push_back(std::move(notice));
  }
  ready_.notify_one();
  return true;
}

void Notifier::Lane::run(const std::stop_token& stop, const Send& send) {
  std::unique_lock lock(mutex_);
  while (ready_.wait(lock, stop, [this] { return !queue_.empty(); }) && !stop.stop_requested()) {
    Notice notice = std::move(queue_.front());
    queue_.pop_front();
    const auto key = keys_.find({notice.kind, notice.node, notice.name});
    if (key != keys_.end()) keys_.erase(key);
    is_sending_ = true;
    lock.unlock();
    send(notice);
    lock.lock();
    is_sending_ = false;
  }
}

// A page that this makes is not up to date: the kernel reads it when somebody wants it, which sets
// the size right as well.
void Notifier::send_extension(Notice& notice) {
  const std::optional<std::uint64_t> place = notice.place();
  if (!place) return;
  store(notice.node, *place, std::byte{});
  if (notice.place() == place) return;
  (void)fuse_lowlevel_notify_inval_inode(session_, number_of(notice.node), 0, 0);
}

void Notifier::store(NodeId node, std::uint64_t offset, std::byte byte) {
  fuse_bufvec data = FUSE_BUFVEC_INIT(sizeof byte);
  data.buf[0].mem = &byte;
  (void)fuse_lowlevel_notify_store(session_, number_of(node), static_cast<off_t>(offset), &data,
                                   static_cast<fuse_buf_copy_flags>(0));
}

// Whoever asks while the kernel is being told may be too early as well.
void Notifier::send(Notice& notice) {
  const bool is_of_node = std::ranges::find(kAboutNode, notice.kind) != kAboutNode.end();
  if (is_of_node) told_.lock()->note(notice.node);
  tell(notice);
  if (is_of_node) told_.lock()->note(notice.node);
}

void Notifier::tell(Notice& notice) {
  const fuse_ino_t node = number_of(notice.node);
  // ENOENT says that the kernel does not have it: as good as done. So for every other failure:
  // the mount point is going away.
  switch (notice.kind) {
    case Kind::kTold:
      notice.done();
      return;
    case Kind::kAttributes:
      (void)fuse_lowlevel_notify_inval_inode(session_, node, -1, 0);
      return;
    case Kind::kData:
      (void)fuse_lowlevel_notify_inval_inode(session_, node, 0, 0);
      return;
    case Kind::kExtend:
      send_extension(notice);
      return;
    case Kind::kEnd:
      store(notice.node, notice.end - 1, notice.last);
      return;
    case Kind::kEntry:
      (void)fuse_lowlevel_notify_inval_entry(session_, node, notice.name.c_str(),
                                             notice.name.size());
      return;
    case Kind::kAllEntries:
      if (increment_epoch(session_)) return;
      for (const auto& [parent, name] : cached_names_()) {
        (void)fuse_lowlevel_notify_inval_entry(session_, number_of(parent), name.c_str(),
                                               name.size());
      }
      return;
  }
}

}  // namespace homefs

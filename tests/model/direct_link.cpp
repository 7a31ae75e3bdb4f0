#include "tests/model/direct_link.h"

#include <cstring>

namespace homefs {
namespace {

constexpr std::uint64_t kIncarnation = 1;

InFrame frame_of(const Call& call, const Introductions& introductions) {
  std::vector<std::byte> head;
  encode(introductions, head);
  head.insert(head.end(), call.fields.begin(), call.fields.end());
  for (const Slice& slice : call.payload) {
    head.insert(head.end(), slice.bytes.begin(), slice.bytes.end());
  }
  InFrame frame;
  frame.header.op = call.op;
  frame.body = std::make_shared<Buffer>(head.size());
  std::memcpy(frame.body->writable().data(), head.data(), head.size());
  return frame;
}

InFrame frame_of(const Reply& reply, Op op) {
  std::vector<std::byte> body = reply.fields;
  for (const Slice& slice : reply.payload) {
    body.insert(body.end(), slice.bytes.begin(), slice.bytes.end());
  }
  InFrame frame;
  frame.header.op = op;
  frame.header.kind = FrameKind::kReply;
  frame.header.status = reply.status;
  frame.body = std::make_shared<Buffer>(body.size());
  if (!body.empty()) std::memcpy(frame.body->writable().data(), body.data(), body.size());
  return frame;
}

}  // namespace

DirectLink::Queue::Queue(int threads) {
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this](const std::stop_token& stop) { run(stop); });
  }
}

DirectLink::Queue::~Queue() {
  for (auto& thread : threads_) thread.request_stop();
}

void DirectLink::Queue::push(std::move_only_function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    work_.push_back(std::move(work));
  }
  ready_.notify_one();
}

void DirectLink::Queue::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (ready_.wait(lock, stop, [this] { return !work_.empty(); })) {
    auto work = std::move(work_.front());
    work_.pop_front();
    lock.unlock();
    work();
    work = nullptr;
    lock.lock();
  }
}

DirectLink::DirectLink(SessionHome& server) : server_(server) {}
DirectLink::~DirectLink() = default;

void DirectLink::post(std::move_only_function<void()> work) { unordered_.push(std::move(work)); }

std::uint64_t DirectLink::send(Call call, Done done) {
  counts[static_cast<std::size_t>(call.op)]++;
  Queue& queue = is_sequenced(call.op) ? ordered_ : unordered_;
  queue.push([this, call = std::move(call), done = std::move(done)]() mutable {
    serve(std::move(call), std::move(done), 1);
  });
  return 0;
}

void DirectLink::serve(Call call, Done done, int attempt) {
  Introductions introductions;
  introductions_->introduce(call.nodes, kIncarnation, introductions.list);
  const Reply reply = server_.handle(frame_of(call, introductions));
  if (reply.status == Status::kStale && attempt == 1) {
    introductions_->distrust(call.nodes);
    return serve(std::move(call), std::move(done), 2);
  }
  InFrame frame = frame_of(reply, call.op);
  if (!is_success(reply.status)) {
    const auto text = decode_all<ErrorReply>(frame.bytes());
    done(fail(reply.status, text ? text->text : ""));
    return;
  }
  introductions_->confirm(introductions.list, kIncarnation);
  done(std::move(frame));
}

}  // namespace homefs

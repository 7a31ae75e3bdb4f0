// TlsChannel: the Channel over a socket.
//
// One lock guards everything, and is held for at most about kLockPieceBytes of encryption or
// decryption, never while an event is delivered or the socket is written to. Two activities run
// under it, each at most once at a time, on whatever thread has a reason:
//
//   driving  receives, delivers the events, ends the channel; on the IoThreads. Whoever finds it
//            running leaves a note (drive_again_) instead.
//   pumping  encrypts what is queued and gives it to the socket; on the thread of send(), or on
//            the IoThreads when the socket was full. Whoever finds it running has only to queue.
//
// Owner: see Channel. Executor: thread-safe. Blocks: never.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "protocol/channel.h"
#include "protocol/channel_send_queue.h"
#include "protocol/frame_assembler.h"
#include "protocol/poller.h"
#include "protocol/tls_stream.h"

namespace homefs {

class TlsChannel final : public Channel,
                         public Pollable,
                         public std::enable_shared_from_this<TlsChannel> {
 public:
  TlsChannel(IoThreads& io, UniqueFd socket, const TlsContext& context, ChannelOptions options);
  ~TlsChannel() override;

  void start(std::shared_ptr<ChannelEvents> events) override;
  Result<void> send(OutFrame&& frame) override;
  Result<void> send_later(OutFrame&& frame) override;
  void set_body_bytes_max(std::size_t bytes) override;
  void pause_reading() override;
  void resume_reading() override;
  [[nodiscard]] std::size_t queued_bytes() const override;
  [[nodiscard]] std::uint64_t received_bytes() const override { return received_bytes_; }
  void close(Error why) override;
  void close_after_flush(Error why) override;
  [[nodiscard]] std::string peer_fingerprint() const override;
  [[nodiscard]] ChannelBinding channel_binding() const override;
  [[nodiscard]] std::string peer_address() const override { return peer_address_; }

 private:
  using Lock = std::unique_lock<std::mutex>;  // in a signature: mutex_ is held, and may be let go
  enum class State { kNew, kHandshake, kOpen, kFlushing, kClosed, kDone };

  // tls_channel.cpp: the life of the channel.
  void on_ready(std::uint32_t events) override;
  void on_stopped() override;
  void arm(std::uint32_t event);
  void start_deadline(std::chrono::milliseconds deadline);
  void on_deadline();
  void set_state(State state);
  void close_locked(Error why);
  void finish(Lock& lock);
  void close_socket_if_unused();

  // tls_channel_receive.cpp: driving.
  void drive(Lock& lock);
  bool drive_once(Lock& lock);
  bool drive_handshake(Lock& lock);
  bool drive_open(Lock& lock);
  TlsStream::Wait receive_piece();
  bool wait_for(TlsStream::Wait wait);
  template <class Deliver>
  void deliver(Lock& lock, Deliver deliver);
  void deliver_frames(Lock& lock);
  void schedule_drive();

  // tls_channel_send.cpp: pumping.
  Result<void> enqueue(OutFrame&& frame);
  void pump(Lock& lock, std::size_t budget_bytes);
  bool encrypt_piece();
  bool send_piece(Lock& lock);
  void end_flush();
  void report_space();
  void schedule_pump();
  [[nodiscard]] bool is_write_armed() const;
  [[nodiscard]] std::size_t queued_bytes_locked() const;

  // Set once, before start().
  const ChannelOptions options_;
  const bool is_server_;
  std::string peer_address_;
  std::shared_ptr<ChannelEvents> events_;  // owners: its maker, and we until on_closed

  mutable std::mutex mutex_;
  const IoThreads::Executor executor_;
  const std::shared_ptr<Poller> poller_;
  UniqueFd socket_;
  Poller::Id poll_id_ = 0;
  std::uint32_t armed_ = 0;  // EPOLLIN, EPOLLOUT: what the poller waits for
  boost::asio::steady_timer deadline_;
  TlsStream stream_;
  State state_ = State::kNew;
  std::optional<Error> why_;  // the first reason to end
  std::string peer_fingerprint_;
  ChannelBinding channel_binding_{};

  FrameAssembler assembler_;
  std::vector<InFrame> received_;  // complete; of the driver alone while it delivers
  std::atomic<std::uint64_t> received_bytes_{0};
  std::size_t received_next_ = 0;  // the first of them that was not delivered; also the driver's
  std::optional<Error> receive_error_;  // nothing more can be received
  std::thread::id delivering_thread_;   // none: no event is being delivered
  bool is_driving_ = false;
  bool drive_again_ = false;
  bool is_drive_posted_ = false;
  bool is_paused_ = false;
  bool drive_waits_for_flush_ = false;
  bool is_space_wanted_ = false;       // a send was refused
  bool is_space_due_ = false;          // on_send_space is to be delivered
  std::atomic<bool> is_halted_{true};  // no on_frame now: paused, or not open
  std::atomic<std::size_t> body_bytes_max_;

  ChannelSendQueue queue_;
  WireBuffer sending_;  // being written to the socket; of the pump alone while is_pumping_
  std::size_t sending_bytes_ = 0;  // its size, for others
  bool is_pumping_ = false;
  bool is_pump_posted_ = false;
  bool pump_waits_for_read_ = false;
  bool is_flush_ended_ = false;
};

}  // namespace homefs

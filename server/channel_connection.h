// ChannelConnection: a connection over a channel. First it logs in (LoginDialog), then its frames
// go to its session.
//
// Owner: its channel until that is closed, and the session it belongs to. Executor: thread-safe;
// frames come one at a time. Blocks: as Session::on_frame does.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <string>

#include "protocol/channel.h"
#include "protocol/guarded.h"
#include "server/connection.h"
#include "server/frame_outlet.h"
#include "server/login_dialog.h"
#include "server/login_slots.h"

namespace homefs {

class Session;

/// From the end of the handshake to the end of the login. A person may be asked for a password
/// before the client connects, not meanwhile.
inline constexpr std::chrono::seconds kLoginDeadline{30};
/// Bytes of requests of one connection that wait to be run; then it is not read any further.
inline constexpr std::size_t kReceivedBytesMax = 16 * 1024 * 1024;

class ChannelConnection final : public ChannelEvents, public Connection {
 public:
  struct Setup {
    IoThreads& io;
    const TlsContext& tls;
    LoginParts login;  ///< what a login needs of the server
    ChannelOptions channel;
    std::shared_ptr<std::atomic<std::size_t>> count;  ///< of those that belong to a session
  };

  /// Takes over an accepted socket; the rest happens by itself.
  static void start(const Setup& setup, UniqueFd socket, LoginSlots::Slot slot);
  ~ChannelConnection() override;

  // ---- Connection ----
  void reply(const FrameHeader& request, const Reply& reply) override;
  void send_event(OutFrame frame) override { outlet_.put(std::move(frame)); }
  void close(Error why) override { channel_->close(std::move(why)); }
  void close_after_flush(const Error& why) override { outlet_.end(why); }
  void stop_reading() override;
  [[nodiscard]] bool has_unanswered() override;
  [[nodiscard]] bool is_control() const override { return is_control_; }
  [[nodiscard]] bool is_congested() const override { return outlet_.is_congested(); }
  [[nodiscard]] bool is_gone() const override { return is_gone_; }
  [[nodiscard]] std::string peer_address() const override { return channel_->peer_address(); }
  [[nodiscard]] std::uint64_t received_bytes() const override { return channel_->received_bytes(); }

  // ---- ChannelEvents ----
  void on_open() override;
  void on_frame(InFrame frame) override;
  void on_send_space() override;
  void on_closed(const Error& why) override;

 private:
  // What has been received and not been answered.
  struct Flow {
    std::size_t requests = 0;
    std::size_t bytes = 0;
    bool is_paused = false;
    bool is_stopped = false;  // paused for good
  };

  ChannelConnection(const Setup& setup, LoginSlots::Slot slot);

  void on_login_frame(InFrame frame);
  void answer_login(const FrameHeader& request, LoginAnswer answer);
  void send_login_answer(const FrameHeader& request, LoginAnswer answer);
  void bind(const FrameHeader& request, LoginAnswer answer);
  void finish_bind(const FrameHeader& request, LoginBinding& binding,
                   const Result<Session::Attached>& attached);
  void start_login_deadline();
  void release_slot();
  void uncount();
  [[nodiscard]] bool begin_request(const FrameHeader& request);
  void end_request(const FrameHeader& request);
  void resume_if_calm();

  const boost::asio::any_io_executor executor_;
  const std::shared_ptr<std::atomic<std::size_t>> count_;  // owners: the server and connections
  std::weak_ptr<ChannelConnection> self_;
  std::shared_ptr<Channel> channel_;  // set by start(), constant after it
  FrameOutlet outlet_;
  std::atomic<bool> is_gone_{false};
  std::atomic<bool> is_counted_{false};

  // The login. One step at a time: on the channel's events, or on a job while is_stepping_.
  std::unique_ptr<LoginDialog> dialog_;
  std::atomic<bool> is_stepping_{false};
  LoginSlots::Slot slot_;
  std::atomic<bool> holds_slot_{true};        // whoever takes this back releases `slot_`
  Guarded<boost::asio::steady_timer> timer_;  // the deadline of the login

  // Set by bind() before the reply that ends the login; then constant.
  std::shared_ptr<Session> session_;
  std::atomic<bool> is_bound_{false};
  bool is_control_ = false;

  Guarded<Flow> flow_;
};

}  // namespace homefs

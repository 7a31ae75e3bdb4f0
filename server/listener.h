// Accepts connections on the configured addresses, while there is room for more logins; the rest
// wait in the kernel's backlog.
//
// Owner: the server. Executor: its own strand; the callback runs there. Blocks: only open().
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "protocol/result.h"
#include "protocol/unique_fd.h"
#include "server/login_slots.h"

namespace homefs {

struct ListenerOptions {
  std::vector<std::string> addresses;  ///< numeric
  std::uint16_t port = 0;              ///< 0: any free one, for tests
  std::size_t logins_max = 64;
  std::chrono::seconds keepalive{10};  ///< of silent connections, by TCP
};

class Listener {
 public:
  /// Takes a connection; must not block.
  using OnSocket = std::function<void(UniqueFd, LoginSlots::Slot)>;

  static std::shared_ptr<Listener> make(const boost::asio::any_io_executor& executor,
                                        ListenerOptions options, OnSocket on_socket);
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// Binds all addresses and starts to accept. kConfigError with a text for the administrator.
  Result<void> open();
  /// Accepts no more; sockets that were accepted are unharmed.
  void stop();

  /// The port that was bound. Precondition: open() succeeded.
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  using Tcp = boost::asio::ip::tcp;

  Listener(const boost::asio::any_io_executor& executor, ListenerOptions options,
           OnSocket on_socket);

  Result<void> bind(const std::string& address);
  void post_accept_all();
  // On the strand.
  void accept(std::size_t index);
  void accept_all();
  void on_accepted(std::size_t index, const boost::system::error_code& error, Tcp::socket socket);
  void hand_over(Tcp::socket socket);
  void retry_later(std::size_t index);

  const ListenerOptions options_;
  const OnSocket on_socket_;
  boost::asio::strand<boost::asio::any_io_executor> strand_;
  std::weak_ptr<Listener> self_;
  std::uint16_t port_ = 0;

  // On the strand after open().
  struct Endpoint {
    Tcp::acceptor acceptor;
    boost::asio::steady_timer retry;
    bool is_accepting = false;
  };
  std::vector<Endpoint> endpoints_;
  bool is_stopped_ = false;
  std::unique_ptr<LoginSlots> slots_;
};

}  // namespace homefs

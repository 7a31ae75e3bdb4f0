// One TLS connection on a non-blocking socket, as a machine without threads: handshake, read and
// write do what can be done now and say what they wait for.
//
// Reading takes from the socket, several records a recv(2). Writing encrypts into to_send(); the
// channel gives that to the socket, many records a send(2), so no record waits for the socket here.
//
// Owner: the channel, behind its lock. Executor: one thread at a time. Blocks: never.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "protocol/buffer.h"
#include "protocol/result.h"
#include "protocol/tls.h"
#include "protocol/tls_wire_buffer.h"

namespace homefs {

class TlsStream {
 public:
  /// What has to happen before a call can do more.
  enum class Wait { kNone, kReadable, kFlushed };

  struct Step {
    Wait wait = Wait::kNone;
    std::size_t bytes = 0;  ///< more than 0 when wait is kNone
  };

  /// `fd` stays the caller's. A key encrypts at most `records_per_key` records.
  TlsStream(const TlsContext& context, int fd, std::shared_ptr<BufferPool> pool,
            std::uint64_t records_per_key);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  /// kNone: done. Error: kProtocolError or kDisconnected; to_send() may hold the alert that says
  /// so.
  Result<Wait> handshake();

  /// Decrypts up to one record into `into`. Errors: kDisconnected when the peer has ended the
  /// stream or it broke, kProtocolError when a record is bad.
  Result<Step> read(std::span<std::byte> into);

  /// Encrypts up to one record of `plain` into to_send(). After a wait, the same bytes come first.
  Result<Step> write(std::span<const std::byte> plain);

  /// Appends the close_notify that ends our half of the stream.
  void end_writing();

  /// The socket may have more to read. After read() said kReadable it is not asked until then; it
  /// also says so after kTurnBytesMax, to let the thread serve others.
  void begin_turn();

  [[nodiscard]] WireBuffer& to_send() { return to_send_; }
  [[nodiscard]] std::string peer_fingerprint() const;
  [[nodiscard]] ChannelBinding channel_binding() const;

  /// Plaintext of a full record.
  static constexpr std::size_t kRecordBytesMax = 16 * 1024;
  /// What a record adds: header 5, content type 1, tag 16.
  static constexpr std::size_t kRecordOverheadBytes = 22;
  static constexpr std::size_t kTurnBytesMax = 1024 * 1024;

 private:
  friend struct TlsStreamBio;
  int receive(std::span<std::byte> into);
  Result<Wait> wait_or_error(int returned);

  ssl_st* ssl_;
  const int fd_;
  const std::uint64_t records_per_key_;
  std::uint64_t records_written_ = 0;  // under the present key
  std::size_t turn_bytes_ = 0;
  bool is_drained_ = false;
  bool is_ended_ = false;  // the socket said end of file
  bool stands_ = false;    // the handshake is done
  int socket_error_ = 0;   // errno of the recv(2) that failed
  WireBuffer to_send_;
};

}  // namespace homefs

// A channel: frames over one TLS connection, in both directions, in order.
//
// Any thread sends, without blocking. One thread at a time receives: the frames of a channel are
// handed to its ChannelEvents one after the other, on threads of its IoThreads. Reading stops while
// reading is paused, sending refuses over its bound; neither ever grows without limit.
//
// Interface: the second implementation is the memory channel of the tests.
// Owner: whoever made it, and its own pending I/O (until on_closed). Executor: thread-safe.
// Blocks: never.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "protocol/buffer.h"
#include "protocol/frame.h"
#include "protocol/io_threads.h"
#include "protocol/limits.h"
#include "protocol/result.h"
#include "protocol/tls.h"
#include "protocol/unique_fd.h"

namespace homefs {

/// What a channel tells its owner. Called on the channel's IoThreads, never two calls at
/// a time, never while a lock is held; calls into the channel from inside are fine. Must not block.
class ChannelEvents {
 public:
  virtual ~ChannelEvents() = default;

  /// The handshake is done: peer_fingerprint() and channel_binding() are valid. A client compares
  /// the fingerprint with its pin here and calls close() when it differs.
  virtual void on_open() = 0;

  virtual void on_frame(InFrame frame) = 0;

  /// A send was refused with kWouldBlock earlier, and at least half of the queue is free again.
  virtual void on_send_space() {}

  /// Exactly once, and the last call; also after close(). `why` is close()'s error, or what broke
  /// the connection: kDisconnected (cut or ended by the peer), kProtocolError, kTimedOut.
  virtual void on_closed(const Error& why) = 0;
};

struct ChannelOptions {
  std::shared_ptr<BufferPool> pool;  ///< never null; bodies of frames come from it
  std::size_t body_bytes_max = kLoginBodyBytesMax;
  std::size_t queue_bytes_max = kSendQueueBytesMax;
  std::chrono::milliseconds handshake_deadline = kHandshakeDeadline;
  /// How long close_after_flush() waits for the peer to take what is queued.
  std::chrono::milliseconds flush_deadline = std::chrono::seconds(5);
  /// Records under one key: below the 2^24.5 of RFC 8446 section 5.5 for AES-GCM.
  std::uint64_t records_per_key = 1ull << 23;
};

class Channel {
 public:
  virtual ~Channel() = default;
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  /// Takes a connected stream socket. The role is the context's. Nothing happens before start(),
  /// so that the owner can store the channel where its events will look for it.
  static std::shared_ptr<Channel> make(IoThreads& io, UniqueFd socket, const TlsContext& context,
                                       ChannelOptions options);

  /// Begins the handshake; on_open or on_closed follows. Once. The channel keeps `events` until
  /// on_closed has returned, or the io threads have stopped, after which nothing is told.
  virtual void start(std::shared_ptr<ChannelEvents> events) = 0;

  /// Sends, encrypting and writing on the calling thread as far as the socket takes it; the rest
  /// follows when it is writable. From inside an event it is written when the events of this turn
  /// are through, so that the answers to pipelined requests leave together. Frames of different
  /// threads are never mixed; those of one thread stay in order. `header.body_bytes` is filled in.
  /// Precondition: body of at most kBodyBytesMax.
  /// Errors: kWouldBlock (over queue_bytes_max: not taken, `frame` is untouched; on_send_space
  /// follows), kDisconnected (not open yet, or closed: not taken).
  virtual Result<void> send(OutFrame&& frame) = 0;

  /// The same, but encrypted and written on an io thread: for bulk data.
  virtual Result<void> send_later(OutFrame&& frame) = 0;

  /// The limit for frames from the peer that have not been received yet. To be raised by the
  /// server before it sends the reply that makes a login, by the client when that reply arrives.
  virtual void set_body_bytes_max(std::size_t bytes) = 0;

  /// Back-pressure: after pause_reading() called from inside on_frame no further on_frame comes
  /// until resume_reading(). Called elsewhere, those of the turn in progress may still come.
  virtual void pause_reading() = 0;
  virtual void resume_reading() = 0;

  /// Bytes accepted and not yet given to the socket.
  [[nodiscard]] virtual std::size_t queued_bytes() const = 0;
  /// What has come of the peer's frames, also of one that is not complete.
  [[nodiscard]] virtual std::uint64_t received_bytes() const = 0;

  /// Ends the connection now; what is queued is dropped. Idempotent: the first error wins.
  virtual void close(Error why) = 0;
  /// Takes no more frames, sends what is queued, then ends. For the reply that refuses a login.
  /// Idempotent as well: a second call does not cut the first one short.
  virtual void close_after_flush(Error why) = 0;

  /// Of the server's key, "SHA256:..."; empty at the server. Valid from on_open on.
  [[nodiscard]] virtual std::string peer_fingerprint() const = 0;
  /// Valid from on_open on.
  [[nodiscard]] virtual ChannelBinding channel_binding() const = 0;
  /// "192.0.2.1:4711", "[2001:db8::1]:4711", or "local" for a socket without an address.
  [[nodiscard]] virtual std::string peer_address() const = 0;

 protected:
  Channel() = default;
};

}  // namespace homefs

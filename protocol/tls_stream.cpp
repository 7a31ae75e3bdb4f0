#include "protocol/tls_stream.h"

#include <openssl/err.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "protocol/tls_openssl.h"

namespace homefs {

/// The BIO below OpenSSL: reads from the socket, appends what is written to to_send().
struct TlsStreamBio {
  static TlsStream& stream_of(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* into, int bytes_max) {
    BIO_clear_retry_flags(bio);
    const int bytes = stream_of(bio).receive(
        std::as_writable_bytes(std::span(into, static_cast<std::size_t>(bytes_max))));
    if (bytes < 0 && stream_of(bio).is_drained_) BIO_set_retry_read(bio);
    return bytes;
  }

  static int write(BIO* bio, const char* from, int bytes) {
    BIO_clear_retry_flags(bio);
    const auto wire = std::as_bytes(std::span(from, static_cast<std::size_t>(bytes)));
    if (stream_of(bio).to_send_.append(wire)) return bytes;
    BIO_set_retry_write(bio);
    return -1;
  }

  static long control(BIO* bio, int command, long, void*) {
    switch (command) {
      case BIO_CTRL_FLUSH:
        return 1;  // the channel does it
      case BIO_CTRL_EOF:
        return stream_of(bio).is_ended_ ? 1 : 0;
      default:
        return 0;
    }
  }

  static int create(BIO* bio) {
    BIO_set_init(bio, 1);
    return 1;
  }

  /// Made once and kept for the life of the process, as OpenSSL's own methods are.
  static const BIO_METHOD* method() {
    static const BIO_METHOD* const instance = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "homefs");
      HOMEFS_CHECK(made != nullptr);
      BIO_meth_set_read(made, read);
      BIO_meth_set_write(made, write);
      BIO_meth_set_ctrl(made, control);
      BIO_meth_set_create(made, create);
      return made;
    }();
    return instance;
  }
};

TlsStream::TlsStream(const TlsContext& context, int fd, std::shared_ptr<BufferPool> pool,
                     std::uint64_t records_per_key)
    : ssl_(context.make_ssl()),
      fd_(fd),
      records_per_key_(records_per_key),
      to_send_(std::move(pool)) {
  BIO* bio = BIO_new(TlsStreamBio::method());
  HOMEFS_CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  SSL_set_bio(ssl_, bio, bio);  // takes it
}

TlsStream::~TlsStream() { SSL_free(ssl_); }

int TlsStream::receive(std::span<std::byte> into) {
  if (is_drained_) return -1;
  for (;;) {
    const ssize_t bytes = ::recv(fd_, into.data(), into.size(), MSG_DONTWAIT);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) {
      const bool is_empty = errno == EAGAIN || errno == EWOULDBLOCK;
      is_drained_ = is_empty;
      if (!is_empty) socket_error_ = errno;
      return -1;
    }
    is_ended_ = bytes == 0;
    // Less than asked for: the socket was empty. Asking again would cost a system call to learn
    // that, and what came meanwhile is noticed when the wait is armed.
    turn_bytes_ += static_cast<std::size_t>(bytes);
    is_drained_ = !is_ended_ &&
                  (static_cast<std::size_t>(bytes) < into.size() || turn_bytes_ >= kTurnBytesMax);
    return static_cast<int>(bytes);
  }
}

void TlsStream::begin_turn() {
  is_drained_ = false;
  turn_bytes_ = 0;
}

Result<TlsStream::Wait> TlsStream::wait_or_error(int returned) {
  switch (SSL_get_error(ssl_, returned)) {
    case SSL_ERROR_WANT_READ:
      return Wait::kReadable;
    case SSL_ERROR_WANT_WRITE:
      return Wait::kFlushed;
    case SSL_ERROR_ZERO_RETURN:
      return fail(Status::kDisconnected, "the peer ended the connection");
    default:
      break;
  }
  if (socket_error_ != 0) {
    return fail(Status::kDisconnected, fail_errno(socket_error_, "recv").error().message());
  }
  if (is_ended_) return fail(Status::kDisconnected, "the connection was cut");
  if (const long verified = SSL_get_verify_result(ssl_); verified != X509_V_OK) {
    return fail(Status::kServerKeyUnknown, X509_verify_cert_error_string(verified));
  }
  // A bit that flipped on the way ends the connection, and not the session: within TLS, when it
  // stands, the peer has broken nothing.
  return fail(stands_ ? Status::kDisconnected : Status::kProtocolError,
              "TLS: " + take_openssl_error());
}

Result<TlsStream::Wait> TlsStream::handshake() {
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_);
  stands_ = done == 1;
  return stands_ ? Wait::kNone : wait_or_error(done);
}

Result<TlsStream::Step> TlsStream::read(std::span<std::byte> into) {
  HOMEFS_CHECK(!into.empty());
  ERR_clear_error();
  std::size_t bytes = 0;
  if (SSL_read_ex(ssl_, into.data(), into.size(), &bytes) == 1) return Step{Wait::kNone, bytes};
  const auto wait = wait_or_error(0);
  if (!wait) return std::unexpected(wait.error());
  return Step{*wait, 0};
}

Result<TlsStream::Step> TlsStream::write(std::span<const std::byte> plain) {
  HOMEFS_CHECK(!plain.empty());
  ERR_clear_error();
  if (records_written_ >= records_per_key_) {
    // The new key is announced by the write below. The peer counts its own direction.
    if (SSL_key_update(ssl_, SSL_KEY_UPDATE_NOT_REQUESTED) == 1) records_written_ = 0;
    ERR_clear_error();  // otherwise: not possible in the middle of a message, tried again next time
  }
  std::size_t bytes = 0;
  const std::size_t bytes_max = std::min(plain.size(), kRecordBytesMax);
  if (SSL_write_ex(ssl_, plain.data(), bytes_max, &bytes) == 1) {
    ++records_written_;
    return Step{Wait::kNone, bytes};
  }
  const auto wait = wait_or_error(0);
  if (!wait) return std::unexpected(wait.error());
  return Step{*wait, 0};
}

void TlsStream::end_writing() {
  ERR_clear_error();
  (void)SSL_shutdown(ssl_);  // 0: the peer's close_notify is not awaited; it may never come
  ERR_clear_error();
}

std::string TlsStream::peer_fingerprint() const {
  X509* certificate = SSL_get0_peer_certificate(ssl_);
  return certificate == nullptr ? std::string() : fingerprint_of(certificate);
}

ChannelBinding TlsStream::channel_binding() const {
  constexpr std::string_view kLabel = "EXPORTER-Channel-Binding";
  ChannelBinding binding;
  // RFC 9266: an empty context, which is not the same as none.
  const unsigned char empty_context = 0;
  const int done = SSL_export_keying_material(
      ssl_, reinterpret_cast<unsigned char*>(binding.data()), binding.size(), kLabel.data(),
      kLabel.size(), &empty_context, 0, 1);
  HOMEFS_CHECK(done == 1);
  return binding;
}

}  // namespace homefs

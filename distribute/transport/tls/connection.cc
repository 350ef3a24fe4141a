#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "cohort/core/error.h"
#include "cohort/distribute/transport/tls_connection.h"

// A connection's SSL object reads and writes its socket through a BIO of ours, because OpenSSL's
// own raises SIGPIPE. Records hold 16 KiB at most: a frame's header goes into one record with the
// beginning of its payload, the rest is encrypted from where it lies.
namespace cohort::distribute {
namespace {

constexpr size_t kRecordBytes = size_t{16} << 10;
constexpr size_t kReadAheadBytes = size_t{64} << 10;
constexpr int kBioType = BIO_TYPE_SOURCE_SINK | 127;  // OpenSSL's own are lower

template <auto* destroy>
struct Destroy {
  template <class T>
  void operator()(T* object) const {
    destroy(object);
  }
};
using Context = std::unique_ptr<SSL_CTX, Destroy<&SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, Destroy<&SSL_free>>;
using Bio = std::unique_ptr<BIO, Destroy<&BIO_free>>;
using BioMethod = std::unique_ptr<BIO_METHOD, Destroy<&BIO_meth_free>>;
using Certificate = std::unique_ptr<X509, Destroy<&X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Destroy<&EVP_PKEY_free>>;

/// The oldest error of this thread's queue, which is empty afterwards.
std::string take_error() {
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  const char* reason = code ? ERR_reason_error_string(code) : nullptr;
  return reason ? reason : "no reason given";
}

Error denied(const std::string& reason) { return Error(Code::kPermissionDenied, reason); }

std::string fingerprint(const X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int bytes = 0;
  if (!certificate || X509_digest(certificate, EVP_sha256(), digest.data(), &bytes) != 1) return "";
  return fmt::format("{:02x}", fmt::join(digest.begin(), digest.begin() + bytes, ""));
}

// --- the socket, as OpenSSL sees it --------------------------------------------------------------

int descriptor_of(BIO* bio) {
  return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio)));
}

int bio_write(BIO* bio, const char* data, int bytes) {
  BIO_clear_retry_flags(bio);
  const ssize_t sent = send(descriptor_of(bio), data, static_cast<size_t>(bytes), MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}

int bio_read(BIO* bio, char* to, int bytes) {
  BIO_clear_retry_flags(bio);
  const ssize_t got = recv(descriptor_of(bio), to, static_cast<size_t>(bytes), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  return static_cast<int>(got);
}

long bio_control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

BioMethod make_bio_method() {
  BioMethod method(BIO_meth_new(kBioType, "cohort socket"));
  BIO_meth_set_write(method.get(), bio_write);
  BIO_meth_set_read(method.get(), bio_read);
  BIO_meth_set_ctrl(method.get(), bio_control);
  return method;
}

/// What the connections of one process share.
struct Shared {
  BioMethod socket_method = make_bio_method();
  Context context;
  uint64_t rekey_bytes = 0;
};

// --- a connection --------------------------------------------------------------------------------

class TlsConnection final : public Connection {
 public:
  TlsConnection(std::shared_ptr<const Shared> shared, FileDescriptor socket, Side side)
      : shared_(std::move(shared)),
        socket_(std::move(socket)),
        session_(SSL_new(shared_->context.get())) {
    BIO* bio = BIO_new(shared_->socket_method.get());
    if (!session_ || !bio) throw ResourceExhausted("tls: {}", take_error());
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(socket_.get())));
    BIO_set_init(bio, 1);
    SSL_set_bio(session_.get(), bio, bio);
    if (side == Side::kCaller)
      SSL_set_connect_state(session_.get());
    else
      SSL_set_accept_state(session_.get());
  }

  size_t try_write(std::span<const iovec> parts) override {
    renew_key();
    const auto* data = static_cast<const char*>(parts[0].iov_base);
    size_t bytes = parts[0].iov_len;
    if (parts.size() > 1 && bytes < kRecordBytes) {
      bytes = gather(parts);
      data = record_.data();
    }
    begin();
    size_t taken = 0;
    const int result = SSL_write_ex(session_.get(), data, bytes, &taken);
    stuck_ = result != 1;
    if (stuck_) expect_retry(result);
    sent_ += taken;
    return taken;
  }

  bool is_stuck() const override { return stuck_; }

  size_t try_read(char* to, size_t bytes) override {
    begin();
    size_t got = 0;
    const int result = SSL_read_ex(session_.get(), to, bytes, &got);
    more_ = result == 1 && SSL_has_pending(session_.get()) == 1;
    if (result != 1) expect_retry(result);
    return got;
  }

  bool has_more() const override { return more_; }
  int descriptor() const override { return socket_.get(); }

  std::string peer_identity() const override {
    if (!SSL_is_init_finished(session_.get())) return "";
    const Certificate certificate(SSL_get1_peer_certificate(session_.get()));
    return fingerprint(certificate.get());
  }

  void finish() override { shutdown(socket_.get(), SHUT_WR); }

 private:
  /// The first parts in one piece, as far as they fit into a record.
  size_t gather(std::span<const iovec> parts) {
    record_.resize(kRecordBytes);
    size_t bytes = 0;
    for (const iovec& part : parts) {
      const size_t fits = std::min(part.iov_len, kRecordBytes - bytes);
      if (fits > 0) std::memcpy(record_.data() + bytes, part.iov_base, fits);
      bytes += fits;
    }
    return bytes;
  }

  void renew_key() {
    if (stuck_ || sent_ < shared_->rekey_bytes) return;
    if (SSL_key_update(session_.get(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1)
      throw Internal("tls: no new key: {}", take_error());
    sent_ = 0;
  }

  static void begin() {
    ERR_clear_error();
    errno = 0;
  }

  /// Returns when the call must be made again later; throws for what ends the connection.
  void expect_retry(int result) const {
    const int system_error = errno;
    const int kind = SSL_get_error(session_.get(), result);
    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) return;
    if (kind == SSL_ERROR_ZERO_RETURN) throw Unavailable("it closed the connection");
    const unsigned long code = ERR_peek_error();
    if (kind == SSL_ERROR_SYSCALL && code == 0)
      throw Unavailable("{}",
                        system_error ? std::strerror(system_error) : "it closed the connection");
    if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
      ERR_clear_error();
      throw Unavailable("it closed the connection");
    }
    const bool handshake = !SSL_is_init_finished(session_.get());
    const std::string reason = take_error();
    const long verified = SSL_get_verify_result(session_.get());
    if (verified != X509_V_OK)
      throw denied(std::string("its certificate is not accepted: ") +
                   X509_verify_cert_error_string(verified));
    // Alerts have the reasons SSL_AD_REASON_OFFSET and up: the other end says what it refuses.
    if (ERR_GET_REASON(code) > SSL_AD_REASON_OFFSET)
      throw denied("it refuses this process: " + reason);
    if (handshake) throw denied("it does not speak TLS: " + reason);
    throw DataLoss("got bytes that are not its own: {}", reason);
  }

  const std::shared_ptr<const Shared> shared_;
  const FileDescriptor socket_;
  const Session session_;
  std::string record_;
  uint64_t sent_ = 0;  ///< with the current key
  bool stuck_ = false;
  bool more_ = false;
};

// --- keys ----------------------------------------------------------------------------------------

Bio memory_of(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

[[noreturn]] void refuse(const char* what) {
  throw InvalidArgument("tls: the {} is not taken: {}", what, take_error());
}

void trust(SSL_CTX* context, const std::string& authorities) {
  const Bio memory = memory_of(authorities);
  int count = 0;
  while (true) {
    const Certificate one(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
    if (!one) break;
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), one.get()) != 1)
      refuse("certificate authority");
    ++count;
  }
  if (count == 0) refuse("certificate authority");
  ERR_clear_error();  // the end of the text
}

/// Shows the first certificate of the text, and the others as the chain to the authority. Returns
/// the fingerprint.
std::string show(SSL_CTX* context, const std::string& certificates, const std::string& key) {
  const Bio memory = memory_of(certificates);
  const Certificate own(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1) refuse("certificate");
  while (true) {
    const Certificate next(PEM_read_bio_X509(memory.get(), nullptr, nullptr, nullptr));
    if (!next) break;
    if (SSL_CTX_add1_chain_cert(context, next.get()) != 1) refuse("certificate");
  }
  ERR_clear_error();
  // Never asks at the terminal: a key with a passphrase is refused.
  const auto no_passphrase = [](char*, int, int, void*) { return -1; };
  const PrivateKey own_key(
      PEM_read_bio_PrivateKey(memory_of(key).get(), nullptr, no_passphrase, nullptr));
  if (!own_key || SSL_CTX_use_PrivateKey(context, own_key.get()) != 1 ||
      SSL_CTX_check_private_key(context) != 1)
    refuse("private key");
  return fingerprint(own.get());
}

class TlsConnections final : public ConnectionMaker {
 public:
  TlsConnections(const cluster::TlsKeys& keys, uint64_t rekey_bytes) {
    auto shared = std::make_shared<Shared>();
    shared->rekey_bytes = rekey_bytes;
    shared->context.reset(SSL_CTX_new(TLS_method()));
    SSL_CTX* context = shared->context.get();
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1)
      throw Internal("tls: {}", take_error());
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_num_tickets(context, 0);  // connections are never resumed
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_default_read_buffer_len(context, kReadAheadBytes);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    // A process calls some peers and listens to others with its one certificate.
    SSL_CTX_set_purpose(context, X509_PURPOSE_ANY);
    trust(context, keys.certificate_authority);
    identity_ = show(context, keys.certificate, keys.private_key);
    shared_ = std::move(shared);
  }

  const std::string& identity() const override { return identity_; }
  std::unique_ptr<Connection> make(FileDescriptor socket, Side side) const override {
    return std::make_unique<TlsConnection>(shared_, std::move(socket), side);
  }

 private:
  std::shared_ptr<const Shared> shared_;
  std::string identity_;
};

std::shared_ptr<const ConnectionMaker> make(const cluster::TlsKeys& keys, uint64_t rekey_bytes) {
  return std::make_shared<TlsConnections>(keys, rekey_bytes);
}

}  // namespace
}  // namespace cohort::distribute

extern "C" __attribute__((visibility("default"))) void cohort_tls_module(
    cohort::distribute::TlsModule& module) {
  module.make = cohort::distribute::make;
}

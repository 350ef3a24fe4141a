#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <memory>

#include "cohort/cluster/grpc/module.h"
#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Bio = std::unique_ptr<BIO, decltype(&BIO_free)>;

Bio open_text(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), BIO_free);
}

// A key with a passphrase is none that a program can use by itself.
int no_passphrase(char*, int, int, void*) { return 0; }

Certificate read_certificate(const std::string& pem) {
  const Bio text = open_text(pem);
  return Certificate(PEM_read_bio_X509(text.get(), nullptr, no_passphrase, nullptr), X509_free);
}

}  // namespace

std::string hmac_sha256(std::string_view key, std::string_view text) {
  std::array<unsigned char, 32> digest;
  unsigned int size = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  if (!HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes, text.size(),
            digest.data(), &size) ||
      size != digest.size())
    throw Internal("cluster: OpenSSL computes no HMAC-SHA-256");
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

bool is_pair(const TlsKeys& keys) {
  const Certificate authority = read_certificate(keys.certificate_authority),
                    certificate = read_certificate(keys.certificate);
  const Bio key_text = open_text(keys.private_key);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      PEM_read_bio_PrivateKey(key_text.get(), nullptr, no_passphrase, nullptr), EVP_PKEY_free);
  const bool pair =
      authority && certificate && key && X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  return pair;
}

}  // namespace cohort::cluster

#include <openssl/hmac.h>

#include <array>

#include "cluster/grpc/module.h"
#include "core/error.h"

namespace cohort::cluster {

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

}  // namespace cohort::cluster

#include "cohort/cluster/tls.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

std::string read_pem(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw NotFound("tls: cannot read {}: {}", path, std::strerror(errno));
  std::ostringstream text;
  text << file.rdbuf();
  if (text.str().find("-----BEGIN ") == std::string::npos)
    throw DataLoss("tls: {} holds no PEM block; want -----BEGIN …-----", path);
  return text.str();
}

}  // namespace

TlsKeys read_tls_keys(const TlsOptions& options) {
  const bool none = options.certificate_authority.empty() && options.certificate.empty() &&
                    options.private_key.empty();
  if (none) return {};
  if (options.certificate_authority.empty() || options.certificate.empty() ||
      options.private_key.empty())
    throw InvalidArgument(
        "tls: got certificate_authority '{}', certificate '{}', private_key '{}'; want all or none",
        options.certificate_authority, options.certificate, options.private_key);
  return {.certificate_authority = read_pem(options.certificate_authority),
          .certificate = read_pem(options.certificate),
          .private_key = read_pem(options.private_key)};
}

}  // namespace cohort::cluster

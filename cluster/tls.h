#pragma once

#include <string>

namespace cohort::cluster {

/// PEM files for mutual TLS: both ends show a certificate that the same authority signed, and
/// whoever comes without one, or in plain text, is refused. All three are given, or none: no TLS.
struct TlsOptions {
  std::string certificate_authority = {};
  std::string certificate = {};  ///< for the host names or addresses of the cluster spec
  std::string private_key = {};

  bool enabled() const { return !certificate_authority.empty(); }
};

/// What the files hold.
struct TlsKeys {
  std::string certificate_authority;
  std::string certificate;
  std::string private_key;
};

/// Throws InvalidArgument when some but not all files are given, NotFound naming a file that cannot
/// be read, DataLoss naming one that is not PEM.
TlsKeys read_tls_keys(const TlsOptions& options);

}  // namespace cohort::cluster

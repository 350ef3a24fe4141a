#pragma once

#include <string>

#include "cohort/cluster/tls.h"

namespace cohort::test {

/// Keys that the openssl command makes, in a temporary folder that goes with this: for each name an
/// authority of its own and a certificate for localhost.
class TlsKeyFolder {
 public:
  TlsKeyFolder();
  ~TlsKeyFolder();
  TlsKeyFolder(const TlsKeyFolder&) = delete;
  TlsKeyFolder& operator=(const TlsKeyFolder&) = delete;

  /// Whether there is an openssl command here.
  static bool possible();
  /// Throws Internal when openssl fails. `certificate`: more options of `openssl x509 -req`.
  cluster::TlsOptions make(const std::string& name, const std::string& certificate = "-days 2");

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace cohort::test

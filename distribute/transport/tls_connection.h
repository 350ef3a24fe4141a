#pragma once

#include <cstdint>

#include "cohort/cluster/tls.h"
#include "cohort/distribute/transport/connection.h"

namespace cohort::distribute {

/// AES-GCM must not protect more than 2^24.5 full records with one key (RFC 8446, section 5.5),
/// which are 370 GiB.
inline constexpr uint64_t kRekeyBytes = uint64_t{64} << 30;

/// TLS 1.3, both ends with a certificate that the authority of `keys` signed. A process' identity
/// is the SHA-256 of its certificate, in hexadecimal: who knows it from a trusted place need not
/// care for the names in the certificate. Each end takes a new key every `rekey_bytes` that it has
/// sent. Throws FailedPrecondition when this build has no OpenSSL, InvalidArgument for keys that
/// OpenSSL does not take.
std::shared_ptr<const ConnectionMaker> make_tls_connections(const cluster::TlsKeys& keys,
                                                            uint64_t rekey_bytes = kRekeyBytes);

/// What the module libcohort_tls does for this library: all of OpenSSL is in there.
struct TlsModule {
  std::shared_ptr<const ConnectionMaker> (*make)(const cluster::TlsKeys& keys,
                                                 uint64_t rekey_bytes) = nullptr;
};

/// What the module exports, `extern "C"`, under the name kTlsEntry.
using TlsEntry = void (*)(TlsModule&);
inline constexpr const char* kTlsEntry = "cohort_tls_module";

}  // namespace cohort::distribute

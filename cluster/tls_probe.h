#pragma once

#include <string>

#include "cohort/cluster/endpoint.h"
#include "cohort/core/chrono.h"

namespace cohort::cluster {

/// What a listening port answers to the beginning of a TLS handshake.
enum class Speech {
  kUnknown,    ///< nothing, or something else
  kPlainText,  ///< HTTP/2 without TLS, as a leader without keys
  kTls,
};

/// Asks a numeric address, and waits no longer than `timeout` for its answer.
Speech probe_speech(const Address& numeric, std::chrono::milliseconds timeout);

/// A ClientHello of TLS 1.2 (RFC 5246, 7.4.1.2), to which a server of any later version answers.
std::string client_hello();

}  // namespace cohort::cluster

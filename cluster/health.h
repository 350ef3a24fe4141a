#pragma once

#include <string>

#include "cohort/cluster/tls.h"
#include "cohort/core/chrono.h"

namespace cohort::cluster {

/// Asks the server at "host:port" whether it serves, by gRPC's health protocol, as Kubernetes'
/// probes do. Throws NotFound when the name does not resolve, Unavailable when nothing there speaks
/// gRPC (with these keys) or it does not serve, DeadlineExceeded, and FailedPrecondition when this
/// build has no gRPC.
void check_health(const std::string& address, const TlsOptions& tls,
                  std::chrono::milliseconds timeout);

}  // namespace cohort::cluster

#include "cohort/cluster/health.h"

#include "cohort/cluster/rpc.h"
#include "cohort/core/error.h"

namespace cohort::cluster {

// HealthCheckRequest is empty for the whole server; HealthCheckResponse is {status = 1: SERVING}.
void check_health(const std::string& address, const TlsOptions& tls,
                  std::chrono::milliseconds timeout) {
  const Address named = parse_address(address);
  const RpcTarget target{resolve(named).front(), named.host, read_tls_keys(tls)};
  const std::string answer = rpc_module().call(target, "/grpc.health.v1.Health/Check", "", timeout);
  if (answer != std::string("\x08\x01", 2))
    throw Unavailable("health: the server at {} does not serve", address);
}

}  // namespace cohort::cluster

#pragma once

#include "cluster/rpc.h"

namespace cohort::cluster {

/// What cohort_rpc_module hands out; see RpcModule.
std::unique_ptr<RpcServer> serve_rpc(const Endpoint& address, const TlsKeys& keys,
                                     AcceptPipe accept);
std::unique_ptr<Pipe> connect_rpc(const Endpoint& address, const std::string& host,
                                  const TlsKeys& keys, PipeReceiver receiver);

}  // namespace cohort::cluster

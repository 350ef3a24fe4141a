#pragma once

#include "cluster/rpc.h"

namespace cohort::cluster {

/// What cohort_rpc_module hands out; see RpcModule.
std::unique_ptr<RpcServer> serve_rpc(const Address& address, const TlsKeys& keys,
                                     AcceptPipe accept);
std::unique_ptr<Pipe> connect_rpc(const RpcTarget& target, PipeReceiver receiver);
std::string call_rpc(const RpcTarget& target, const std::string& method, const std::string& request,
                     std::chrono::milliseconds timeout);

}  // namespace cohort::cluster

#pragma once

#include "cohort/cluster/rpc.h"

namespace cohort::cluster {

/// What cohort_rpc_module hands out; see RpcModule.
std::unique_ptr<RpcServer> serve_rpc(RpcServerOptions options);
std::unique_ptr<Pipe> connect_rpc(const RpcTarget& target, PipeReceiver receiver);
std::string call_rpc(const RpcTarget& target, const std::string& method, const std::string& request,
                     std::chrono::milliseconds timeout);
std::string hmac_sha256(std::string_view key, std::string_view text);

/// Whether OpenSSL can read the keys, and certificate and private key belong together. (A
/// server of gRPC that gets its connections from elsewhere would start with any keys.)
bool is_pair(const TlsKeys& keys);

}  // namespace cohort::cluster

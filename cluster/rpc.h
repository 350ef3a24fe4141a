#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "cluster/endpoint.h"
#include "cluster/pipe.h"
#include "cluster/tls.h"

namespace cohort::cluster {

/// A listening gRPC server with the control, health and reflection services.
class RpcServer {
 public:
  virtual ~RpcServer() = default;
  virtual int port() const = 0;
  /// Takes no new stream, lets those there are end for `grace`, then breaks them. After it returns
  /// no receiver runs. Called once.
  virtual void stop(std::chrono::milliseconds grace) = 0;
};

/// What the module libcohort_grpc does for this library. All of gRPC and of Protobuf's generated
/// code is in there: linking it would cost every start of every program tens of milliseconds.
struct RpcModule {
  /// Listens at a numeric address; port 0 takes a free one. Throws AlreadyExists naming a port that
  /// is in use, InvalidArgument for keys that gRPC does not take.
  std::unique_ptr<RpcServer> (*serve)(const Endpoint& address, const TlsKeys& keys,
                                      AcceptPipe accept) = nullptr;
  /// Begins a stream to a numeric address. `host` is what its certificate must be for. What goes
  /// wrong is told to the receiver's `closed`.
  std::unique_ptr<Pipe> (*connect)(const Endpoint& address, const std::string& host,
                                   const TlsKeys& keys, PipeReceiver receiver) = nullptr;
};

/// What the module exports, `extern "C"`, under the name kRpcEntry.
using RpcEntry = void (*)(RpcModule&);
inline constexpr const char* kRpcEntry = "cohort_rpc_module";

/// Loads the module on first use. Throws FailedPrecondition when this build has none.
RpcModule rpc_module();

}  // namespace cohort::cluster

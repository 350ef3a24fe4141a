#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cohort/cluster/endpoint.h"
#include "cohort/cluster/pipe.h"
#include "cohort/cluster/tls.h"
#include "cohort/core/chrono.h"

namespace cohort::cluster {

struct RpcServerOptions {
  Address address;  ///< numeric; port 0 takes a free one
  TlsKeys keys;
  AcceptPipe accept;
  /// Connections whose peer has not been admitted (Peer::admit) are this many at most, and end
  /// after 5 s: the oldest of the address that has most of them makes way for a new one.
  size_t max_strangers = 64;
  bool reflection = false;  ///< gRPC's reflection service, which tells strangers what is here
};

/// HMAC-SHA-256 (RFC 2104) of `text`, 32 bytes.
using HmacSha256 = std::string (*)(std::string_view key, std::string_view text);

/// A listening gRPC server with the control and health services.
class RpcServer {
 public:
  virtual ~RpcServer() = default;
  virtual int port() const = 0;
  /// Takes no new stream, lets those there are end for `grace`, then breaks them. After it returns
  /// no receiver runs. Called once.
  virtual void stop(std::chrono::milliseconds grace) = 0;
};

/// Whom a client speaks with.
struct RpcTarget {
  Address address;   ///< numeric
  std::string host;  ///< what its certificate must be for
  TlsKeys keys;
};

/// What the module libcohort_grpc does for this library. All of gRPC and of Protobuf's generated
/// code is in there: linking it would cost every start of every program tens of milliseconds.
struct RpcModule {
  /// Throws AlreadyExists naming a port that is in use, InvalidArgument for keys that gRPC does not
  /// take.
  std::unique_ptr<RpcServer> (*serve)(RpcServerOptions options) = nullptr;
  /// Begins a stream. What goes wrong is told to the receiver's `closed`.
  std::unique_ptr<Pipe> (*connect)(const RpcTarget& target, PipeReceiver receiver) = nullptr;
  /// One call: sends one message to `method` ("/package.Service/Method") and returns the one that
  /// comes back, both in Protobuf's encoding. Throws what the server answers with, Unavailable when
  /// there is none, DeadlineExceeded.
  std::string (*call)(const RpcTarget& target, const std::string& method,
                      const std::string& request, std::chrono::milliseconds timeout) = nullptr;
  HmacSha256 hmac_sha256 = nullptr;
};

/// What the module exports, `extern "C"`, under the name kRpcEntry.
using RpcEntry = void (*)(RpcModule&);
inline constexpr const char* kRpcEntry = "cohort_rpc_module";

/// Loads the module on first use. Throws FailedPrecondition when this build has none.
RpcModule rpc_module();

}  // namespace cohort::cluster

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cohort/cluster/address.h"
#include "cohort/core/chrono.h"

namespace cohort::cluster {

struct HttpResponse {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

/// Called from threads of the server, several at once. Must not throw.
using HttpHandler = std::function<HttpResponse(const std::string& path)>;

/// A server of GET requests. A connection serves one of them, and is closed after 2 s or 16 KiB of
/// request; 2 are served at a time and 16 wait.
class HttpServer {
 public:
  /// Frees the port, within 0.2 s. No handler runs any more.
  virtual ~HttpServer() = default;
  virtual int port() const = 0;
};

/// What the module libcohort_http does for this library, with cpp-httplib, which links OpenSSL.
struct HttpModule {
  /// Listens at a numeric address; port 0 takes a free one. Throws AlreadyExists naming a port that
  /// is in use, FailedPrecondition for an address that is none of this machine's.
  std::unique_ptr<HttpServer> (*serve)(const Address& address, HttpHandler handler) = nullptr;
  /// The body that `path` of a numeric address has; "" when there is none within `timeout`.
  std::string (*get)(const Address& address, const std::string& path,
                     std::chrono::milliseconds timeout) = nullptr;
};

/// What the module exports, `extern "C"`, under the name kHttpEntry.
using HttpEntry = void (*)(HttpModule&);
inline constexpr const char* kHttpEntry = "cohort_http_module";

/// Loads the module on first use. Throws FailedPrecondition when this build has none.
HttpModule http_module();

}  // namespace cohort::cluster

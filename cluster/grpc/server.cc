#include <generated/control.grpc.pb.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/resource_quota.h>

#include <algorithm>
#include <deque>
#include <mutex>
#include <thread>

#include "cohort/cluster/acceptor.h"
#include "cohort/cluster/grpc/convert.h"
#include "cohort/cluster/grpc/module.h"
#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

constexpr std::chrono::milliseconds kPatience(5000);  // with strangers
constexpr int kMaxStreams = 4;                        // of one connection: a task's, health checks
constexpr size_t kMaxMemoryBytes = size_t{512} << 20;

class ServerPipe;
enum class Event { kAccept, kRead, kWrite, kFinish };
struct Tag {
  ServerPipe* pipe;
  Event event;
};

// What all streams of a server share, and outlive it with. One thread takes gRPC's events.
struct Shared {
  control::Control::AsyncService service;
  std::unique_ptr<grpc::ServerCompletionQueue> queue;
  AcceptPipe accept;  // of the events' thread
  std::unique_ptr<Acceptor> acceptor;
  std::mutex mutex;
  bool shut = false;  // guarded by mutex: no operation may start any more
};

// "10.0.0.7:51234" of "ipv4:10.0.0.7:51234", "[::1]:51234" of "ipv6:%5B::1%5D:51234".
std::string plain_peer(const std::string& peer) {
  const size_t colon = peer.find(':');
  std::string plain = peer.starts_with("ipv") ? peer.substr(colon + 1) : peer;
  for (const auto& [code, character] : {std::pair("%5B", "["), {"%5D", "]"}, {"%25", "%"}})
    if (const size_t at = plain.find(code); at != std::string::npos)
      plain.replace(at, 3, character);
  return plain;
}

// The library of the reflection service gives it to every server of a process that links it.
class WithoutReflection final : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [](const auto& plugin) {
      return dynamic_cast<grpc::reflection::ProtoServerReflectionPlugin*>(plugin.get()) != nullptr;
    });
  }
};

// The leader's end of a stream. It keeps itself while gRPC has operations of it under way.
class ServerPipe final : public Pipe, public std::enable_shared_from_this<ServerPipe> {
 public:
  explicit ServerPipe(std::shared_ptr<Shared> shared)
      : shared_(std::move(shared)), stream_(&context_) {}

  // Makes the next stream, which waits for a peer.
  static void wait_for_peer(const std::shared_ptr<Shared>& shared) {
    const auto pipe = std::make_shared<ServerPipe>(shared);
    const std::lock_guard lock(shared->mutex);
    if (shared->shut) return;
    shared->service.RequestAttend(&pipe->context_, &pipe->stream_, shared->queue.get(),
                                  shared->queue.get(), pipe->begin(pipe->accept_));
  }

  void send(Message message) override {
    const std::lock_guard lock(shared_->mutex);
    if (closing_ || ended_) return;
    outbox_.push_back(std::move(message));
    write_next();
  }

  void close() override {
    const std::lock_guard lock(shared_->mutex);
    closing_ = true;
    write_next();
  }

  void handle(Event event, bool ok) {
    if (event == Event::kAccept && ok) {
      wait_for_peer(shared_);
      const std::string peer = plain_peer(context_.peer());
      receiver_ = shared_->accept(
          shared_from_this(),
          {.address = peer, .admit = [shared = shared_, peer] { shared->acceptor->admit(peer); }});
    }
    if (event == Event::kRead && ok) receiver_.received(from_proto(in_));
    if (event == Event::kRead && !ok) {
      receiver_.closed("its connection broke");
      receiver_ = {};
    }
    std::shared_ptr<ServerPipe> last;  // released without the lock
    const std::lock_guard lock(shared_->mutex);
    if (event == Event::kWrite) writing_ = false;
    if (event == Event::kRead && !ok) closing_ = ended_ = true;
    const bool reads = event == Event::kAccept || event == Event::kRead;
    if (reads && ok && !shared_->shut) stream_.Read(&in_, begin(read_));
    if (event != Event::kAccept || ok) write_next();
    if (--under_way_ == 0) last = std::move(self_);
  }

 private:
  // The lock is held.
  void write_next() {
    if (writing_ || finishing_ || shared_->shut) return;
    if (!outbox_.empty() && !ended_) {
      writing_ = true;
      to_proto(outbox_.front(), out_);
      outbox_.pop_front();
      stream_.Write(out_, begin(write_));
    } else if (closing_) {
      finishing_ = true;
      stream_.Finish(grpc::Status::OK, begin(finish_));
    }
  }

  void* begin(Tag& tag) {
    if (under_way_++ == 0) self_ = shared_from_this();
    return &tag;
  }

  const std::shared_ptr<Shared> shared_;
  grpc::ServerContext context_;
  grpc::ServerAsyncReaderWriter<control::Message, control::Message> stream_;
  PipeReceiver receiver_;  // of the events' thread only
  control::Message in_, out_;
  Tag accept_{this, Event::kAccept}, read_{this, Event::kRead}, write_{this, Event::kWrite},
      finish_{this, Event::kFinish};
  std::deque<Message> outbox_;  // guarded by shared_->mutex, as all below
  bool writing_ = false, closing_ = false, ended_ = false, finishing_ = false;
  int under_way_ = 0;
  std::shared_ptr<ServerPipe> self_;
};

std::shared_ptr<grpc::ServerCredentials> credentials(const TlsKeys& keys) {
  if (keys.certificate.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions options(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = keys.certificate_authority;
  options.pem_key_cert_pairs.push_back({keys.private_key, keys.certificate});
  return grpc::SslServerCredentials(options);
}

class GrpcServer final : public RpcServer {
 public:
  explicit GrpcServer(RpcServerOptions options) {
    if (!options.keys.certificate.empty() && !is_pair(options.keys))
      throw InvalidArgument("server: gRPC takes no such TLS keys; are they a pair?");
    shared_->accept = std::move(options.accept);
    shared_->acceptor = std::make_unique<Acceptor>(Acceptor::Options{
        .address = options.address, .max_strangers = options.max_strangers, .patience = kPatience});
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS,
                               static_cast<int>(kPatience.count()));
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreams);
    if (!options.reflection) builder.SetOption(std::make_unique<WithoutReflection>());
    builder.SetMaxReceiveMessageSize(static_cast<int>(kMaxMessageBytes));
    builder.SetResourceQuota(grpc::ResourceQuota("cohort").Resize(kMaxMemoryBytes));
    builder.RegisterService(&shared_->service);
    connections_ = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        credentials(options.keys));
    shared_->queue = builder.AddCompletionQueue();
    server_ = builder.BuildAndStart();
    if (!server_)
      throw InvalidArgument("server: gRPC does not start at {}", options.address.to_string());
    ServerPipe::wait_for_peer(shared_);
    thread_ = std::thread([this] { run(); });
    shared_->acceptor->start([this](int connection) {
      grpc::experimental::ExternalConnectionAcceptor::NewConnectionParameters fresh;
      fresh.fd = connection;
      connections_->HandleNewConnection(&fresh);
    });
  }

  ~GrpcServer() override { stop(std::chrono::milliseconds(0)); }

  int port() const override { return shared_->acceptor->port(); }

  void stop(std::chrono::milliseconds grace) override {
    if (!thread_.joinable()) return;
    shared_->acceptor->stop();
    server_->Shutdown(std::chrono::system_clock::now() + grace);
    {
      const std::lock_guard lock(shared_->mutex);
      shared_->shut = true;
    }
    shared_->queue->Shutdown();
    thread_.join();
    shared_->accept = {};
  }

 private:
  void run() {
    void* tag = nullptr;
    bool ok = false;
    while (shared_->queue->Next(&tag, &ok)) {
      const Tag& mine = *static_cast<Tag*>(tag);
      mine.pipe->handle(mine.event, ok);
    }
  }

  const std::shared_ptr<Shared> shared_ = std::make_shared<Shared>();
  std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> connections_;
  std::unique_ptr<grpc::Server> server_;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<RpcServer> serve_rpc(RpcServerOptions options) {
  return std::make_unique<GrpcServer>(std::move(options));
}

}  // namespace cohort::cluster

#include <generated/control.grpc.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "cohort/cluster/grpc/convert.h"
#include "cohort/cluster/grpc/module.h"
#include "cohort/core/error.h"

namespace cohort::cluster {
namespace {

constexpr std::chrono::milliseconds kGrace(2000);  // for the leader to see the end of the stream

std::shared_ptr<grpc::Channel> open_channel(const RpcTarget& to) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(static_cast<int>(kMaxMessageBytes));
  const bool v6 = to.address.host.find(':') != std::string::npos;
  const std::string target = (v6 ? "ipv6:" : "ipv4:") + to.address.to_string();
  if (to.keys.certificate.empty())
    return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  arguments.SetSslTargetNameOverride(to.host);
  const grpc::SslCredentialsOptions options{.pem_root_certs = to.keys.certificate_authority,
                                            .pem_private_key = to.keys.private_key,
                                            .pem_cert_chain = to.keys.certificate};
  return grpc::CreateCustomChannel(target, grpc::SslCredentials(options), arguments);
}

// gRPC's codes are ours, and one more.
Code code_of(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::UNAUTHENTICATED
             ? Code::kPermissionDenied
             : static_cast<Code>(status.error_code());
}

// The task's end of a stream. One thread takes gRPC's events; an operation is under way from its
// start to its event, and none starts after kFinish.
class ClientPipe final : public Pipe {
 public:
  ClientPipe(std::shared_ptr<grpc::Channel> channel, PipeReceiver receiver)
      : receiver_(std::move(receiver)), stub_(control::Control::NewStub(channel)) {
    stream_ = stub_->PrepareAsyncAttend(&context_, &queue_);
    stream_->StartCall(tag(kStart));
    thread_ = std::thread([this] { run(); });
  }

  ~ClientPipe() override {
    close();
    {
      std::unique_lock lock(mutex_);
      ended_.wait_for(lock, kGrace, [&] { return finished_; });
    }
    context_.TryCancel();
    thread_.join();
  }

  void send(Message message) override {
    const std::lock_guard lock(mutex_);
    if (closing_ || finishing_) return;
    outbox_.push_back(std::move(message));
    write_next();
  }

  void close() override {
    const std::lock_guard lock(mutex_);
    if (closing_) return;
    closing_ = true;
    write_next();
  }

 private:
  enum Event : intptr_t { kStart = 1, kRead, kWrite, kEndOfWrites, kFinish };
  static void* tag(Event event) { return reinterpret_cast<void*>(event); }

  // mutex_ is held.
  void write_next() {
    if (!started_ || writing_ || finishing_ || writes_ended_) return;
    if (!outbox_.empty()) {
      writing_ = true;
      to_proto(outbox_.front(), out_);
      outbox_.pop_front();
      stream_->Write(out_, tag(kWrite));
    } else if (closing_) {
      writes_ended_ = true;
      stream_->WritesDone(tag(kEndOfWrites));
    }
  }

  void run() {
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) handle(static_cast<Event>(reinterpret_cast<intptr_t>(tag)), ok);
  }

  void handle(Event event, bool ok) {
    if (event == kRead && ok) receiver_.received(from_proto(in_));
    if (event == kFinish) {
      receiver_.closed(status_.ok() ? "it ended the connection" : status_.error_message());
      queue_.Shutdown();
    }
    const std::lock_guard lock(mutex_);
    switch (event) {
      case kStart:
        started_ = ok;
        read_or_finish(ok);
        if (ok) write_next();
        break;
      case kRead:
        read_or_finish(ok);
        break;
      case kWrite:
        writing_ = false;
        if (ok) write_next();
        break;
      case kEndOfWrites:
        break;
      case kFinish:
        finished_ = true;
        ended_.notify_all();
    }
  }

  void read_or_finish(bool ok) {
    if (ok) return stream_->Read(&in_, tag(kRead));
    finishing_ = true;
    stream_->Finish(&status_, tag(kFinish));
  }

  const PipeReceiver receiver_;
  const std::unique_ptr<control::Control::Stub> stub_;
  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<control::Message, control::Message>> stream_;
  grpc::Status status_;
  control::Message in_, out_;

  std::mutex mutex_;
  std::condition_variable ended_;
  std::deque<Message> outbox_;  // guarded by mutex_, as all below
  bool started_ = false, writing_ = false, writes_ended_ = false;
  bool closing_ = false, finishing_ = false, finished_ = false;
  std::thread thread_;
};

}  // namespace

std::unique_ptr<Pipe> connect_rpc(const RpcTarget& target, PipeReceiver receiver) {
  return std::make_unique<ClientPipe>(open_channel(target), std::move(receiver));
}

std::string call_rpc(const RpcTarget& target, const std::string& method, const std::string& request,
                     std::chrono::milliseconds timeout) {
  grpc::GenericStub stub(open_channel(target));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + timeout);
  grpc::CompletionQueue queue;
  const grpc::Slice slice(request);
  const grpc::ByteBuffer out(&slice, 1);
  const auto call = stub.PrepareUnaryCall(&context, method, out, &queue);
  grpc::ByteBuffer in;
  grpc::Status status;
  call->StartCall();
  call->Finish(&in, &status, nullptr);
  void* tag = nullptr;
  bool ok = false;
  queue.Next(&tag, &ok);
  if (!status.ok())
    throw Error(code_of(status),
                method + " at " + target.address.to_string() + ": " + status.error_message());
  grpc::Slice answer;
  if (!in.DumpToSingleSlice(&answer).ok()) throw DataLoss("{}: got a broken answer", method);
  return std::string(reinterpret_cast<const char*>(answer.begin()), answer.size());
}

}  // namespace cohort::cluster

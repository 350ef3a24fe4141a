#include "cluster/leader.h"

#include "cluster/session.h"

namespace cohort::cluster {
namespace {

constexpr std::chrono::milliseconds kTick(100);
constexpr std::chrono::milliseconds kGrace(2000);
constexpr std::chrono::milliseconds kLinger(2000);  // after a failure, for those that start late

}  // namespace

Leader::Leader(Coordinator::Options options, const std::string& address, const TlsOptions& tls,
               bool listen_alone)
    : coordinator_(std::make_shared<Coordinator>(options)),
      gone_("cluster: the leader " + options.tasks.front().to_string() + " has ended"),
      address_(address) {
  if (options.tasks.size() > 1 || listen_alone) {
    const Address named = parse_address(address);
    server_ = rpc_module().serve(
        resolve(named).front(), read_tls_keys(tls),
        [coordinator = coordinator_](std::shared_ptr<Pipe> pipe, const std::string& peer) {
          return serve_task(coordinator, std::move(pipe), peer);
        });
    address_ = Address{named.host, server_->port()}.to_string();
  }
  clock_ = std::thread([this] { tick(); });
}

Leader::~Leader() {
  if (server_ && coordinator_->error()) {
    std::unique_lock lock(mutex_);
    const auto until = std::chrono::steady_clock::now() + kLinger;
    while (!coordinator_->all_told() && std::chrono::steady_clock::now() < until)
      changed_.wait_for(lock, kTick);
  }
  coordinator_->fail(Error(Code::kUnavailable, gone_));
  if (server_) server_->stop(kGrace);
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    changed_.notify_all();
  }
  clock_.join();
}

void Leader::tick() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    coordinator_->tick();
    changed_.wait_for(lock, kTick, [&] { return ending_; });
  }
}

}  // namespace cohort::cluster

#include "cohort/cluster/leader.h"

#include "cohort/cluster/handshake.h"
#include "cohort/cluster/session.h"
#include "cohort/cluster/shared_secret.h"

namespace cohort::cluster {
namespace {

constexpr std::chrono::milliseconds kTick(100);
constexpr std::chrono::milliseconds kGrace(2000);
constexpr size_t kStrangers = 64;  // and two of each task, which looks before it speaks
constexpr std::chrono::milliseconds kLinger(2000);  // after a failure, for those that start late

}  // namespace

Leader::Leader(Coordinator::Options options, const LeaderOptions& serving)
    : coordinator_(std::make_shared<Coordinator>(options)),
      gone_("cluster: the leader " + options.tasks.front().to_string() + " has ended"),
      address_(serving.address) {
  if (options.tasks.size() > 1 || serving.listen_alone) listen(options, serving);
  clock_ = std::thread([this] { tick(); });
}

void Leader::listen(const Coordinator::Options& options, const LeaderOptions& serving) {
  const Address named = parse_address(serving.address);
  Address address = resolve(named, serving.advice_on_names).front();
  const RpcModule rpc = rpc_module();
  server_ = rpc.serve(
      {.address = address,
       .keys = read_tls_keys(serving.tls),
       .accept =
           guard({.credentials = {serving.secret, options.job_id, rpc.hmac_sha256},
                  .accept =
                      [coordinator = coordinator_](std::shared_ptr<Pipe> pipe, Peer peer) {
                        return serve_task(coordinator, std::move(pipe), std::move(peer));
                      },
                  .refused = [coordinator = coordinator_](
                                 const Task& task,
                                 const std::string& peer) { coordinator->refused(task, peer); }}),
       .max_strangers = kStrangers + 2 * options.tasks.size(),
       .reflection = serving.reflection});
  address.port = server_->port();
  if (serving.share_secret) {
    shared_ = share_secret(address.to_string(), serving.secret);
    at_exit_.emplace([this](const Error&) { shared_->remove(); });
  }
  address_ = Address{named.host, address.port}.to_string();
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

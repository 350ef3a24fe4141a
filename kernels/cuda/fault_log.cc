#include "cohort/kernels/cuda/fault_log.h"

#include "cohort/kernels/cuda/status.h"
#include "cohort/kernels/cuda/wait.h"

namespace cohort::cuda {

FaultLog::FaultLog(std::shared_ptr<Streams> streams)
    : streams_(std::move(streams)), memory_(allocate(streams_, sizeof(Fault))) {
  cuda::check(cudaHostAlloc(reinterpret_cast<void**>(seen_.receive()), sizeof(Fault),
                            cudaHostAllocPortable),
              "cudaHostAlloc");
}

int FaultLog::add_site(Code code, const std::string& message) {
  const std::lock_guard lock(mutex_);
  const auto [it, added] = numbers_.try_emplace(message, static_cast<int>(sites_.size()) + 1);
  if (added) sites_.push_back({code, message});
  return it->second;
}

void FaultLog::join(FaultLog& peer) {
  const std::lock_guard lock(mutex_);
  peers_.insert(&peer);
}

void FaultLog::check() {
  std::optional<Error> error = take();
  if (!error) return;
  std::set<FaultLog*> peers;
  {
    const std::lock_guard lock(mutex_);
    peers = peers_;
  }
  for (FaultLog* peer : peers)
    if (const std::optional<Error> theirs = peer->take())
      if (error->code() == Code::kCancelled) error = theirs;
  throw Error(*error);
}

/// Waits for the compute stream; what its kernels have found is forgotten.
std::optional<Error> FaultLog::take() {
  DeviceGuard guard(streams_->ordinal);
  const std::lock_guard lock(mutex_);
  cuda::check(
      cudaMemcpyAsync(seen_, device(), sizeof(Fault), cudaMemcpyDeviceToHost, streams_->compute),
      "cudaMemcpyAsync");
  wait_for_compute(*streams_);
  const Fault fault = *seen_.get();
  if (fault.site == 0) return {};
  cuda::check(cudaMemsetAsync(device(), 0, sizeof(Fault), streams_->compute), "cudaMemsetAsync");
  if (fault.site == Fault::kElsewhere)
    return Cancelled("gpu:{}: another replica failed, and no replica took the step",
                     streams_->index);
  const Site& site = sites_[static_cast<size_t>(fault.site) - 1];
  return Error(site.code,
               fmt::format(fmt::runtime(site.message), fmt::arg("got", fault.got),
                           fmt::arg("index", fault.index), fmt::arg("limit", fault.limit)));
}

}  // namespace cohort::cuda

#include "cohort/kernels/cuda/fault_log.h"

#include "cohort/kernels/cuda/status.h"

namespace cohort::cuda {

FaultLog::FaultLog(std::shared_ptr<Streams> streams)
    : streams_(std::move(streams)), memory_(allocate(streams_, sizeof(Fault))) {
  cuda::check(cudaHostAlloc(reinterpret_cast<void**>(seen_.receive()), sizeof(Fault),
                            cudaHostAllocPortable),
              "cudaHostAlloc");
}

int FaultLog::add_site(Code code, const std::string& message) {
  const auto [it, added] = numbers_.try_emplace(message, static_cast<int>(sites_.size()) + 1);
  if (added) sites_.push_back({code, message});
  return it->second;
}

void FaultLog::check() {
  cuda::check(
      cudaMemcpyAsync(seen_, device(), sizeof(Fault), cudaMemcpyDeviceToHost, streams_->compute),
      "cudaMemcpyAsync");
  cuda::check(cudaStreamSynchronize(streams_->compute), "synchronize");
  const Fault fault = *seen_.get();
  if (fault.site == 0) return;
  cuda::check(cudaMemsetAsync(device(), 0, sizeof(Fault), streams_->compute), "cudaMemsetAsync");
  const Site& site = sites_[static_cast<size_t>(fault.site) - 1];
  throw Error(site.code,
              fmt::format(fmt::runtime(site.message), fmt::arg("got", fault.got),
                          fmt::arg("index", fault.index), fmt::arg("limit", fault.limit)));
}

}  // namespace cohort::cuda

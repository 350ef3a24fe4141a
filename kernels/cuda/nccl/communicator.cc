#include "cohort/kernels/cuda/nccl/communicator.h"

#include "cohort/kernels/cuda/nccl/requests.h"
#include "cohort/kernels/cuda/status.h"

namespace cohort::cuda {
namespace {

int ordinal_of(const Device& device) { return static_cast<const CudaDevice&>(device).ordinal(); }

class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(std::shared_ptr<Group> group, CudaDevice& device, int rank)
      : group_(std::move(group)), device_(device), rank_(rank) {
    monitor_ = device.streams()->monitors.add(
        [group = group_.get(), rank](std::chrono::milliseconds waited) {
          group->watch(rank, waited);
        });
  }

  int rank() const override { return rank_; }
  int size() const override { return group_->size(); }
  std::shared_ptr<void> allocate_bucket(size_t bytes) override { return device_.allocate(bytes); }

  void abort(const Error& error) override { group_->abort(error); }
  bool reset() override { return group_->reset(); }

 private:
  std::unique_ptr<Request> do_prepare(const CollectiveSpec& spec) override {
    if (spec.wire_dtype)
      throw Unimplemented("{}: got the dtype {} for the way between GPUs; want the sums' own",
                          collective_name(spec.kind), *spec.wire_dtype);
    return make_nccl_request(group_, device_, rank_, spec);
  }
  std::unique_ptr<Communicator> do_split(std::string_view axis, int) override {
    throw Unimplemented("split: got the axis \"{}\" in a group of NCCL; want the axis \"{}\" alone",
                        axis, this->axis());
  }

  std::shared_ptr<Group> group_;
  CudaDevice& device_;
  int rank_;
  std::shared_ptr<MonitoredWait::Monitor> monitor_;
};

std::vector<std::unique_ptr<Communicator>> communicators_of(const std::shared_ptr<Group>& group,
                                                            std::span<Device* const> devices,
                                                            int first_rank) {
  std::vector<std::unique_ptr<Communicator>> ranks;
  join_faults(devices);
  for (Device* device : devices)
    ranks.push_back(std::make_unique<NcclCommunicator>(
        group, static_cast<CudaDevice&>(*device), first_rank + static_cast<int>(ranks.size())));
  return ranks;
}

/// The ordinals of GPUs, which give up memory that they keep for later: NCCL takes its own.
std::vector<int> prepare(std::span<Device* const> devices) {
  std::vector<int> ordinals;
  for (Device* device : devices) {
    if (device->type() != DeviceType::kGPU)
      throw InvalidArgument("NCCL: got {}; want GPUs", device->name().to_string());
    ordinals.push_back(ordinal_of(*device));
    trim_pool(*static_cast<CudaDevice*>(device)->streams());
  }
  return ordinals;
}

std::string make_id() {
  ncclUniqueId id;
  check(ncclGetUniqueId(&id), "ncclGetUniqueId");
  return {id.internal, sizeof id.internal};
}

std::string identity(const Device& device) {
  char bus[32] = {};
  const int ordinal = ordinal_of(device);
  cudaDeviceProp properties;
  check(cudaGetDeviceProperties(&properties, ordinal), "cudaGetDeviceProperties");
  check(cudaDeviceGetPCIBusId(bus, sizeof bus, ordinal), "cudaDeviceGetPCIBusId");
  std::string uuid;
  for (const char byte : properties.uuid.bytes)
    uuid += fmt::format("{:02x}", static_cast<unsigned char>(byte));
  return fmt::format("{} at {} ({})", properties.name, bus, uuid);
}

std::vector<std::unique_ptr<Communicator>> make_of_job(const JobGroup& job) {
  return communicators_of(std::make_shared<Group>(prepare(job.devices), job), job.devices,
                          job.first_rank());
}

}  // namespace

std::vector<std::unique_ptr<Communicator>> make_nccl_communicators(const LocalGroup& group) {
  return communicators_of(
      std::make_shared<Group>(prepare(group.devices), group.order, group.num_replicas),
      group.devices, 0);
}

JobCommunicators nccl_job_communicators() {
  return {.make_id = make_id, .identity = identity, .make = make_of_job};
}

}  // namespace cohort::cuda

#include "cohort/core/runtime/runtime.h"

#include <algorithm>

#include "cohort/core/runtime/cpu_device.h"

namespace cohort {

Runtime::Runtime() = default;
Runtime::~Runtime() = default;

void Runtime::add_device(std::unique_ptr<Device> device) { devices_.push_back(std::move(device)); }

void Runtime::keep(std::shared_ptr<void> owned) { kept_.push_back(std::move(owned)); }

const Runtime::BackEnd* Runtime::find_back_end(DeviceType type) const {
  for (const auto& back_end : back_ends_)
    if (back_end->type == type) return back_end.get();
  return nullptr;
}

Runtime::BackEnd& Runtime::back_end(DeviceType type) {
  if (!find_back_end(type)) back_ends_.push_back(std::make_unique<BackEnd>(BackEnd{.type = type}));
  return const_cast<BackEnd&>(*find_back_end(type));
}

void Runtime::set_communicator_factory(DeviceType type, CommunicatorFactory make) {
  back_end(type).communicators = make;
}

void Runtime::set_job_communicators(DeviceType type, JobCommunicators make) {
  back_end(type).job_communicators = make;
}

const JobCommunicators* Runtime::job_communicators(DeviceType type) const {
  const BackEnd* back_end = find_back_end(type);
  return back_end && back_end->job_communicators.identity ? &back_end->job_communicators : nullptr;
}

Runtime::CommunicatorFactory Runtime::communicator_factory(DeviceType type) const {
  const BackEnd* back_end = find_back_end(type);
  return back_end ? back_end->communicators : nullptr;
}

std::vector<Device*> Runtime::devices() const {
  std::vector<Device*> list;
  for (const auto& device : devices_) list.push_back(device.get());
  return list;
}

std::vector<Device*> Runtime::devices(DeviceType type) const {
  std::vector<Device*> list;
  for (const auto& device : devices_)
    if (device->type() == type) list.push_back(device.get());
  return list;
}

Device& Runtime::device(std::string_view name) const {
  const DeviceName wanted = DeviceName::parse(name);
  std::string known;
  for (const auto& device : devices_) {
    if (device->name().matches(wanted)) return *device;
    known += (known.empty() ? "" : ", ") + device->name().to_string();
  }
  throw InvalidArgument("device: got \"{}\"; want one of {}", name, known);
}

Device& Runtime::default_device() const {
  const std::vector<Device*> gpus = devices(DeviceType::kGPU);
  return gpus.empty() ? device("cpu:0") : *gpus.front();
}

void Runtime::set_logical_cpu_devices(int count, int threads_each) {
  if (count < 1 || threads_each < 0)
    throw InvalidArgument(
        "set_logical_cpu_devices: got {} devices of {} threads; want 1 or more of 0 or more", count,
        threads_each);
  const std::vector<Device*> current = devices(DeviceType::kCPU);
  const int threads = threads_each > 0 ? threads_each : std::max(1, num_cpu_cores() / count);
  const bool same = static_cast<int>(current.size()) == count &&
                    std::all_of(current.begin(), current.end(),
                                [&](const Device* d) { return d->num_threads() == threads; });
  if (same) return;
  check_unused("set_logical_cpu_devices", DeviceType::kCPU);
  std::erase_if(devices_, [](const auto& device) { return device->type() == DeviceType::kCPU; });
  for (int i = 0; i < count; ++i) devices_.push_back(make_cpu_device(i, threads));
}

void Runtime::set_logical_gpu_devices(int count, int64_t memory_limit_mib) {
  if (count < 1 || memory_limit_mib < 0)
    throw InvalidArgument(
        "set_logical_gpu_devices: got {} devices of {} MiB; want 1 or more of 0 or more", count,
        memory_limit_mib);
  const std::vector<Device*> present = devices(DeviceType::kGPU);
  if (present.empty() || !make_logical_gpus_)
    throw FailedPrecondition(
        "set_logical_gpu_devices: got a program without a GPU; want one (COHORT_DEVICE=gpu says "
        "why there is none)");
  if (logical_gpus_ == std::pair(count, memory_limit_mib)) return;
  check_unused("set_logical_gpu_devices", DeviceType::kGPU);
  auto made = make_logical_gpus_(present, count, memory_limit_mib);
  std::erase_if(devices_, [](const auto& device) { return device->type() == DeviceType::kGPU; });
  for (auto& device : made) devices_.push_back(std::move(device));
  logical_gpus_ = {count, memory_limit_mib};
}

void Runtime::check_unused(std::string_view what, DeviceType type) const {
  if (in_use(type))
    throw FailedPrecondition(
        "{}: got a call after a {} device was used; want it before the first model, variable or "
        "step",
        what, device_type_name(type));
}

void Runtime::record_to(TraceRecorder* recorder) {
  recorder_ = recorder;
  for (Device* device : devices()) DeviceTurn(std::span(&device, 1)).release();  // steps under way
}

void Runtime::note_job(const std::shared_ptr<const std::string>& job) {
  const std::lock_guard lock(mutex_);
  std::erase_if(jobs_, [](const auto& known) { return known.expired(); });
  jobs_.push_back(job);
}

std::shared_ptr<const std::string> Runtime::job() const {
  const std::lock_guard lock(mutex_);
  for (auto it = jobs_.rbegin(); it != jobs_.rend(); ++it)
    if (auto job = it->lock()) return job;
  return nullptr;
}

}  // namespace cohort

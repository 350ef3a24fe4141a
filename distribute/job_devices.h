#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cohort/core/runtime/communicator.h"
#include "cohort/core/runtime/job_group.h"
#include "cohort/distribute/communication_options.h"
#include "cohort/distribute/workers.h"

namespace cohort::distribute {

/// What a worker tells the others of its devices.
struct WorkerDevices {
  std::string type;                     ///< "cpu" or "gpu"
  bool named = false;                   ///< its program named them
  std::vector<std::string> identities;  ///< of physical devices; none for CPU devices

  std::string to_text() const;
  static WorkerDevices from_text(std::string_view text);
};

/// Devices [begin, end) of those that a worker sees.
struct DeviceRange {
  size_t begin = 0;
  size_t end = 0;
};

/// Which of its devices each worker takes. Workers that see the same ones and named none divide
/// them, equally and in order of worker; all others take what they see. Throws InvalidArgument, the
/// same on every worker, beginning with `strategy`: for devices of different types, fewer devices
/// than workers to divide them, and a device that two workers would use.
std::vector<DeviceRange> assign_devices(std::string_view strategy,
                                        const std::vector<WorkerDevices>& workers,
                                        const std::vector<std::string>& names);

/// Throws InvalidArgument where devices of this type cannot communicate so: NCCL is for GPUs, and
/// GPUs have nothing else.
void check_implementation(std::string_view strategy, CommunicationImplementation implementation,
                          std::string_view device_type);

/// Communicators of this worker's devices in a group of all workers' devices. Of `group`, what the
/// workers know is filled in here: processes, exchange, and the id, which the chief makes.
/// Collective.
std::vector<std::unique_ptr<Communicator>> make_job_communicators(const JobCommunicators& back_end,
                                                                  Workers& workers, JobGroup group);

}  // namespace cohort::distribute

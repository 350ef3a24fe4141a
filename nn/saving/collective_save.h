#pragma once

#include <string>

#include "cohort/checkpoint/directory_lock.h"
#include "cohort/nn/saving/checkpoint.h"
#include "cohort/nn/saving/save_job.h"

namespace cohort::nn::internal {

/// What Checkpoint::save does, on every worker. The chief takes `lock`,
/// of the directory, unless it holds it already. Throws AgreedError on all workers alike.
std::string save_collectively(const TrackedObjects& objects, const distribute::Strategy& strategy,
                              const std::shared_ptr<checkpoint::Storage>& storage,
                              const std::string& directory, const SaveOptions& options,
                              checkpoint::KeptLock& lock);
/// As far as the values that each worker writes (SaveJob::take_values): the rest is SaveJob's.
SaveJob begin_save_collectively(const TrackedObjects& objects, const distribute::Strategy& strategy,
                                const std::shared_ptr<checkpoint::Storage>& storage,
                                const std::string& directory, const SaveOptions& options,
                                checkpoint::KeptLock& lock);

}  // namespace cohort::nn::internal

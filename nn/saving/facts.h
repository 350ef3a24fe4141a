#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cohort/distribute/strategy.h"

namespace cohort::nn::internal {

using Facts = std::vector<std::pair<std::string, std::string>>;

/// What a checkpoint says of the job that saved it; distribute/job_facts.h reads it.
Facts facts_of(const distribute::Strategy& strategy);
/// Where `saved` has another value of what bits depend on, in words.
std::vector<std::string> differences(const Facts& saved, const distribute::Strategy& strategy);

}  // namespace cohort::nn::internal

#include "cohort/nn/saving/facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "cohort/core/runtime/instruction_set.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/version.h"

namespace cohort::nn::internal {
namespace {

/// The seed is compared with the state of fit.
constexpr std::array<std::string_view, 4> kBitsDependOn{"cohort", "replicas", "threads",
                                                        "instruction_set"};

const std::string* find(const Facts& facts, std::string_view name) {
  const auto found = std::find_if(facts.begin(), facts.end(),
                                  [&](const auto& fact) { return fact.first == name; });
  return found == facts.end() ? nullptr : &found->second;
}

}  // namespace

Facts facts_of(const distribute::Strategy& strategy) {
  Runtime& runtime = default_runtime();
  Facts facts{{"cohort", std::string(version())},
              {"strategy", strategy.name()},
              {"processes", std::to_string(strategy.workers().count())},
              {"replicas", std::to_string(strategy.num_replicas_in_sync())},
              {"seed", std::to_string(runtime.random_seed())},
              {"input_pipelines", std::to_string(strategy.impl().num_input_pipelines())}};
  const Device& device = runtime.device(strategy.devices().front());
  if (device.type() != DeviceType::kCPU) return facts;
  facts.emplace_back("threads", std::to_string(device.num_threads()));
  facts.emplace_back("instruction_set", instruction_set());
  return facts;
}

std::vector<std::string> differences(const Facts& saved, const distribute::Strategy& strategy) {
  const Facts here = facts_of(strategy);
  std::vector<std::string> found;
  for (const std::string_view name : kBitsDependOn) {
    const std::string* mine = find(here, name);
    const std::string* theirs = find(saved, name);
    if (mine && theirs && *mine != *theirs)
      found.push_back(fmt::format("{} is {} here and {} there", name, *mine, *theirs));
  }
  return found;
}

}  // namespace cohort::nn::internal

#include "cohort/distribute/job_facts.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "cohort/checkpoint/newest.h"
#include "cohort/core/runtime/cpu_device.h"
#include "cohort/core/runtime/instruction_set.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/wire/protobuf.h"
#include "cohort/distribute/workers.h"

namespace cohort::distribute {
namespace {

template <class T>
void read(const std::pair<std::string, std::string>& pair, std::string_view name,
          std::optional<T>& value) {
  const std::string& text = pair.second;
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (pair.first == name && error == std::errc() && end == text.data() + text.size())
    value = number;
}

constexpr const char* kInputPipelines = "input_pipelines";
constexpr const char* kInstructionSet = "instruction_set";

}  // namespace

std::vector<std::pair<std::string, std::string>> JobFacts::to_pairs() const {
  std::vector<std::pair<std::string, std::string>> pairs;
  if (replicas) pairs.emplace_back("replicas", std::to_string(*replicas));
  if (threads) pairs.emplace_back("threads", std::to_string(*threads));
  if (seed) pairs.emplace_back("seed", std::to_string(*seed));
  if (input_pipelines) pairs.emplace_back(kInputPipelines, std::to_string(*input_pipelines));
  if (instruction_set) pairs.emplace_back(kInstructionSet, *instruction_set);
  return pairs;
}

JobFacts JobFacts::from_pairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
  JobFacts facts;
  for (const auto& pair : pairs) {
    read(pair, "replicas", facts.replicas);
    read(pair, "threads", facts.threads);
    read(pair, "seed", facts.seed);
    read(pair, kInputPipelines, facts.input_pipelines);
    if (pair.first == kInstructionSet) facts.instruction_set = pair.second;
  }
  return facts;
}

std::optional<JobFacts> facts_to_resume(const std::string& resume_from) {
  const char* given = std::getenv("COHORT_RESUME_FROM");
  const std::string path = resume_from.empty() && given ? given : resume_from;
  if (path.empty()) return {};
  const auto storage = checkpoint::posix_storage();
  if (checkpoint::is_step(*storage, path))
    return JobFacts::from_pairs(checkpoint::SavedState(storage, path).manifest().facts);
  const auto newest = checkpoint::NewestFirst(storage, path).next();
  if (!newest) return {};
  return JobFacts::from_pairs(newest->manifest().facts);
}

JobFacts chiefs_facts_to_resume(Workers& workers, const std::string& resume_from) {
  wire::Writer mine;
  if (workers.is_chief())
    for (const auto& [name, value] : facts_to_resume(resume_from).value_or(JobFacts()).to_pairs()) {
      mine.write_bytes(1, name);
      mine.write_bytes(2, value);
    }
  const std::string chiefs = workers.all_gather("facts", mine.data()).front();
  std::vector<std::pair<std::string, std::string>> pairs;
  wire::Reader in(chiefs, "facts");
  while (in.next())
    if (in.field() == 1)
      pairs.emplace_back(in.read_bytes(), "");
    else if (!pairs.empty())
      pairs.back().second = in.read_bytes();
    else
      in.skip();
  return JobFacts::from_pairs(pairs);
}

void use_least_instruction_set(const char* strategy, Workers& workers) {
  const std::vector<std::string> sets =
      workers.all_gather("instruction set", std::string(instruction_set()));
  for (size_t worker = 0; worker < sets.size(); ++worker)
    if (!limit_instruction_set(sets[worker]))
      throw FailedPrecondition(
          "{}: got {} on {}, which has computed already, and {} on {}; want the strategy before "
          "anything is computed, or the environment's COHORT_SIMD={} everywhere",
          strategy, instruction_set(), workers.name(), sets[worker],
          workers.name_of(static_cast<int>(worker)), sets[worker]);
}

void adopt(Runtime& runtime, const JobFacts& facts) {
  if (facts.seed) runtime.set_random_seed(*facts.seed);
  if (facts.instruction_set) limit_instruction_set(*facts.instruction_set);
  if (facts.threads && *facts.threads > 0 && cpu_devices_are_untouched(runtime))
    runtime.set_logical_cpu_devices(1, *facts.threads);
}

int replicas_to_resume(int asked, const std::optional<JobFacts>& facts) {
  return asked == 0 && facts ? facts->replicas.value_or(0) : asked;
}

int input_pipelines_to_resume(int processes, const std::optional<JobFacts>& facts) {
  return std::max(1, facts ? facts->input_pipelines.value_or(processes) : processes);
}

bool cpu_devices_are_untouched(const Runtime& runtime) {
  const auto devices = runtime.devices(DeviceType::kCPU);
  return !runtime.in_use(DeviceType::kCPU) && devices.size() == 1 &&
         devices.front()->num_threads() == num_cpu_cores();
}

}  // namespace cohort::distribute

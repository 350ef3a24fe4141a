#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace cohort {
class Runtime;
}  // namespace cohort

namespace cohort::distribute {

class Workers;

/// What a job's bits depend on besides its program: what a checkpoint says of the job that saved
/// it, and a job that goes on from it keeps.
struct JobFacts {
  std::optional<int> replicas;  ///< logical, of the whole job
  std::optional<int> threads;   ///< of the CPU device that carries a replica; absent: a GPU
  std::optional<uint64_t> seed;
  std::optional<int> input_pipelines;  ///< of distributed datasets: processes at its beginning
  /// core/runtime/instruction_set.h; absent: a GPU
  std::optional<std::string> instruction_set;

  /// Names and values, as they stand in a checkpoint: "replicas", "threads", "seed",
  /// "input_pipelines", "instruction_set".
  std::vector<std::pair<std::string, std::string>> to_pairs() const;
  static JobFacts from_pairs(const std::vector<std::pair<std::string, std::string>>& pairs);
};

/// Of the newest checkpoint in the directory `resume_from`, or, where that is empty, in the
/// environment's COHORT_RESUME_FROM. Nothing where neither is given, or no checkpoint is there yet.
std::optional<JobFacts> facts_to_resume(const std::string& resume_from);

/// What the chief finds, on every worker; empty where it finds nothing. Collective.
JobFacts chiefs_facts_to_resume(Workers& workers, const std::string& resume_from);

/// All workers compute with the least instruction set of any, so that their bits are the same.
/// Collective. Throws FailedPrecondition for `strategy` where one has computed with a better one.
void use_least_instruction_set(const char* strategy, Workers& workers);

/// Takes the seed, the threads where the program has not chosen CPU devices of its own, and the
/// instruction set where kernels have not begun with a better one.
void adopt(Runtime& runtime, const JobFacts& facts);

/// `asked`, or, where that is 0, those of the job that goes on.
int replicas_to_resume(int asked, const std::optional<JobFacts>& facts);

/// Those of the job that goes on, or `processes`, which it begins with.
int input_pipelines_to_resume(int processes, const std::optional<JobFacts>& facts);

/// Whether nobody has chosen or used CPU devices yet.
bool cpu_devices_are_untouched(const Runtime& runtime);

}  // namespace cohort::distribute

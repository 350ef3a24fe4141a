#include "cohort/nn/saving/collective_save.h"

#include <fmt/format.h>

#include <random>

#include "cohort/checkpoint/directory_lock.h"
#include "cohort/checkpoint/reshard_plan.h"
#include "cohort/checkpoint/step_directory.h"
#include "cohort/core/wire/hash.h"
#include "cohort/core/wire/protobuf.h"
#include "cohort/nn/saving/agreement.h"
#include "cohort/nn/saving/facts.h"

// 1. The workers compare names and types. 2. The chief locks the directory and makes the step's;
// each worker reads there what the chief wrote. 3. Each writes and syncs its tensors. 4. The chief
// writes the manifest and gives the step its name. After each part all know whether all succeeded.
namespace cohort::nn::internal {
namespace {

constexpr std::string_view kNonceName = "nonce";
constexpr uint64_t kMaxNonceBytes = 64;

std::string signature(const std::vector<SavedValue>& values) {
  std::string text;
  for (const SavedValue& value : values)
    text += fmt::format("{} {} {}\n", value.name, value.dtype, value.shape);
  return wire::hash128(text).to_string();
}

std::string random_text() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}{:08x}", random(), random(), random(), random());
}

class CollectiveSave {
 public:
  CollectiveSave(const TrackedObjects& objects, const distribute::Strategy& strategy,
                 const std::shared_ptr<checkpoint::Storage>& storage, const std::string& directory,
                 const SaveOptions& options, checkpoint::KeptLock& lock)
      : strategy_(strategy),
        workers_(strategy.workers()),
        agreement_(workers_),
        directory_(directory),
        options_(options),
        lock_(lock),
        storage_(storage),
        values_(walk(objects).values) {
    if (options.training) add(*options.training);
  }

  std::string run() {
    const SaveJob job = prepare();
    try {
      const std::vector<std::string> files =
          agreement_.gather("checkpoint files", [&] { return job.write_mine(); });
      return agreement_.from_chief("checkpoint", [&] { return job.commit(files); });
    } catch (const AgreedError&) {
      job.abandon();
      throw;
    }
  }

  /// Parts 1 and 2.
  SaveJob prepare() {
    share_values();
    begin();
    SaveJob job{.storage = storage_,
                .directory = directory_,
                .saving = saving_,
                .step = step_,
                .metric = options_.metric,
                .trace_hash = options_.trace_hash,
                .facts = facts_of(strategy_),
                .values = values_,
                .writers = writers_,
                .index = workers_.index(),
                .count = workers_.count(),
                .lock = &lock_};
    try {
      if (workers_.count() > 1) check_directory_is_shared();
      return job;
    } catch (const AgreedError&) {
      job.abandon();
      throw;
    }
  }

 private:
  void add(const TrainingState& training) {
    for (const auto& [name, tensor] : training.to_tensors()) {
      checkpoint::check_tensor_name(name);
      values_.push_back({.name = name,
                         .dtype = tensor.dtype(),
                         .shape = tensor.shape(),
                         .identity = nullptr,
                         .value = [tensor = tensor] { return tensor; },
                         .assign = {}});
    }
  }

  /// Who writes what: the same on every worker.
  void share_values() {
    workers_.check_equal("names and types of what is saved", signature(values_));
    std::vector<uint64_t> bytes;
    for (const SavedValue& value : values_)
      bytes.push_back(static_cast<uint64_t>(value.shape.num_elements()) * size_of(value.dtype));
    writers_ = checkpoint::share_among(bytes, workers_.count());
    if (workers_.count() == 1) return;
    // All workers together make these whole, one at a time; who writes one keeps it.
    for (size_t i = 0; i < values_.size(); ++i) {
      if (!values_[i].is_of_all()) continue;
      Tensor made = values_[i].value();
      if (writers_[i] == workers_.index()) values_[i].value = [made] { return made; };
    }
  }

  void begin() {
    const std::string begun = agreement_.from_chief("checkpoint directory", [&] {
      checkpoint::make_directories(*storage_, directory_);
      if (!lock_.lock) lock_.lock.emplace(storage_, directory_, lock_.options);
      lock_.lock->check();
      const std::vector<uint64_t> steps = checkpoint::steps_in(*storage_, directory_);
      const uint64_t step = options_.step.value_or(steps.empty() ? 1 : steps.back() + 1);
      saving_ = checkpoint::begin_save(*storage_, directory_, step);
      nonce_ = random_text();
      if (workers_.count() > 1) checkpoint::write_file(*storage_, nonce_path(), nonce_);
      wire::Writer out;
      out.write_uint(1, step);
      out.write_bytes(2, nonce_);
      return out.take();
    });
    wire::Reader in(begun, "checkpoint directory");
    while (in.next())
      if (in.field() == 1)
        step_ = in.read_uint();
      else
        nonce_ = in.read_bytes();
    saving_ = checkpoint::saving_path(directory_, step_);
  }

  std::string nonce_path() const { return checkpoint::join_path(saving_, kNonceName); }

  void check_directory_is_shared() {
    agreement_.gather("shared checkpoint directory", [&] {
      std::string got;
      try {
        got = checkpoint::read_file(*storage_, nonce_path(), kMaxNonceBytes);
      } catch (const Error& error) {
        got = error.what();
      }
      if (got != nonce_)
        throw FailedPrecondition(
            "save: {}: got {} where the chief has just written {}; want a directory that all "
            "hosts of the job share",
            directory_, got, nonce_);
      return "";
    });
    agreement_.from_chief("shared checkpoint directory", [&] {
      storage_->remove_file(nonce_path());
      return "";
    });
  }

  const distribute::Strategy& strategy_;
  distribute::Workers& workers_;
  Agreement agreement_;
  const std::string& directory_;
  const SaveOptions& options_;
  checkpoint::KeptLock& lock_;
  const std::shared_ptr<checkpoint::Storage> storage_;
  std::vector<SavedValue> values_;
  std::vector<int> writers_;
  uint64_t step_ = 0;
  std::string saving_, nonce_;
};

}  // namespace

std::string save_collectively(const TrackedObjects& objects, const distribute::Strategy& strategy,
                              const std::shared_ptr<checkpoint::Storage>& storage,
                              const std::string& directory, const SaveOptions& options,
                              checkpoint::KeptLock& lock) {
  return CollectiveSave(objects, strategy, storage, directory, options, lock).run();
}

SaveJob begin_save_collectively(const TrackedObjects& objects, const distribute::Strategy& strategy,
                                const std::shared_ptr<checkpoint::Storage>& storage,
                                const std::string& directory, const SaveOptions& options,
                                checkpoint::KeptLock& lock) {
  CollectiveSave save(objects, strategy, storage, directory, options, lock);
  SaveJob job = save.prepare();
  try {
    Agreement(strategy.workers()).gather("values to save", [&] {
      job.take_values();
      return "";
    });
    return job;
  } catch (const AgreedError&) {
    job.abandon();
    throw;
  }
}

}  // namespace cohort::nn::internal

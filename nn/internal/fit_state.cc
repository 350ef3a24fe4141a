#include "cohort/nn/internal/fit_state.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <typeinfo>

#include "cohort/core/graph/variable.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/terminal.h"
#include "cohort/core/wire/hash.h"
#include "cohort/core/wire/protobuf.h"

namespace cohort::nn::internal {
namespace {

/// Values of more bytes are equal on all workers, or an error.
constexpr size_t kSmallBytes = size_t{1} << 16;
/// Calls of fit that room is made for at once.
constexpr size_t kFitsMore = 64;

std::string_view bytes_of(const Tensor& tensor) {
  return {static_cast<const char*>(tensor.raw()), tensor.num_bytes()};
}

/// Names, types, and the bytes or their hash.
std::string describe(const NamedTensors& values) {
  wire::Writer out;
  for (const auto& [name, value] : values) {
    const Tensor whole = value.contiguous();
    wire::Writer entry;
    entry.write_bytes(1, name);
    entry.write_uint(2, static_cast<uint64_t>(whole.dtype()));
    entry.write_packed_sint(3, whole.shape().numbers());
    if (whole.num_bytes() <= kSmallBytes)
      entry.write_bytes(4, bytes_of(whole));
    else
      entry.write_bytes(5, wire::hash128(bytes_of(whole)).to_string());
    out.write_message(1, entry);
  }
  return out.take();
}

/// What the chief says of a value: the value, or the hash of one that every worker has.
struct Entry {
  std::string name, hash;
  Tensor value;
};

Entry parse_entry(wire::Reader in) {
  Entry entry;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::string_view bytes;
  while (in.next()) {
    if (in.field() == 1)
      entry.name = in.read_bytes();
    else if (in.field() == 2)
      dtype = static_cast<DType>(in.read_uint());
    else if (in.field() == 3)
      in.read_sints(shape);
    else if (in.field() == 4)
      bytes = in.read_bytes();
    else
      entry.hash = in.read_bytes();
  }
  if (!entry.hash.empty()) return entry;
  entry.value = Tensor(dtype, Shape(std::span<const int64_t>(shape)));
  if (entry.value.num_bytes() != bytes.size())
    in.fail(fmt::format("{} bytes", bytes.size()), fmt::format("{}", entry.value.num_bytes()));
  std::copy(bytes.begin(), bytes.end(), static_cast<char*>(entry.value.raw()));
  return entry;
}

/// The chief's value.
Tensor chiefs(const Entry& entry, const NamedTensors& mine) {
  if (entry.hash.empty()) return entry.value;
  const auto found = mine.find(entry.name);
  if (found == mine.end() ||
      wire::hash128(bytes_of(found->second.contiguous())).to_string() != entry.hash)
    throw FailedPrecondition(
        "training state: {}: got {} on this worker than on the chief; want a callback that keeps "
        "the same on all workers",
        entry.name, found == mine.end() ? "nothing, other" : "another value");
  return found->second;
}

/// Says each difference, or refuses them all.
void report(const std::vector<std::string>& differences, const RestoredState& restored,
            bool is_chief) {
  if (differences.empty()) return;
  const std::string text = fmt::format("{}", fmt::join(differences, "; "));
  if (restored.exact)
    throw FailedPrecondition("fit: {}: got another call than was saved: {}; want the same",
                             restored.where, text);
  if (is_chief)
    say(stderr, fmt::format("warning: fit: {}: goes on, but not as it was saved: {}\n",
                            restored.where, text));
}

/// The saved state for each callback; null for one that begins anew. The n-th of a type is the n-th
/// that was saved of it.
std::vector<const NamedTensors*> match(const TrainingState& state,
                                       const std::vector<std::string>& types) {
  std::vector<bool> taken(state.callbacks.size());
  std::vector<const NamedTensors*> found;
  for (const std::string& type : types) {
    const NamedTensors* match = nullptr;
    for (size_t i = 0; i < taken.size() && !match; ++i) {
      if (taken[i] || state.callback_types[i] != type) continue;
      taken[i] = true;
      match = &state.callbacks[i];
    }
    found.push_back(match);
  }
  return found;
}

void check_metrics(const std::vector<Tensor>& saved, const std::vector<Tensor>& wanted) {
  bool equal = saved.empty() || saved.size() == wanted.size();
  for (size_t i = 0; equal && i < saved.size(); ++i)
    equal = saved[i].dtype() == wanted[i].dtype() && saved[i].shape() == wanted[i].shape();
  if (!equal)
    throw InvalidArgument(
        "fit: got the state of {} values of metrics; want {}, of the types that the model's "
        "metrics have: compile() it with the metrics that it was saved with",
        saved.size(), wanted.size());
}

}  // namespace

FitNumber::FitNumber(ModelImpl& model, bool counts)
    : model_(model), counts_(counts), value_(counts ? model.fits_begun++ : -1) {}

FitNumber::~FitNumber() {
  if (counts_ && !finished_) finish({});
}

void FitNumber::finish(FinishedFit fit) {
  finished_ = true;
  if (!counts_) return;
  std::vector<FinishedFit>& fits = model_.finished_fits;
  if (fits.size() == fits.capacity()) fits.reserve(fits.size() + kFitsMore);
  fits.resize(static_cast<size_t>(value_));
  fits.push_back(std::move(fit));
}

std::vector<std::string> types_of(const std::vector<Callback>& callbacks) {
  std::vector<std::string> types;
  for (const Callback& callback : callbacks) {
    const CallbackImpl& impl = callback.impl();
    types.emplace_back(typeid(impl).name());
  }
  return types;
}

NamedTensors state_of(const Callback& callback) {
  NamedTensors state;
  callback.impl().save_state(state);
  return state;
}

std::vector<NamedTensors> states_of(const std::vector<Callback>& callbacks) {
  std::vector<NamedTensors> states;
  for (const Callback& callback : callbacks) states.push_back(state_of(callback));
  return states;
}

History history_of(const NamedTensors& state) {
  History history;
  history.impl().load_state(state);
  return history;
}

TrainingState agreed(distribute::Workers& workers, const TrainingState& mine) {
  if (workers.count() == 1) return mine;
  const NamedTensors values = mine.to_tensors();
  const std::vector<std::string> all = workers.all_gather("training state", describe(values));
  NamedTensors agreed;
  wire::Reader in(all.front(), "training state");
  while (in.next()) {
    const Entry entry = parse_entry(in.read_message());
    agreed.set(entry.name, chiefs(entry, values));
  }
  return TrainingState::from_tensors(agreed, "training state");
}

void take_numbers(const TrainingState& state, ModelImpl& model) {
  default_runtime().set_random_seed(state.seed);
  model.strategy().impl().commits()->assign(Tensor::scalar(state.commit_number));
}

void load(const RestoredState& restored, ModelImpl& model, LoopMetrics& metrics,
          const std::vector<std::string>& files, const FitOptions& options) {
  const TrainingState& state = restored.state;
  const std::vector<Callback>& callbacks = options.callbacks;
  const std::vector<std::string> types = types_of(callbacks);
  std::vector<std::string> differences = restored.differences;
  if (const uint64_t seed = default_runtime().random_seed(); seed != state.seed)
    differences.push_back(
        fmt::format("the seed is {} here and {} there, which is taken", seed, state.seed));
  if (options.epochs != state.epochs)
    differences.push_back(
        fmt::format("epochs is {} here and {} there", options.epochs, state.epochs));
  if (types != state.callback_types)
    differences.push_back(
        fmt::format("callbacks are [{}] here and [{}] there; those that are not in both begin anew",
                    fmt::join(types, ", "), fmt::join(state.callback_types, ", ")));
  if (const auto equal = static_cast<size_t>(
          std::mismatch(files.begin(), files.end(), state.files.begin(), state.files.end()).first -
          files.begin());
      equal < std::max(files.size(), state.files.size()))
    differences.push_back(fmt::format("file {} of the data is \"{}\" here and \"{}\" there",
                                      equal + 1, equal < files.size() ? files[equal] : "",
                                      equal < state.files.size() ? state.files[equal] : ""));
  report(differences, restored, model.strategy().is_chief());
  check_metrics(state.metrics, metrics.states_now());
  take_numbers(state, model);
  metrics.restore(state.metrics);
  const std::vector<const NamedTensors*> saved = match(state, types);
  for (size_t i = 0; i < callbacks.size(); ++i)
    if (saved[i]) callbacks[i].impl().load_state(*saved[i]);
}

}  // namespace cohort::nn::internal

#include "cohort/distribute/placement/mirrored.h"

#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/slices.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/runtime/passes.h"
#include "cohort/core/symbol.h"

namespace cohort::distribute {
namespace {

/// The rows that each replica gives to a gather of these slices; 0: they are better added as a
/// dense tensor. A ring sends (R - 1) / R of all that is gathered, and twice that part of a dense
/// tensor.
int64_t rows_to_gather(const Slices& slices, const StepRows& step) {
  const int64_t replicas = step.num_replicas;
  Dim rows = slices.indices.shape()[0];
  if (step.batch_size > 0)
    rows = bind(rows, {{batch_dim().symbol(), (step.batch_size + replicas - 1) / replicas}});
  if (rows.is_symbol() || slices.dense_shape[0].number() > ops::kLargestTable) return 0;
  const int64_t row_bytes = slices.dense_shape.num_elements(1, slices.dense_shape.rank()) *
                            static_cast<int64_t>(size_of(slices.values.dtype()));
  const int64_t gathered =
      replicas * rows.number() * (row_bytes + static_cast<int64_t>(size_of(DType::kI32)));
  return gathered < 2 * slices.dense_shape[0].number() * row_bytes ? rows.number() : 0;
}

Slices gather_over_replicas(const Slices& slices, int64_t rows) {
  Slices all = ops::pad_slices(slices, rows);
  all.indices = ops::all_gather(all.indices, 0);
  all.values = ops::all_gather(all.values, 0);
  return ops::combine_slices(all, rows);
}

}  // namespace

std::vector<Gradient> MirroredLowering::reduce(ops::ReduceOp op, const std::vector<Term>& terms) {
  std::vector<Gradient> reduced(terms.size());
  std::vector<Value> together;
  std::vector<size_t> places;
  const auto add = [&](size_t i) {
    if (terms[i].value.is_slices())
      if (const int64_t most = rows_to_gather(terms[i].value.slices(), rows_); most > 0) {
        reduced[i] = gather_over_replicas(terms[i].value.slices(), most);
        return;
      }
    together.push_back(terms[i].value.dense());
    places.push_back(i);
  };
  const auto is_gradient = [&](size_t i) { return terms[i].role == ops::Role::kGradient; };
  for (size_t i = 0; i < terms.size(); ++i)
    if (is_gradient(i)) add(i);
  const auto gradients = static_cast<int64_t>(together.size());
  for (size_t i = 0; i < terms.size(); ++i)
    if (!is_gradient(i)) add(i);
  if (together.empty()) return reduced;
  together = ops::all_reduce(together, op, gradients);
  for (size_t k = 0; k < places.size(); ++k) reduced[places[k]] = together[k];
  return reduced;
}

std::vector<Value> MirroredLowering::once_on_each_device(std::vector<Value> values,
                                                         const std::vector<int64_t>& firsts) const {
  const auto num_devices = static_cast<int64_t>(firsts.size());
  if (num_devices == rows_.num_replicas) return values;
  const Value is_first =
      ops::reduce_any(ops::equal(ops::step_info(ops::StepField::kReplicaId),
                                 ops::constant(Tensor::from(firsts, Shape{num_devices}))));
  for (Value& value : values) value = ops::where(is_first, value, ops::scalar(0, value.dtype()));
  return values;
}

Trace place_mirrored(const Trace& trace, const StepRows& rows) {
  if (rows.num_replicas > 1) return MirroredLowering(trace, rows).run();
  return with_function(trace, drop_reductions(*trace.graph, trace.outputs));
}

}  // namespace cohort::distribute

#include "cohort/distribute/placement/mirrored.h"

#include "cohort/core/ops/collective.h"
#include "cohort/core/ops/constant.h"
#include "cohort/core/ops/indexing.h"
#include "cohort/core/ops/math.h"
#include "cohort/core/ops/reduce.h"
#include "cohort/core/ops/slices.h"
#include "cohort/core/ops/state.h"
#include "cohort/core/runtime/passes.h"
#include "cohort/core/symbol.h"

namespace cohort::distribute {
namespace {

/// The rows that each replica gives to a gather of these slices; 0: they are better added as a
/// dense tensor, or must be. A ring sends (R - 1) / R of all that is gathered, and twice that part
/// of a dense tensor.
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

/// 1 for each row [K of the table] that slices have at all, added up where they have it again.
Value rows_present(const Slices& slices) {
  const Value of_each =
      ops::cast(ops::greater_equal(slices.indices, ops::zeros_like(slices.indices)), DType::kF32);
  return ops::slices_to_dense({slices.indices, of_each, Shape{slices.dense_shape[0]}});
}

/// All rows of a table, of which those that no replica has are kNoRow.
Slices present_of(Value table, Value present) {
  Tensor numbers(DType::kI32, Shape{table.shape()[0].number()});
  for (int64_t row = 0; row < numbers.num_elements(); ++row)
    numbers.data<int32_t>()[row] = static_cast<int32_t>(row);
  const Value is_there = ops::greater(present, ops::zeros_like(present));
  return {ops::where(is_there, ops::constant(numbers), ops::scalar(ops::kNoRow, DType::kI32)),
          table, table.shape()};
}

}  // namespace

std::vector<Gradient> MirroredLowering::reduce(ops::ReduceOp op, const std::vector<Term>& terms) {
  std::vector<Gradient> reduced(terms.size());
  std::vector<Value> together;
  std::vector<size_t> places;
  std::vector<size_t> with_presence;  // terms whose rows are added as dense tensors, yet known
  const auto add = [&](size_t i) {
    if (terms[i].value.is_slices())
      if (const int64_t most = rows_to_gather(terms[i].value.slices(), rows_); most > 0) {
        reduced[i] = gather_over_replicas(terms[i].value.slices(), most);
        return;
      }
    if (terms[i].stays_slices) with_presence.push_back(i);
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
  for (const size_t i : with_presence) together.push_back(rows_present(terms[i].value.slices()));
  together = ops::all_reduce(together, op, gradients);
  for (size_t k = 0; k < places.size(); ++k) reduced[places[k]] = together[k];
  for (size_t k = 0; k < with_presence.size(); ++k) {
    Gradient& table = reduced[with_presence[k]];
    table = present_of(table.dense(), together[places.size() + k]);
  }
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

#include <cctype>
#include <cstring>

#include "cohort/distribute/context.h"
#include "cohort/distribute/elementwise.h"
#include "cohort/distribute/strategy.h"

namespace cohort::distribute {

PerReplica::PerReplica(std::vector<Tensor> values, bool batched)
    : values_(std::move(values)), batched_(batched) {}

Argument::Argument(PerReplica value) : value_(std::move(value)) {}
Argument::Argument(const Tensor& value) : value_(PerReplica({value})), same_(true) {}

std::vector<Tensor> Strategy::local_results(const PerReplica& value) const {
  return value.values();
}
std::vector<Tensor> Strategy::local_results(const Tensor& value) const { return {value}; }

namespace {

/// The values of all replicas, given those of this process.
std::vector<Tensor> values_of_all(const Strategy& strategy, const PerReplica& local,
                                  const char* what) {
  require_cross_replica_context(what);
  if (local.size() != strategy.num_local_replicas())
    throw InvalidArgument("{}: got {} values; want one for each of {} replicas", what, local.size(),
                          strategy.num_local_replicas());
  return strategy.workers().all_gather(what, local.values());
}

/// What is added for a mean: integers as f64, whose sum neither wraps nor is cut off.
std::vector<Tensor> numbers_of(ReduceOp op, std::vector<Tensor> values) {
  const DType dtype = values.front().dtype();
  if (op != ReduceOp::kMean || is_floating(dtype)) return values;
  for (Tensor& value : values)
    if (value.dtype() == dtype) value = value.cast(DType::kF64);
  return values;
}

/// Adds, or takes the larger or smaller, of values over replicas, in replica order.
Tensor combine(ReduceOp op, const std::vector<Tensor>& values) {
  Tensor total = values.front().clone();
  for (size_t r = 1; r < values.size(); ++r) {
    if (values[r].dtype() != total.dtype() || values[r].shape() != total.shape())
      throw InvalidArgument(
          "reduce: got {} {} on replica 0 and {} {} on replica {}; want equal types", total.dtype(),
          total.shape(), values[r].dtype(), values[r].shape(), r);
    const Tensor other = values[r].contiguous();
    reduce_into(total.raw(), other.raw(), total.num_elements(), total.dtype(), op);
  }
  return total;
}

Tensor divide(const Tensor& sum, double count) {
  Tensor mean = sum.clone();
  visit_dtype(sum.dtype(), [&](auto tag) {
    using T = decltype(tag);
    if constexpr (!std::is_same_v<T, bool>)
      for (int64_t i = 0; i < mean.num_elements(); ++i)
        mean.data<T>()[i] = static_cast<T>(static_cast<double>(mean.data<T>()[i]) / count);
  });
  return mean;
}

/// `value` reduced along `axis` (the mean's sum); undefined for no elements of a maximum or
/// minimum.
Tensor along_axis(ReduceOp op, const Tensor& value, int axis) {
  Shape shape = value.shape();
  shape[axis] = Dim(1);
  const int64_t count = value.size(axis);
  const bool adds = op == ReduceOp::kSum || op == ReduceOp::kMean;
  if (count == 0 && !adds) return {};
  Tensor total = count == 0 ? Tensor(value.dtype(), shape) : value.slice(axis, 0, 1).clone();
  for (int64_t i = 1; i < count; ++i) {
    const Tensor part = value.slice(axis, i, i + 1).contiguous();
    reduce_into(total.raw(), part.raw(), total.num_elements(), total.dtype(), op);
  }
  std::vector<int64_t> kept;
  for (int a = 0; a < value.rank(); ++a)
    if (a != axis) kept.push_back(value.size(a));
  return total.reshape(kept);
}

}  // namespace

Tensor Strategy::reduce(ReduceOp op, const PerReplica& value) const {
  const std::vector<Tensor> values = numbers_of(op, values_of_all(*this, value, "reduce"));
  const Tensor total = combine(op, values);
  return op == ReduceOp::kMean ? divide(total, static_cast<double>(values.size())) : total;
}

Tensor Strategy::reduce(ReduceOp op, const PerReplica& value, int64_t axis) const {
  std::vector<Tensor> partial;
  int64_t count = 0;
  for (const Tensor& v : numbers_of(op, values_of_all(*this, value, "reduce"))) {
    const int at = v.shape().axis(axis, "reduce");
    count += v.size(at);
    if (Tensor part = along_axis(op, v, at); part.defined()) partial.push_back(part);
  }
  if (partial.empty())
    throw InvalidArgument("reduce: got no elements on axis {}; want one or more", axis);
  const Tensor total = combine(op, partial);
  return op == ReduceOp::kMean ? divide(total, static_cast<double>(count)) : total;
}

Tensor Strategy::reduce(const std::string& op, const PerReplica& value) const {
  std::string name = op;
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (name == "sum") return reduce(ReduceOp::kSum, value);
  if (name == "mean") return reduce(ReduceOp::kMean, value);
  if (name == "max") return reduce(ReduceOp::kMax, value);
  if (name == "min") return reduce(ReduceOp::kMin, value);
  throw InvalidArgument("reduce: got op \"{}\"; want sum, mean, max or min", op);
}

Tensor Strategy::reduce(ReduceOp op, const Tensor& value) const {
  return reduce(op,
                PerReplica(std::vector<Tensor>(static_cast<size_t>(num_local_replicas()), value)));
}

Tensor Strategy::gather(const PerReplica& value, int64_t axis) const {
  const std::vector<Tensor> values = values_of_all(*this, value, "gather");
  const Shape first = values[0].shape();
  const int at = first.axis(axis, "gather");
  int64_t total = 0;
  for (size_t r = 0; r < values.size(); ++r) {
    Shape shape = values[r].shape();
    const bool same_rank = shape.rank() == first.rank();
    if (same_rank) total += shape.size(at);
    if (same_rank) shape[at] = first[at];
    if (shape != first || values[r].dtype() != values[0].dtype())
      throw InvalidArgument(
          "gather: Shape mismatch: got {} on replica 0 and {} on replica {}; want dimensions equal "
          "but on axis {}",
          first, values[r].shape(), r, at);
  }
  Shape shape = first;
  shape[at] = Dim(total);
  Tensor all(values[0].dtype(), shape);
  const int64_t outer = shape.num_elements(0, at), inner = shape.num_elements(at + 1, shape.rank());
  const size_t element = size_of(all.dtype());
  int64_t column = 0;
  for (size_t r = 0; r < values.size(); ++r) {
    const Tensor part = values[r].contiguous();
    const int64_t width = part.size(at);
    for (int64_t o = 0; o < outer && width * inner > 0; ++o)
      std::memcpy(
          static_cast<char*>(all.raw()) +
              static_cast<size_t>((o * total + column) * inner) * element,
          static_cast<const char*>(part.raw()) + static_cast<size_t>(o * width * inner) * element,
          static_cast<size_t>(width * inner) * element);
    column += width;
  }
  return all;
}

PerReplica Strategy::distribute_values_from_function(const std::function<Tensor(int)>& make) const {
  std::vector<Tensor> values;
  for (int r = 0; r < num_local_replicas(); ++r) values.push_back(make(impl_->first_replica() + r));
  return PerReplica(std::move(values));
}

}  // namespace cohort::distribute

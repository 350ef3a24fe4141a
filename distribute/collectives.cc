#include "cohort/distribute/collectives.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "cohort/distribute/elementwise.h"

namespace cohort::distribute {
namespace {

constexpr size_t kRemembered = 64;
constexpr int kMaxDims = 8;

/// What ranks tell each other before tensors of unequal shapes meet.
struct ShapeRecord {
  int32_t dtype = 0, num_dims = 0;
  int64_t dims[kMaxDims] = {};
};

void want_row_major(const Tensor& tensor, const char* what) {
  if (!tensor.defined() || !tensor.is_contiguous())
    throw InvalidArgument("{}: got {}; want a row-major tensor", what,
                          tensor.defined() ? "a strided view" : "no tensor");
}

void want_exact_mean(DType dtype, ops::ReduceOp op, const char* what) {
  if (op == ops::ReduceOp::kMean && !is_floating(dtype))
    throw InvalidArgument("{}: got a mean of {}; want a floating dtype", what, dtype);
}

Shape with_size(const Shape& shape, int axis, int64_t size) {
  Shape changed = shape;
  changed[axis] = Dim(size);
  return changed;
}

/// The blocks [outer, sizes[r], inner] of `all`, which lie one after the other, as one [outer, sum,
/// inner].
Tensor interleave(const Tensor& all, const std::vector<Shape>& shapes, const Shape& result,
                  int axis) {
  Tensor joined(all.dtype(), result);
  int64_t outer = 1, inner = static_cast<int64_t>(size_of(all.dtype()));
  for (int d = 0; d < axis; ++d) outer *= result.size(d);
  for (int d = axis + 1; d < result.rank(); ++d) inner *= result.size(d);
  const char* from = static_cast<const char*>(all.raw());
  const int64_t row = result.size(axis) * inner;
  int64_t column = 0;
  for (const Shape& shape : shapes) {
    const int64_t bytes = shape.size(axis) * inner;
    for (int64_t o = 0; bytes > 0 && o < outer; ++o, from += bytes)
      std::memcpy(static_cast<char*>(joined.raw()) + o * row + column, from,
                  static_cast<size_t>(bytes));
    column += bytes;
  }
  return joined;
}

}  // namespace

struct Collectives::Prepared {
  Key key;
  void* input = nullptr;
  void* output = nullptr;
  std::unique_ptr<Communicator::Request> request;
  bool busy = false;
};

Collectives::Collectives(Communicator& communicator) : communicator_(communicator) {}
Collectives::~Collectives() = default;

Collectives::Pending::Pending(std::shared_ptr<Prepared> prepared, Tensor kept)
    : prepared_(std::move(prepared)), kept_(std::move(kept)) {}

Collectives::Pending::~Pending() {
  if (!prepared_) return;
  try {
    wait();
  } catch (const Error&) {
  }
}

void Collectives::Pending::wait() {
  if (!prepared_) return;
  const std::shared_ptr<Prepared> prepared = std::move(prepared_);
  prepared->busy = false;
  prepared->request->wait();
}

std::shared_ptr<Collectives::Prepared> Collectives::prepare(const Key& key, const void* input,
                                                            void* output) {
  for (auto it = prepared_.begin(); it != prepared_.end(); ++it) {
    if ((*it)->busy || !((*it)->key == key)) continue;
    prepared_.splice(prepared_.begin(), prepared_, it);
    prepared_.front()->input = const_cast<void*>(input);
    prepared_.front()->output = output;
    return prepared_.front();
  }
  // The same everywhere: every rank has made the same calls.
  if (prepared_.size() >= kRemembered && !prepared_.back()->busy) prepared_.pop_back();
  auto made = std::make_shared<Prepared>();
  made->key = key;
  // Prepared without memory: the slot may then point anywhere in each call.
  made->request = key.kind == Kind::kAllReduce
                      ? communicator_.prepare_all_reduce(&made->input, key.dtype, key.count, key.op)
                      : communicator_.prepare_all_gather(
                            &made->input, key.bytes[static_cast<size_t>(rank())], &made->output);
  made->input = const_cast<void*>(input);
  made->output = output;
  prepared_.push_front(made);
  return made;
}

std::shared_ptr<Collectives::Prepared> Collectives::start(const Key& key, const void* input,
                                                          void* output) {
  std::shared_ptr<Prepared> prepared = prepare(key, input, output);
  prepared->busy = true;
  prepared->request->start();
  return prepared;
}

Collectives::Pending Collectives::all_reduce(Tensor values, ops::ReduceOp op) {
  want_row_major(values, "all_reduce");
  if (values.dtype() == DType::kBool)
    throw InvalidArgument("all_reduce: got dtype bool; want numbers");
  want_exact_mean(values.dtype(), op, "all_reduce");
  const Key key{Kind::kAllReduce, values.dtype(), op, values.num_elements(), {}};
  return {start(key, values.raw(), nullptr), values};
}

Collectives::Pending Collectives::gather(const void* mine, std::vector<uint64_t> bytes, void* all) {
  return {start({Kind::kAllGather, DType::kU8, {}, 0, std::move(bytes)}, mine, all), Tensor()};
}

Collectives::Pending Collectives::broadcast(Tensor values, int root) {
  want_row_major(values, "broadcast");
  if (root < 0 || root >= size())
    throw InvalidArgument("broadcast: got root {}; want a rank below {}", root, size());
  std::vector<uint64_t> bytes(static_cast<size_t>(size()), 0);
  bytes[static_cast<size_t>(root)] = values.num_bytes();
  Pending pending = gather(values.raw(), std::move(bytes), values.raw());
  pending.kept_ = std::move(values);
  return pending;
}

void Collectives::barrier() {
  gather(nullptr, std::vector<uint64_t>(static_cast<size_t>(size()), 0), nullptr).wait();
}

std::vector<Shape> Collectives::shapes_of_all(const Tensor& mine, const char* what, int axis) {
  ShapeRecord record{static_cast<int32_t>(mine.dtype()), mine.rank()};
  for (int d = 0; d < std::min(mine.rank(), kMaxDims); ++d) record.dims[d] = mine.size(d);
  std::vector<ShapeRecord> records(static_cast<size_t>(size()));
  gather(&record, std::vector<uint64_t>(records.size(), sizeof record), records.data()).wait();
  std::vector<Shape> shapes;
  for (const ShapeRecord& r : records) {
    std::vector<Dim> dims;
    for (int d = 0; d < std::min(r.num_dims, kMaxDims); ++d) dims.push_back(Dim(r.dims[d]));
    shapes.push_back(Shape(std::move(dims)));
  }
  for (size_t other = 0; other < records.size(); ++other) {
    const ShapeRecord& r = records[other];
    bool fits = r.dtype == records[0].dtype && r.num_dims == records[0].num_dims &&
                r.num_dims <= kMaxDims && axis >= 0 && axis < r.num_dims;
    for (int d = 0; fits && d < r.num_dims; ++d)
      fits = d == axis || r.dims[d] == records[0].dims[d];
    if (!fits)
      throw InvalidArgument(
          "{}: Shape mismatch: got {} {} on rank 0 and {} {} on rank {}; want equal dtypes and "
          "shapes but for axis {}",
          what, static_cast<DType>(records[0].dtype), shapes[0], static_cast<DType>(r.dtype),
          shapes[other], other, axis);
  }
  return shapes;
}

Tensor Collectives::all_gather(const Tensor& mine, int axis) {
  want_row_major(mine, "all_gather");
  const std::vector<Shape> shapes = shapes_of_all(mine, "all_gather", axis);
  std::vector<uint64_t> bytes;
  int64_t along = 0;
  for (const Shape& shape : shapes) {
    bytes.push_back(static_cast<uint64_t>(shape.num_elements()) * size_of(mine.dtype()));
    along += shape.size(axis);
  }
  const Shape result = with_size(mine.shape(), axis, along);
  Tensor all(mine.dtype(), result);
  gather(mine.raw(), std::move(bytes), all.raw()).wait();
  return axis == 0 ? all : interleave(all, shapes, result, axis);
}

Tensor Collectives::reduce_scatter(const Tensor& values, ops::ReduceOp op) {
  want_row_major(values, "reduce_scatter");
  if (values.rank() == 0 || values.size(0) % size() != 0)
    throw InvalidArgument("reduce_scatter: got shape {}; want axis 0 to divide by {} ranks",
                          values.shape(), size());
  Tensor all = values.clone();
  all_reduce(all, op).wait();
  const int64_t rows = values.size(0) / size();
  return all.slice(0, rank() * rows, (rank() + 1) * rows).clone();
}

Tensor Collectives::all_to_all(const Tensor& values) {
  want_row_major(values, "all_to_all");
  if (values.rank() == 0 || values.size(0) % size() != 0)
    throw InvalidArgument("all_to_all: got shape {}; want axis 0 to divide by {} ranks",
                          values.shape(), size());
  const size_t whole = values.num_bytes(), part = whole / static_cast<size_t>(size());
  const auto n = static_cast<size_t>(size()), me = static_cast<size_t>(rank());
  std::vector<char> all(whole * n);
  gather(values.raw(), std::vector<uint64_t>(n, whole), all.data()).wait();
  Tensor mine(values.dtype(), values.shape());
  for (size_t from = 0; part > 0 && from < n; ++from)
    std::memcpy(static_cast<char*>(mine.raw()) + from * part, all.data() + from * whole + me * part,
                part);
  return mine;
}

Slices Collectives::all_gather(const Slices& mine, ops::ReduceOp op) {
  if (op != ops::ReduceOp::kSum && op != ops::ReduceOp::kMean)
    throw InvalidArgument("all_gather of slices: got max or min; want sum or mean");
  want_exact_mean(mine.values.dtype(), op, "all_gather of slices");
  if (mine.indices.dtype() != DType::kI64 || mine.indices.rank() != 1 || mine.values.rank() < 1 ||
      mine.values.size(0) != mine.indices.size(0))
    throw InvalidArgument(
        "all_gather of slices: got indices {} {} of values {}; want int64 [K] of "
        "[K, ...]",
        mine.indices.dtype(), mine.indices.shape(), mine.values.shape());
  Slices all{all_gather(mine.indices), all_gather(mine.values)};
  if (op == ops::ReduceOp::kMean)
    divide_by(all.values.raw(), all.values.num_elements(), all.values.dtype(), size());
  return all;
}

Slices Collectives::all_reduce(const Slices& mine, int64_t num_rows, ops::ReduceOp op) {
  want_exact_mean(mine.values.dtype(), op, "all_reduce of slices");
  Tensor counts(DType::kI64, Shape{1});
  counts.data<int64_t>()[0] = mine.indices.size(0);
  all_reduce(counts, ops::ReduceOp::kSum).wait();
  // A gather brings each rank all rows and their indices; a reduction costs twice the table.
  const int64_t row_bytes =
      mine.values.size(0) == 0
          ? 0
          : static_cast<int64_t>(mine.values.num_bytes()) / mine.values.size(0);
  Tensor largest(DType::kI64, Shape{1});
  largest.data<int64_t>()[0] = row_bytes;
  all_reduce(largest, ops::ReduceOp::kMax).wait();
  const int64_t bytes = largest.data<int64_t>()[0];
  if (counts.data<int64_t>()[0] * (bytes + 8) <= 2 * num_rows * bytes) return all_gather(mine, op);

  Slices whole{Tensor(DType::kI64, Shape{num_rows}),
               Tensor(mine.values.dtype(), with_size(mine.values.shape(), 0, num_rows))};
  std::iota(whole.indices.data<int64_t>(), whole.indices.data<int64_t>() + num_rows, int64_t{0});
  const int64_t per_row = num_rows == 0 ? 0 : whole.values.num_elements() / num_rows;
  for (int64_t i = 0; i < mine.indices.size(0); ++i) {
    const int64_t row = mine.indices.data<int64_t>()[i];
    if (row < 0 || row >= num_rows)
      throw InvalidArgument("all_reduce of slices: got row {}; want one below {}", row, num_rows);
    reduce_into(static_cast<char*>(whole.values.raw()) + row * bytes,
                static_cast<const char*>(mine.values.raw()) + i * bytes, per_row,
                mine.values.dtype(), ops::ReduceOp::kSum);
  }
  all_reduce(whole.values, ops::ReduceOp::kSum).wait();
  if (op == ops::ReduceOp::kMean)
    divide_by(whole.values.raw(), whole.values.num_elements(), whole.values.dtype(), size());
  return whole;
}

}  // namespace cohort::distribute

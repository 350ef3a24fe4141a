#include "cohort/data/internal/rows.h"

#include <algorithm>
#include <cstring>

#include "cohort/data/internal/convert.h"

namespace cohort::data {
namespace {

const Column::Segment& segment_of(const Column& column, int64_t number) {
  const auto after =
      std::upper_bound(column.segments.begin(), column.segments.end(), number,
                       [](int64_t n, const Column::Segment& segment) { return n < segment.begin; });
  return *(after - 1);
}

bool converts(const Column& column) { return column.stored != column.dtype || column.scale != 1.0; }

void fetch_lines(const char* row, int64_t bytes) {
  constexpr int64_t kLine = 64, kMost = 16 * kLine;
  for (int64_t i = 0; i < std::min(bytes, kMost); i += kLine) __builtin_prefetch(row + i);
}

/// Rows of a constant number of bytes: labels, weights.
template <size_t kBytes>
void copy_small_rows(const char* base, std::span<const int64_t> numbers, char* out) {
  for (size_t i = 0; i < numbers.size(); ++i)
    std::memcpy(out + i * kBytes, base + numbers[i] * static_cast<int64_t>(kBytes), kBytes);
}

void copy_rows(const char* base, int64_t row_bytes, std::span<const int64_t> numbers, char* out) {
  switch (row_bytes) {
    case 0:
      return;
    case 1:
      return copy_small_rows<1>(base, numbers, out);
    case 4:
      return copy_small_rows<4>(base, numbers, out);
    case 8:
      return copy_small_rows<8>(base, numbers, out);
    default:
      break;
  }
  constexpr size_t kAhead = 2;
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (i + kAhead < numbers.size()) fetch_lines(base + numbers[i + kAhead] * row_bytes, row_bytes);
    std::memcpy(out + static_cast<int64_t>(i) * row_bytes, base + numbers[i] * row_bytes,
                row_bytes);
  }
}

void convert_rows(const Column& column, const char* base, int64_t row_elements,
                  std::span<const int64_t> numbers, char* out) {
  const int64_t from_bytes = row_elements * static_cast<int64_t>(size_of(column.stored));
  const int64_t to_bytes = row_elements * static_cast<int64_t>(size_of(column.dtype));
  constexpr size_t kAhead = 2;
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (i + kAhead < numbers.size())
      fetch_lines(base + numbers[i + kAhead] * from_bytes, from_bytes);
    convert(column.stored, base + numbers[i] * from_bytes, column.dtype,
            out + static_cast<int64_t>(i) * to_bytes, row_elements, column.scale);
  }
}

/// Rows of one segment; `numbers` count from the segment's first row.
void gather_segment(const Column& column, const Column::Segment& segment,
                    std::span<const int64_t> numbers, char* out) {
  const int64_t row_elements = column.row_shape.num_elements();
  if (!segment.tensor.defined()) {
    for (size_t i = 0; i < numbers.size(); ++i) {
      const int64_t value = segment.start + segment.step * numbers[i];
      convert(DType::kI64, &value, column.dtype, out + i * size_of(column.dtype), 1, column.scale);
    }
  } else if (converts(column)) {
    convert_rows(column, static_cast<const char*>(segment.tensor.raw()), row_elements, numbers,
                 out);
  } else {
    copy_rows(static_cast<const char*>(segment.tensor.raw()),
              row_elements * static_cast<int64_t>(size_of(column.dtype)), numbers, out);
  }
}

void gather(const Column& column, std::span<const int64_t> numbers, void* out) {
  char* to = static_cast<char*>(out);
  if (column.segments.size() == 1) {
    gather_segment(column, column.segments[0], numbers, to);
    return;
  }
  const int64_t row_bytes =
      column.row_shape.num_elements() * static_cast<int64_t>(size_of(column.dtype));
  for (int64_t number : numbers) {
    const Column::Segment& segment = segment_of(column, number);
    const int64_t local = number - segment.begin;
    gather_segment(column, segment, {&local, 1}, to);
    to += row_bytes;
  }
}

class RowElements : public ElementFlow {
 public:
  RowElements(RowsPtr rows, FlowPtr<int64_t> numbers)
      : rows_(std::move(rows)), numbers_(std::move(numbers)) {}

  int64_t next(std::span<Element> out) override {
    int64_t filled = 0;
    for (int64_t number; filled < std::ssize(out) && numbers_->next({&number, 1}) == 1; ++filled)
      gather_row(*rows_, number, out[filled]);
    return filled;
  }
  int64_t skip(int64_t count) override { return numbers_->skip(count); }

 private:
  RowsPtr rows_;
  FlowPtr<int64_t> numbers_;
};

}  // namespace

FlowPtr<int64_t> Node::row_numbers(const Pass&) const {
  throw Internal("dataset: got a request for row numbers of {}; it has none", describe());
}

ElementSpec Rows::spec() const {
  ElementSpec spec;
  for (const Column& column : columns) spec.push_back({column.dtype, column.row_shape});
  return spec;
}

RowsPtr rows_of_tensors(Element components) {
  auto rows = std::make_shared<Rows>();
  rows->count = components[0].size(0);
  for (Tensor& tensor : components) {
    Column column;
    column.row_shape = tensor.shape().slice(1);
    column.stored = column.dtype = tensor.dtype();
    column.segments.push_back({.begin = 0, .tensor = tensor.contiguous()});
    rows->columns.push_back(std::move(column));
  }
  return rows;
}

RowsPtr rows_of_range(int64_t start, int64_t step, int64_t count) {
  auto rows = std::make_shared<Rows>();
  rows->count = count;
  Column column;
  column.segments.push_back({.begin = 0, .tensor = {}, .start = start, .step = step});
  rows->columns.push_back(std::move(column));
  return rows;
}

RowsPtr concatenated(const Rows& a, const Rows& b) {
  auto rows = std::make_shared<Rows>(a);
  rows->count = a.count + b.count;
  for (size_t c = 0; c < rows->columns.size(); ++c)
    for (Column::Segment segment : b.columns[c].segments) {
      segment.begin += a.count;
      rows->columns[c].segments.push_back(std::move(segment));
    }
  return rows;
}

RowsPtr zipped(std::span<const RowsPtr> parts) {
  auto rows = std::make_shared<Rows>();
  rows->count = parts[0]->count;
  for (const RowsPtr& part : parts) {
    rows->count = std::min(rows->count, part->count);
    rows->columns.insert(rows->columns.end(), part->columns.begin(), part->columns.end());
  }
  return rows;
}

RowsPtr with_cast(const Rows& rows, int component, DType dtype, double scale) {
  auto cast = std::make_shared<Rows>(rows);
  Column& column = cast->columns[static_cast<size_t>(component)];
  column.dtype = dtype;
  column.scale *= scale;
  return cast;
}

void prepare(Tensor& tensor, DType dtype, const Shape& shape) {
  if (!tensor.reuse_as(dtype, shape)) tensor = Tensor(dtype, shape);
}

void prepare_batch(Tensor& tensor, DType dtype, int64_t count, const Shape& row_shape) {
  bool fits = tensor.defined() && tensor.rank() == row_shape.rank() + 1 && tensor.size(0) == count;
  for (int i = 0; fits && i < row_shape.rank(); ++i) fits = tensor.shape()[i + 1] == row_shape[i];
  if (!fits || !tensor.reuse_as(dtype, tensor.shape()))
    prepare(tensor, dtype, Shape{count} + row_shape);
}

void gather_batch(const Rows& rows, std::span<const int64_t> numbers, Element& out) {
  out.resize(rows.columns.size());
  for (size_t c = 0; c < out.size(); ++c) {
    const Column& column = rows.columns[c];
    prepare_batch(out[c], column.dtype, std::ssize(numbers), column.row_shape);
    gather(column, numbers, out[c].raw());
  }
}

void gather_row(const Rows& rows, int64_t number, Element& out) {
  out.resize(rows.columns.size());
  for (size_t c = 0; c < out.size(); ++c) {
    prepare(out[c], rows.columns[c].dtype, rows.columns[c].row_shape);
    gather(rows.columns[c], {&number, 1}, out[c].raw());
  }
}

FlowPtr<Element> elements_of_rows(RowsPtr rows, FlowPtr<int64_t> numbers) {
  return std::make_unique<RowElements>(std::move(rows), std::move(numbers));
}

}  // namespace cohort::data

#include "cohort/data/internal/stack.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "cohort/data/internal/rows.h"

namespace cohort::data {

int64_t Sizes::total() const { return std::accumulate(sizes.begin(), sizes.end(), int64_t{0}); }

bool Sizes::are_equal() const {
  return std::all_of(sizes.begin(), sizes.end(), [&](int64_t size) { return size == sizes[0]; });
}

int64_t Sizes::num_batches(int64_t rows) const {
  if (rows < 0) return rows;
  int64_t left = rows % total();
  int64_t batches = rows / total() * std::ssize(sizes);
  for (int64_t size : sizes) {  // the last, incomplete cycle
    if (size > left) return batches + (left > 0 && !drop_remainder ? 1 : 0);
    left -= size;
    ++batches;
  }
  return batches;
}

void begin_batch(Element& out, const Element& source, Source kind, int64_t size) {
  out.resize(source.size());
  for (size_t c = 0; c < out.size(); ++c) {
    const Shape& shape = source[c].shape();
    prepare_batch(out[c], source[c].dtype(), size, kind == Source::kRow ? shape : shape.slice(1));
  }
}

void append_rows(Element& out, int64_t at, const Element& source, Source kind, int64_t first,
                 int64_t count, std::string_view where) {
  if (source.size() != out.size())
    throw InvalidArgument("{}: got {} components at row {} and {} before; want equal numbers",
                          where, source.size(), at, out.size());
  const int rows_axis = kind == Source::kRow ? 0 : 1;
  for (size_t c = 0; c < out.size(); ++c) {
    const Shape wanted = out[c].shape().slice(1);
    if (source[c].dtype() != out[c].dtype() || source[c].shape().slice(rows_axis) != wanted)
      throw InvalidArgument(
          "{}: got {}{} as component {} of row {} and {}{} of the rows before; want "
          "equal dtypes and shapes",
          where, source[c].dtype(), source[c].shape().slice(rows_axis), c, at, out[c].dtype(),
          wanted);
    const Tensor rows = source[c].contiguous();
    const auto row_bytes = static_cast<size_t>(wanted.num_elements()) * size_of(out[c].dtype());
    if (row_bytes * static_cast<size_t>(count) > 0)
      std::memcpy(static_cast<char*>(out[c].raw()) + static_cast<size_t>(at) * row_bytes,
                  static_cast<const char*>(rows.raw()) + static_cast<size_t>(first) * row_bytes,
                  static_cast<size_t>(count) * row_bytes);
  }
}

void make_empty_batch(Element& out, const ElementSpec& row_spec) {
  out.resize(row_spec.size());
  for (size_t c = 0; c < out.size(); ++c) {
    Shape row = row_spec[c].shape;
    for (int axis = 0; axis < row.rank(); ++axis)
      if (row[axis].is_symbol()) row[axis] = Dim(0);
    prepare_batch(out[c], row_spec[c].dtype, 0, row);
  }
}

void shorten_batch(Element& out, int64_t rows) {
  for (Tensor& tensor : out) tensor = tensor.slice(0, 0, rows);
}

}  // namespace cohort::data

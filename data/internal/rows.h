#pragma once

#include <memory>
#include <span>
#include <vector>

#include "cohort/data/internal/node.h"

namespace cohort::data {

/// One component of a random-access source, and how it is converted on its way into a batch.
struct Column {
  /// Rows [begin, begin of the next segment): of `tensor`, or start + step * i where it is
  /// undefined.
  struct Segment {
    int64_t begin = 0;
    Tensor tensor;
    int64_t start = 0;
    int64_t step = 1;
  };
  std::vector<Segment> segments;
  Shape row_shape;
  DType stored = DType::kI64;
  DType dtype = DType::kI64;  ///< after conversion
  double scale = 1.0;
};

/// A random-access source: `count` rows of every column.
struct Rows {
  std::vector<Column> columns;
  int64_t count = 0;

  ElementSpec spec() const;
};
using RowsPtr = std::shared_ptr<const Rows>;

/// Rows of `components`, which all are [M, …].
RowsPtr rows_of_tensors(Element components);
RowsPtr rows_of_range(int64_t start, int64_t step, int64_t count);
/// `a`'s rows, then `b`'s; their specs are equal.
RowsPtr concatenated(const Rows& a, const Rows& b);
/// Column by column beside each other; as many rows as the shortest has.
RowsPtr zipped(std::span<const RowsPtr> parts);
RowsPtr with_cast(const Rows& rows, int component, DType dtype, double scale);

/// Makes `out` the batch of the rows `numbers`: component c is [numbers.size(), row shape of c].
void gather_batch(const Rows& rows, std::span<const int64_t> numbers, Element& out);
/// Makes `out` row `number`: component c has the row shape of c.
void gather_row(const Rows& rows, int64_t number, Element& out);

/// Makes `tensor` a row-major tensor of this dtype and shape, in the memory it has where that is
/// possible. Its elements are unspecified.
void prepare(Tensor& tensor, DType dtype, const Shape& shape);
/// The same for shape [count, row_shape…], allocating nothing where the shape stays.
void prepare_batch(Tensor& tensor, DType dtype, int64_t count, const Shape& row_shape);

/// The elements that a flow of row numbers stands for.
FlowPtr<Element> elements_of_rows(RowsPtr rows, FlowPtr<int64_t> numbers);

}  // namespace cohort::data

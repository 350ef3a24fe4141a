#include "cohort/kernels/cpu/labels.h"

namespace cohort::cpu {
namespace {

// The first element outside least … limit-1, or -1.
int64_t first_outside(const Operand& values, int64_t limit, int64_t least = 0) {
  for (int64_t i = 0; i < values.num_elements(); ++i) {
    const int64_t value = integer_at(values, i);
    if (value < least || value >= limit) return i;
  }
  return -1;
}

void want_inside(const Operand& indices, int64_t num_rows, int64_t least, const std::string& node) {
  const int64_t i = first_outside(indices, num_rows, least);
  if (i >= 0)
    throw OutOfRange("{}: got index {} at position {}; want 0 to {} (the table has {} rows)", node,
                     integer_at(indices, i), i, num_rows - 1, num_rows);
}

}  // namespace

void check_labels(const Operand& labels, int64_t num_classes, const std::string& node) {
  const int64_t i = first_outside(labels, num_classes);
  if (i >= 0)
    throw InvalidArgument("{}: got label {} in row {}; want a class of 0 to {}", node,
                          integer_at(labels, i), i, num_classes - 1);
}

void check_indices(const Operand& indices, int64_t num_rows, const std::string& node) {
  want_inside(indices, num_rows, 0, node);
}

void check_slices(const Operand& indices, int64_t num_rows, const std::string& node) {
  want_inside(indices, num_rows, -1, node);
}

}  // namespace cohort::cpu

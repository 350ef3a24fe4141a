#include "cohort/core/shape.h"

#include <fmt/format.h>

#include <algorithm>

namespace cohort {

Dim::Dim(int64_t number) : number_(number) {
  if (number < 0) throw InvalidArgument("dimension: got {}; want 0 or more", number);
}

int64_t Dim::number() const {
  if (is_symbol()) throw Internal("dimension: symbol {} is not bound to a number", symbol_);
  return number_;
}

Dim batch_dim() { return Dim(std::string("N")); }

Shape::Shape(const Shape&) = default;
Shape::Shape(Shape&&) noexcept = default;
Shape& Shape::operator=(const Shape&) = default;
Shape& Shape::operator=(Shape&&) noexcept = default;
Shape::~Shape() = default;
bool Shape::operator==(const Shape&) const = default;

Shape::Shape(std::initializer_list<Dim> dims) : dims_(dims) {}
Shape::Shape(std::vector<Dim> dims) : dims_(std::move(dims)) {}
Shape::Shape(std::span<const int64_t> dims) { dims_.assign(dims.begin(), dims.end()); }

void Shape::push_back(Dim dim) { dims_.push_back(std::move(dim)); }

bool Shape::is_concrete() const {
  return std::none_of(dims_.begin(), dims_.end(), [](const Dim& d) { return d.is_symbol(); });
}

int64_t Shape::num_elements() const { return num_elements(0, rank()); }

int64_t Shape::num_elements(int begin, int end) const {
  int64_t product = 1;
  for (int i = begin; i < end; ++i) product *= size(i);
  return product;
}

std::vector<int64_t> Shape::numbers() const {
  std::vector<int64_t> numbers;
  for (const Dim& dim : dims_) numbers.push_back(dim.number());
  return numbers;
}

int Shape::axis(int64_t axis, std::string_view where) const {
  if (axis < -rank() || axis >= rank())
    throw InvalidArgument("{}: got axis {} for shape {}; want {} to {}", where, axis, *this,
                          -rank(), rank() - 1);
  return static_cast<int>(axis < 0 ? axis + rank() : axis);
}

Shape Shape::slice(int begin, int end) const {
  return Shape(std::vector<Dim>(dims_.begin() + begin, dims_.begin() + end));
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (const Dim& dim : dims_) {
    if (text.size() > 1) text += ", ";
    text += dim.is_symbol() ? dim.symbol() : std::to_string(dim.number());
  }
  return text + "]";
}

Shape operator+(const Shape& a, const Shape& b) {
  std::vector<Dim> dims = a.dims();
  dims.insert(dims.end(), b.dims().begin(), b.dims().end());
  return Shape(std::move(dims));
}

Shape broadcast(const Shape& a, const Shape& b, std::string_view where) {
  const int rank = std::max(a.rank(), b.rank());
  std::vector<Dim> dims;
  for (int i = 0; i < rank; ++i) {
    const int ia = i - (rank - a.rank()), ib = i - (rank - b.rank());
    const Dim da = ia < 0 ? Dim(1) : a[ia], db = ib < 0 ? Dim(1) : b[ib];
    if (da == db || db == 1) {
      dims.push_back(da);
    } else if (da == 1) {
      dims.push_back(db);
    } else {
      throw InvalidArgument("{}: got shapes {} and {}; want shapes that broadcast ({} against {})",
                            where, a, b, da, db);
    }
  }
  return Shape(std::move(dims));
}

}  // namespace cohort

fmt::format_context::iterator fmt::formatter<cohort::Shape>::format(
    const cohort::Shape& shape, fmt::format_context& context) const {
  return fmt::formatter<std::string_view>::format(shape.to_string(), context);
}

fmt::format_context::iterator fmt::formatter<cohort::Dim>::format(
    const cohort::Dim& dim, fmt::format_context& context) const {
  const std::string text = dim.is_symbol() ? dim.symbol() : std::to_string(dim.number());
  return fmt::formatter<std::string_view>::format(text, context);
}

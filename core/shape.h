#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "cohort/core/error.h"

/// Dimension letters used in every comment: N batch, C channels, H height, W width, T time,
/// K classes or reduced dimension, M rows.
namespace cohort {

/// One dimension: a number, or a named symbol whose number is bound when a graph is compiled.
/// Distinct symbols never compare equal and never broadcast.
class Dim {
 public:
  Dim(int64_t number);  // NOLINT: implicit, so that Shape{2, 3} reads well. Throws if negative.
  explicit Dim(std::string symbol) : symbol_(std::move(symbol)) {}

  bool is_symbol() const { return !symbol_.empty(); }
  /// Throws Internal on a symbol: shapes are bound before numbers are needed.
  int64_t number() const;
  const std::string& symbol() const { return symbol_; }
  bool operator==(const Dim&) const = default;
  bool operator==(int64_t n) const { return !is_symbol() && number_ == n; }

 private:
  int64_t number_ = 0;
  std::string symbol_;
};

/// The batch dimension of fit, evaluate, predict and distributed datasets: the symbol "N".
Dim batch_dim();

/// The dimensions of a tensor, outermost first. A scalar has rank 0.
class Shape {
 public:
  Shape() = default;
  Shape(const Shape& other);
  Shape(Shape&& other) noexcept;
  Shape& operator=(const Shape& other);
  Shape& operator=(Shape&& other) noexcept;
  ~Shape();
  Shape(std::initializer_list<Dim> dims);
  explicit Shape(std::vector<Dim> dims);
  explicit Shape(std::span<const int64_t> dims);

  int rank() const { return static_cast<int>(dims_.size()); }
  const Dim& operator[](int axis) const { return dims_[static_cast<size_t>(axis)]; }
  Dim& operator[](int axis) { return dims_[static_cast<size_t>(axis)]; }
  const std::vector<Dim>& dims() const { return dims_; }

  /// The number at `axis`; Internal on a symbol.
  int64_t size(int axis) const { return dims_[static_cast<size_t>(axis)].number(); }
  bool is_concrete() const;
  /// The product of all dimensions (1 for a scalar); Internal where a symbol remains.
  int64_t num_elements() const;
  /// The product of dimensions [begin, end).
  int64_t num_elements(int begin, int end) const;
  std::vector<int64_t> numbers() const;
  /// Turns a Python-style axis (-rank … rank-1) into 0 … rank-1; `where` names the caller in the
  /// error.
  int axis(int64_t axis, std::string_view where) const;

  void push_back(Dim dim);
  /// Dimensions [begin, end) as a shape of their own.
  Shape slice(int begin, int end) const;
  Shape slice(int begin) const { return slice(begin, rank()); }

  bool operator==(const Shape& other) const;
  /// "[N, 28, 28, 1]"
  std::string to_string() const;

 private:
  std::vector<Dim> dims_;
};

/// `a` and `b` concatenated.
Shape operator+(const Shape& a, const Shape& b);

/// NumPy's broadcasting of two shapes; throws InvalidArgument beginning with `where`.
/// A symbol matches itself and 1, nothing else.
Shape broadcast(const Shape& a, const Shape& b, std::string_view where);

}  // namespace cohort

template <>
struct fmt::formatter<cohort::Shape> : fmt::formatter<std::string_view> {
  fmt::format_context::iterator format(const cohort::Shape& shape,
                                       fmt::format_context& context) const;
};

template <>
struct fmt::formatter<cohort::Dim> : fmt::formatter<std::string_view> {
  fmt::format_context::iterator format(const cohort::Dim& dim, fmt::format_context& context) const;
};

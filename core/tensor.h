#pragma once

#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "cohort/core/dtype.h"
#include "cohort/core/shape.h"

namespace cohort {

/// A block of host memory, freed by its deleter when the last tensor that views it goes.
struct Storage {
  Storage(void* data, size_t bytes, std::function<void(void*)> deleter);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data;
  size_t bytes;
  std::function<void(void*)> deleter;
  /// Made by Tensor(dtype, shape): plain memory that Tensor::reuse_as may give other contents.
  bool reusable = false;
};

/// A concrete array in host memory: dtype, shape, strides and a share of a storage. Copying a
/// tensor copies the handle; views share memory. Not synchronised: concurrent readers are fine.
class Tensor {
 public:
  Tensor();
  Tensor(const Tensor& other);
  Tensor(Tensor&& other) noexcept;
  Tensor& operator=(const Tensor& other);
  Tensor& operator=(Tensor&& other) noexcept;
  ~Tensor();
  /// Zero-filled, row-major, 64-byte aligned.
  Tensor(DType dtype, Shape shape);
  /// Row-major tensor on existing memory.
  Tensor(DType dtype, Shape shape, std::shared_ptr<Storage> storage, int64_t byte_offset = 0);

  /// A copy of `values` in row-major order; throws when their number is not the shape's.
  template <class T>
  static Tensor from(std::span<const T> values, Shape shape);
  template <class T>
  static Tensor from(const std::vector<T>& values, Shape shape);
  template <class T>
  static Tensor from(std::initializer_list<T> values, Shape shape) {
    return from(std::vector<T>(values), std::move(shape));
  }
  /// Rank 1.
  template <class T>
  static Tensor from(std::initializer_list<T> values) {
    return from(std::vector<T>(values), Shape{static_cast<int64_t>(values.size())});
  }
  template <class T>
  static Tensor scalar(T value) {
    return from(std::vector<T>{value}, Shape{});
  }
  /// Every element `value`, converted to `dtype`.
  static Tensor full(DType dtype, Shape shape, double value);

  bool defined() const { return storage_ != nullptr; }
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t size(int axis) const { return shape_.size(axis); }
  int64_t num_elements() const { return shape_.num_elements(); }
  size_t num_bytes() const { return static_cast<size_t>(num_elements()) * size_of(dtype_); }
  /// In elements.
  const std::vector<int64_t>& strides() const { return strides_; }
  bool is_contiguous() const;

  void* raw();
  const void* raw() const;
  /// The first element; throws InvalidArgument when T is not the dtype.
  template <class T>
  T* data();
  template <class T>
  const T* data() const;
  /// All elements in row-major order; requires is_contiguous().
  template <class T>
  std::span<const T> values() const;
  /// The one element of a one-element tensor, converted to T.
  template <class T = float>
  T item() const {
    // A double does not hold every int64.
    return dtype_ == DType::kI64 ? static_cast<T>(item_as_int64())
                                 : static_cast<T>(item_as_double());
  }

  // Views: share memory with this tensor.
  Tensor slice(int axis, int64_t begin, int64_t end) const;
  Tensor transpose(const std::vector<int>& permutation) const;
  /// Same elements, other shape; copies only when this is not contiguous. One dimension of
  /// `dims` may be -1.
  Tensor reshape(const std::vector<int64_t>& dims) const;

  /// Turns this into a row-major tensor of `dtype` and `shape` on the memory it has, allocating
  /// nothing when the rank stays, if it was made by Tensor(dtype, shape), no other handle shares
  /// its memory and that is large enough. The bytes stay. Otherwise returns false and changes
  /// nothing.
  bool reuse_as(DType dtype, const Shape& shape);

  // Copies: own their memory, row-major.
  Tensor contiguous() const;  ///< this, when it is row-major already
  Tensor clone() const;
  Tensor cast(DType dtype) const;

  /// Shape, dtype and up to 1000 elements, as NumPy prints them.
  std::string to_string() const;

 private:
  int64_t item_as_int64() const;
  double item_as_double() const;
  void check_one_element() const;
  void check_type(DType wanted) const;
  void check_contiguous() const;
  static void check_count(size_t num_values, const Shape& shape);

  DType dtype_ = DType::kF32;
  Shape shape_;
  std::vector<int64_t> strides_;
  std::shared_ptr<Storage> storage_;
  int64_t byte_offset_ = 0;
};

/// Same dtype, shape and bytes.
bool bitwise_equal(const Tensor& a, const Tensor& b);

template <class T>
T* Tensor::data() {
  check_type(dtype_of<T>());
  return static_cast<T*>(raw());
}

template <class T>
const T* Tensor::data() const {
  check_type(dtype_of<T>());
  return static_cast<const T*>(raw());
}

template <class T>
std::span<const T> Tensor::values() const {
  check_contiguous();
  return {data<T>(), static_cast<size_t>(num_elements())};
}

template <class T>
Tensor Tensor::from(std::span<const T> values, Shape shape) {
  check_count(values.size(), shape);
  Tensor tensor(dtype_of<T>(), std::move(shape));
  if (!values.empty()) std::memcpy(tensor.raw(), values.data(), values.size_bytes());
  return tensor;
}

template <class T>
Tensor Tensor::from(const std::vector<T>& values, Shape shape) {
  if constexpr (std::is_same_v<T, bool>) {
    std::vector<uint8_t> bytes(values.begin(), values.end());
    Tensor tensor = from(std::span<const uint8_t>(bytes), std::move(shape));
    tensor.dtype_ = DType::kBool;
    return tensor;
  } else {
    return from(std::span<const T>(values), std::move(shape));
  }
}

}  // namespace cohort

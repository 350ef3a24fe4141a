#include "cohort/core/tensor.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <new>

namespace cohort {
namespace {

std::vector<int64_t> row_major_strides(const Shape& shape) {
  std::vector<int64_t> strides(static_cast<size_t>(shape.rank()), 1);
  for (int i = shape.rank() - 2; i >= 0; --i) strides[i] = strides[i + 1] * shape.size(i + 1);
  return strides;
}

constexpr size_t kPageUnit = size_t{2} << 20;

size_t padded_to(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

/// Zeroed. Large blocks lie on huge pages: rows gathered at random from small ones miss the TLB at
/// each.
std::shared_ptr<Storage> allocate(size_t bytes) {
  const size_t unit = bytes >= kPageUnit ? kPageUnit : 64;
  const size_t padded = padded_to(std::max<size_t>(1, bytes), unit);
  void* data = std::aligned_alloc(unit, padded);
  if (!data) throw ResourceExhausted("tensor: out of memory asking for {} bytes", bytes);
  if (unit == kPageUnit) madvise(data, padded, MADV_HUGEPAGE);
  std::memset(data, 0, bytes);
  auto storage = std::make_shared<Storage>(data, bytes, [](void* p) { std::free(p); });
  storage->reusable = true;
  return storage;
}

/// Calls visit(byte offset of element) for every element in row-major order.
template <class Visit>
void for_each_element(const Shape& shape, const std::vector<int64_t>& strides, Visit&& visit) {
  const int64_t count = shape.num_elements();
  std::vector<int64_t> index(static_cast<size_t>(shape.rank()), 0);
  int64_t offset = 0;
  for (int64_t n = 0; n < count; ++n) {
    visit(offset);
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      offset += strides[axis];
      if (++index[axis] < shape.size(axis)) break;
      offset -= index[axis] * strides[axis];
      index[axis] = 0;
    }
  }
}

void append_nested(const Tensor& t, int axis, int64_t offset, std::string& out) {
  if (axis == t.rank()) {
    visit_dtype(t.dtype(), [&](auto tag) {
      using T = decltype(tag);
      const T value = static_cast<const T*>(t.raw())[offset];
      if constexpr (std::is_same_v<T, bool>) {
        out += value ? "true" : "false";
      } else if constexpr (std::is_integral_v<T>) {
        out += std::to_string(value);
      } else {
        out += fmt::format("{:.6g}", static_cast<double>(value));
      }
    });
    return;
  }
  out += "[";
  for (int64_t i = 0; i < t.size(axis); ++i) {
    if (i > 0) out += axis + 1 == t.rank() ? ", " : ",\n" + std::string(axis + 1, ' ');
    append_nested(t, axis + 1, offset + i * t.strides()[axis], out);
  }
  out += "]";
}

}  // namespace

Storage::Storage(void* data, size_t bytes, std::function<void(void*)> deleter)
    : data(data), bytes(bytes), deleter(std::move(deleter)) {}
Storage::~Storage() {
  if (deleter) deleter(data);
}

Tensor::Tensor() = default;
Tensor::Tensor(const Tensor&) = default;
Tensor::Tensor(Tensor&&) noexcept = default;
Tensor& Tensor::operator=(const Tensor&) = default;
Tensor& Tensor::operator=(Tensor&&) noexcept = default;
Tensor::~Tensor() = default;

Tensor::Tensor(DType dtype, Shape shape)
    : dtype_(dtype), shape_(std::move(shape)), strides_(row_major_strides(shape_)) {
  storage_ = allocate(num_bytes());
}

Tensor::Tensor(DType dtype, Shape shape, std::shared_ptr<Storage> storage, int64_t byte_offset)
    : dtype_(dtype),
      shape_(std::move(shape)),
      strides_(row_major_strides(shape_)),
      storage_(std::move(storage)),
      byte_offset_(byte_offset) {
  COHORT_CHECK(byte_offset_ >= 0 && byte_offset_ + num_bytes() <= storage_->bytes);
}

Tensor Tensor::full(DType dtype, Shape shape, double value) {
  Tensor tensor(dtype, std::move(shape));
  visit_dtype(dtype, [&](auto tag) {
    using T = decltype(tag);
    std::fill_n(tensor.data<T>(), tensor.num_elements(), static_cast<T>(value));
  });
  return tensor;
}

bool Tensor::is_contiguous() const {
  int64_t expected = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (size(i) != 1 && strides_[i] != expected) return num_elements() == 0;
    expected *= size(i);
  }
  return true;
}

void* Tensor::raw() { return static_cast<char*>(storage_->data) + byte_offset_; }
const void* Tensor::raw() const { return static_cast<const char*>(storage_->data) + byte_offset_; }

void Tensor::check_contiguous() const {
  if (!is_contiguous())
    throw InvalidArgument("values: got a strided view of shape {}; call contiguous() first",
                          shape_);
}

void Tensor::check_count(size_t num_values, const Shape& shape) {
  if (static_cast<int64_t>(num_values) != shape.num_elements())
    throw InvalidArgument("Tensor::from: got {} values for shape {}; want {}", num_values, shape,
                          shape.num_elements());
}

void Tensor::check_type(DType wanted) const {
  if (!defined()) throw FailedPrecondition("tensor: got an empty handle; want a tensor");
  if (wanted != dtype_)
    throw InvalidArgument("tensor: got data of {} read as {}; want the same dtype", dtype_, wanted);
}

void Tensor::check_one_element() const {
  if (!defined() || num_elements() != 1)
    throw InvalidArgument("item: got a tensor of shape {}; want one element", shape_);
}

int64_t Tensor::item_as_int64() const {
  check_one_element();
  return *data<int64_t>();
}

double Tensor::item_as_double() const {
  check_one_element();
  return visit_dtype(dtype_, [&](auto tag) {
    return static_cast<double>(*static_cast<const decltype(tag)*>(raw()));
  });
}

Tensor Tensor::slice(int axis, int64_t begin, int64_t end) const {
  axis = shape_.axis(axis, "slice");
  if (begin < 0 || end < begin || end > size(axis))
    throw OutOfRange("slice: got [{}, {}) on axis {} of shape {}; want a range inside it", begin,
                     end, axis, shape_);
  Tensor view = *this;
  view.shape_[axis] = Dim(end - begin);
  view.byte_offset_ += begin * strides_[axis] * static_cast<int64_t>(size_of(dtype_));
  return view;
}

Tensor Tensor::transpose(const std::vector<int>& permutation) const {
  std::vector<bool> seen(static_cast<size_t>(rank()), false);
  bool valid = static_cast<int>(permutation.size()) == rank();
  for (int axis : permutation) {
    valid = valid && axis >= 0 && axis < rank() && !seen[axis];
    if (valid) seen[axis] = true;
  }
  if (!valid)
    throw InvalidArgument(
        "transpose: got a permutation of {} axes for shape {}; want each axis once",
        permutation.size(), shape_);
  Tensor view = *this;
  for (int i = 0; i < rank(); ++i) {
    view.shape_[i] = shape_[permutation[i]];
    view.strides_[i] = strides_[permutation[i]];
  }
  return view;
}

Tensor Tensor::reshape(const std::vector<int64_t>& dims) const {
  int64_t known = 1;
  int inferred = -1;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == -1 && inferred < 0) {
      inferred = static_cast<int>(i);
    } else if (dims[i] < 0) {
      throw InvalidArgument("reshape: got dimension {}; want 0 or more, or one -1", dims[i]);
    } else {
      known *= dims[i];
    }
  }
  std::vector<int64_t> numbers = dims;
  if (inferred >= 0) numbers[inferred] = known == 0 ? 0 : num_elements() / known;
  Shape shape{std::span<const int64_t>(numbers)};
  if (shape.num_elements() != num_elements())
    throw InvalidArgument("reshape: got shape {} to {}; want the same number of elements", shape_,
                          shape);
  Tensor view = contiguous();
  view.strides_ = row_major_strides(shape);
  view.shape_ = std::move(shape);
  return view;
}

bool Tensor::reuse_as(DType dtype, const Shape& shape) {
  if (!storage_ || !storage_->reusable || storage_.use_count() != 1) return false;
  if (static_cast<size_t>(shape.num_elements()) * size_of(dtype) > storage_->bytes) return false;
  if (shape_ != shape) shape_ = shape;
  strides_.resize(static_cast<size_t>(rank()));
  int64_t stride = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    strides_[static_cast<size_t>(i)] = stride;
    stride *= size(i);
  }
  dtype_ = dtype;
  byte_offset_ = 0;
  return true;
}

Tensor Tensor::contiguous() const { return is_contiguous() ? *this : clone(); }

Tensor Tensor::clone() const {
  Tensor copy(dtype_, shape_);
  if (is_contiguous()) {
    if (num_bytes() > 0) std::memcpy(copy.raw(), raw(), num_bytes());
    return copy;
  }
  visit_dtype(dtype_, [&](auto tag) {
    using T = decltype(tag);
    const T* from = static_cast<const T*>(raw());
    T* to = copy.data<T>();
    for_each_element(shape_, strides_, [&](int64_t offset) { *to++ = from[offset]; });
  });
  return copy;
}

Tensor Tensor::cast(DType dtype) const {
  if (dtype == dtype_) return clone();
  const Tensor source = contiguous();
  Tensor result(dtype, shape_);
  visit_dtype(dtype_, [&](auto from_tag) {
    visit_dtype(dtype, [&](auto to_tag) {
      using From = decltype(from_tag);
      using To = decltype(to_tag);
      const From* from = source.data<From>();
      To* to = result.data<To>();
      for (int64_t i = 0; i < source.num_elements(); ++i) {
        if constexpr (std::is_same_v<To, bool>) {
          to[i] = static_cast<double>(from[i]) != 0;
        } else if constexpr (std::is_integral_v<From> && std::is_integral_v<To>) {
          to[i] = static_cast<To>(from[i]);
        } else {
          to[i] = static_cast<To>(static_cast<double>(from[i]));
        }
      }
    });
  });
  return result;
}

std::string Tensor::to_string() const {
  if (!defined()) return "tensor(undefined)";
  std::string body = num_elements() > 1000 ? "…" : "";
  if (body.empty()) append_nested(*this, 0, 0, body);
  return fmt::format("tensor({}, shape={}, dtype={})", body, shape_, dtype_);
}

bool bitwise_equal(const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  const Tensor x = a.contiguous(), y = b.contiguous();
  return x.num_bytes() == 0 || std::memcmp(x.raw(), y.raw(), x.num_bytes()) == 0;
}

}  // namespace cohort

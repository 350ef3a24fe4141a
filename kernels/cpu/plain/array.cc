#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/plain/elementwise_ops.h"
#include "cohort/kernels/cpu/plain/register.h"
#include "cohort/kernels/cpu/strided_copy.h"

namespace cohort::cpu::plain {
namespace {

using Ints = std::vector<int64_t>;

// Fills the output with zeros or a value where `background` is set, then copies a block.
template <class T>
class BlockKernel final : public CpuKernel {
 public:
  BlockKernel(const KernelRequest& request, StridedCopy copy, bool background = false,
              T value = T{})
      : CpuKernel(request), copy_(std::move(copy)), background_(background), value_(value) {}

  void run() override {
    T* y = out(0).template data<T>();
    if (background_)
      parallel_for(
          threads(), out(0).num_elements(), grain_for(1, sizeof(T)),
          [=, this](int64_t begin, int64_t end) { std::fill(y + begin, y + end, value_); });
    copy_.run(threads(), in(0).template data<T>(), y);
  }

 private:
  StridedCopy copy_;
  bool background_;
  T value_;
};

// What x[begin : … : step] covers: element [i, j, …] of the slice lies at offset + i * strides[0] +
// ….
struct SliceLayout {
  Ints strides;
  int64_t offset = 0;
};

SliceLayout slice_layout(const Attrs& attrs, const Shape& whole) {
  const Ints& begin = attrs.get<Ints>("begin");
  const Ints& steps = attrs.get<Ints>("strides");
  SliceLayout layout{row_major_strides(whole.numbers())};
  for (size_t axis = 0; axis < layout.strides.size(); ++axis) {
    layout.offset += begin[axis] * layout.strides[axis];
    if (!steps.empty()) layout.strides[axis] *= steps[axis];
  }
  return layout;
}

std::unique_ptr<Kernel> make_transpose(const KernelRequest& request) {
  const Ints& permutation = request.node.attrs().get<Ints>("permutation");
  const Ints sizes = request.outputs[0].shape.numbers();
  const Ints from = row_major_strides(request.inputs[0].shape.numbers());
  Ints permuted;
  for (const int64_t axis : permutation) permuted.push_back(from[static_cast<size_t>(axis)]);
  StridedCopy copy(sizes, permuted, row_major_strides(sizes));
  return for_bytes(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<BlockKernel<decltype(type)>>(request, std::move(copy));
  });
}

std::unique_ptr<Kernel> make_slice(const KernelRequest& request) {
  const SliceLayout from = slice_layout(request.node.attrs(), request.inputs[0].shape);
  const Ints sizes = request.outputs[0].shape.numbers();
  StridedCopy copy(sizes, from.strides, row_major_strides(sizes), from.offset);
  return for_bytes(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<BlockKernel<decltype(type)>>(request, std::move(copy));
  });
}

std::unique_ptr<Kernel> make_slice_grad(const KernelRequest& request) {
  const SliceLayout to = slice_layout(request.node.attrs(), request.outputs[0].shape);
  const Ints sizes = request.inputs[0].shape.numbers();
  StridedCopy copy(sizes, row_major_strides(sizes), to.strides, 0, to.offset);
  return for_bytes(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<BlockKernel<decltype(type)>>(request, std::move(copy), true);
  });
}

std::unique_ptr<Kernel> make_pad(const KernelRequest& request) {
  const Ints& before = request.node.attrs().get<Ints>("before");
  const double value = request.node.attrs().get_or<double>("value", 0);
  const Ints to = row_major_strides(request.outputs[0].shape.numbers());
  int64_t offset = 0;
  for (size_t axis = 0; axis < to.size(); ++axis) offset += before[axis] * to[axis];
  const Ints sizes = request.inputs[0].shape.numbers();
  StridedCopy copy(sizes, row_major_strides(sizes), to, 0, offset);
  return visit_dtype(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    using T = decltype(type);
    return std::make_unique<BlockKernel<T>>(request, std::move(copy), true, cast_element<T>(value));
  });
}

std::unique_ptr<Kernel> make_broadcast_to(const KernelRequest& request) {
  const Shape& x = request.inputs[0].shape;
  const Ints sizes = request.outputs[0].shape.numbers();
  const Ints strides = row_major_strides(x.numbers());
  Ints from(sizes.size(), 0);
  for (int axis = 0; axis < x.rank(); ++axis)
    if (x.size(axis) != 1)
      from[sizes.size() - strides.size() + static_cast<size_t>(axis)] =
          strides[static_cast<size_t>(axis)];
  StridedCopy copy(sizes, from, row_major_strides(sizes));
  return for_bytes(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<BlockKernel<decltype(type)>>(request, std::move(copy));
  });
}

// Each input is a block of columns of the output seen as [outer, axis and all behind it].
template <class T>
class ConcatKernel final : public CpuKernel {
 public:
  explicit ConcatKernel(const KernelRequest& request) : CpuKernel(request) {
    const Shape& y = request.outputs[0].shape;
    const int axis = y.axis(request.node.attrs().get<int64_t>("axis"), "concat");
    rows_ = y.num_elements(0, axis);
    width_ = y.num_elements(axis, y.rank());
    for (const Operand& x : request.inputs)
      widths_.push_back(x.shape.num_elements(axis, x.shape.rank()));
  }

  void run() override {
    T* y = out(0).template data<T>();
    int64_t column = 0;
    for (int i = 0; i < num_inputs(); ++i) {
      const T* x = in(i).template data<T>();
      const int64_t width = widths_[static_cast<size_t>(i)];
      parallel_for(threads(), rows_, grain_for(width, 2 * width * static_cast<int64_t>(sizeof(T))),
                   [=, this](int64_t begin, int64_t end) {
                     for (int64_t row = begin; row < end; ++row)
                       std::copy_n(x + row * width, width, y + row * width_ + column);
                   });
      column += width;
    }
  }

 private:
  int64_t rows_ = 0;
  int64_t width_ = 0;
  std::vector<int64_t> widths_;
};

std::unique_ptr<Kernel> make_concat(const KernelRequest& request) {
  return for_bytes(request.outputs[0].dtype, [&](auto type) -> std::unique_ptr<Kernel> {
    return std::make_unique<ConcatKernel<decltype(type)>>(request);
  });
}

}  // namespace

void register_array(KernelRegistry& registry) {
  registry.add("Transpose", DeviceType::kCPU, kPlain, make_transpose);
  registry.add("Slice", DeviceType::kCPU, kPlain, make_slice);
  registry.add("SliceGrad", DeviceType::kCPU, kPlain, make_slice_grad);
  registry.add("Pad", DeviceType::kCPU, kPlain, make_pad);
  registry.add("BroadcastTo", DeviceType::kCPU, kPlain, make_broadcast_to);
  registry.add("Concat", DeviceType::kCPU, kPlain, make_concat);
}

}  // namespace cohort::cpu::plain

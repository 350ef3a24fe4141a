// Ops that move elements: arrays are walked by strides, whole ones are copied by the copy engine.
#include <algorithm>

#include "cohort/kernels/cuda/copy.h"
#include "cohort/kernels/cuda/cuda_kernel.h"
#include "cohort/kernels/cuda/pattern.h"
#include "cohort/kernels/cuda/register.h"
#include "cohort/kernels/cuda/walks.h"

namespace cohort::cuda {
namespace {

using Ints = std::vector<int64_t>;

Walk two_walk(const Ints& sizes, const Ints& to, const Ints& from) {
  const std::array<std::span<const int64_t>, 2> strides = {to, from};
  return make_walk(sizes, strides);
}

int bytes_of(const Operand& operand) { return static_cast<int>(size_of(operand.dtype)); }

void* element(const Operand& operand, int64_t i) {
  return operand.data<std::byte>() + i * bytes_of(operand);
}

// y = x, whatever the shapes are.
std::unique_ptr<Kernel> make_copy(const KernelRequest& request) {
  return make_kernel(
      [x = request.inputs[0], y = request.outputs[0], stream = stream_of(request)] {
        copy_bytes(*y.slot, *x.slot, y.num_bytes(), stream);
      },
      {.in_place = true});
}

// Where no more than two axes change places with whole runs before and behind, tiles serve.
struct MatrixTranspose {
  int64_t count, rows, columns;
};
std::optional<MatrixTranspose> as_matrices(const Walk& walk) {
  // Arrays: 0 is written in order, 1 is read. [count, columns, rows] of the output.
  const int64_t* from = walk.strides[1];
  const uint32_t* size = walk.sizes;
  if (walk.rank == 2 && from[0] == 1 && from[1] == size[0]) return {{1, size[1], size[0]}};
  if (walk.rank == 3 && from[1] == 1 && from[2] == size[1] &&
      from[0] == static_cast<int64_t>(size[1]) * size[2])
    return {{size[0], size[2], size[1]}};
  return {};
}

std::unique_ptr<Kernel> make_transpose(const KernelRequest& request) {
  const Operand x = request.inputs[0];
  const Operand y = request.outputs[0];
  const Ints sizes = y.shape.numbers();
  const Ints strides = row_major_strides(x.shape.numbers());
  Ints from;
  for (const int64_t axis : request.node.attrs().get<Ints>("permutation"))
    from.push_back(strides[static_cast<size_t>(axis)]);
  const Walk walk = two_walk(sizes, row_major_strides(sizes), from);
  const std::optional<MatrixTranspose> m = as_matrices(walk);
  return make_kernel([=, stream = stream_of(request)] {
    if (m)
      transpose_matrices(bytes_of(x), m->count, m->rows, m->columns, *x.slot, *y.slot, stream);
    else
      copy_strided(bytes_of(x), walk, *y.slot, *x.slot, stream);
  });
}

// What x[begin : … : step] covers: element [i, j, …] lies at offset + i * strides[0] + ….
struct Region {
  Ints strides;
  int64_t offset = 0;
};

Region slice_region(const Attrs& attrs, const Shape& whole) {
  const Ints& begin = attrs.get<Ints>("begin");
  const Ints& steps = attrs.get<Ints>("strides");
  Region region = {row_major_strides(whole.numbers())};
  for (size_t axis = 0; axis < region.strides.size(); ++axis) {
    region.offset += begin[axis] * region.strides[axis];
    if (!steps.empty()) region.strides[axis] *= steps[axis];
  }
  return region;
}

std::unique_ptr<Kernel> make_slice(const KernelRequest& request) {
  const Operand x = request.inputs[0];
  const Operand y = request.outputs[0];
  const Region from = slice_region(request.node.attrs(), x.shape);
  const Ints sizes = y.shape.numbers();
  const Walk walk = two_walk(sizes, row_major_strides(sizes), from.strides);
  return make_kernel([=, offset = from.offset, stream = stream_of(request)] {
    copy_strided(bytes_of(x), walk, *y.slot, element(x, offset), stream);
  });
}

// x written into a region of y, whose other elements are `background`.
std::unique_ptr<Kernel> make_scatter(const KernelRequest& request, const Region& to,
                                     uint64_t background) {
  const Operand x = request.inputs[0];
  const Operand y = request.outputs[0];
  const Ints sizes = x.shape.numbers();
  const Walk walk = two_walk(sizes, to.strides, row_major_strides(sizes));
  return make_kernel([=, offset = to.offset, stream = stream_of(request)] {
    fill(bytes_of(y), background, *y.slot, y.num_elements(), stream);
    copy_strided(bytes_of(x), walk, element(y, offset), *x.slot, stream);
  });
}

std::unique_ptr<Kernel> make_slice_grad(const KernelRequest& request) {
  return make_scatter(request, slice_region(request.node.attrs(), request.outputs[0].shape), 0);
}

std::unique_ptr<Kernel> make_pad(const KernelRequest& request) {
  const Ints& before = request.node.attrs().get<Ints>("before");
  const Operand& y = request.outputs[0];
  Region to = {row_major_strides(y.shape.numbers())};
  for (size_t axis = 0; axis < before.size(); ++axis) to.offset += before[axis] * to.strides[axis];
  return make_scatter(request, to,
                      bit_pattern(y.dtype, request.node.attrs().get_or<double>("value", 0)));
}

std::unique_ptr<Kernel> make_broadcast_to(const KernelRequest& request) {
  const Operand x = request.inputs[0];
  const Operand y = request.outputs[0];
  const Ints sizes = y.shape.numbers();
  const Ints own = row_major_strides(x.shape.numbers());
  Ints from(sizes.size(), 0);
  for (size_t axis = 0; axis < own.size(); ++axis)
    if (x.shape.size(static_cast<int>(axis)) != 1)
      from[sizes.size() - own.size() + axis] = own[axis];
  const Walk walk = two_walk(sizes, row_major_strides(sizes), from);
  return make_kernel([=, stream = stream_of(request)] {
    copy_strided(bytes_of(x), walk, *y.slot, *x.slot, stream);
  });
}

// Each input is a block of columns of the output seen as [rows, axis and all behind it].
std::unique_ptr<Kernel> make_concat(const KernelRequest& request) {
  const Operand y = request.outputs[0];
  const int axis = y.shape.axis(request.node.attrs().get<int64_t>("axis"), "concat");
  const int64_t rows = y.shape.num_elements(0, axis);
  std::vector<Operand> inputs(request.inputs.begin(), request.inputs.end());
  const int64_t pitch = y.shape.num_elements(axis, y.shape.rank());
  std::vector<Walk> walks;
  for (const Operand& x : inputs) {
    const int64_t width = x.shape.num_elements(axis, x.shape.rank());
    walks.push_back(two_walk({rows, width}, {pitch, 1}, {width, 1}));
  }
  return make_kernel(
      [=, inputs = std::move(inputs), walks = std::move(walks), stream = stream_of(request)] {
        int64_t column = 0;
        for (size_t i = 0; i < inputs.size(); ++i) {
          copy_strided(bytes_of(y), walks[i], element(y, column), *inputs[i].slot, stream);
          column += inputs[i].shape.num_elements(axis, inputs[i].shape.rank());
        }
      });
}

std::unique_ptr<Kernel> make_fill(const KernelRequest& request) {
  const Operand y = request.outputs[0];
  const uint64_t pattern = bit_pattern(y.dtype, request.node.attrs().get<double>("value"));
  return make_kernel([=, stream = stream_of(request)] {
    fill(bytes_of(y), pattern, *y.slot, y.num_elements(), stream);
  });
}

std::unique_ptr<Kernel> make_num_rows(const KernelRequest& request) {
  const auto rows = static_cast<uint64_t>(request.inputs[0].shape.size(0));
  return make_kernel([=, y = request.outputs[0], stream = stream_of(request)] {
    fill(sizeof(int64_t), rows, *y.slot, 1, stream);
  });
}

// The value is kept in device memory and copied at every run.
std::unique_ptr<Kernel> make_constant(const KernelRequest& request) {
  const Tensor value = request.node.attrs().get<Tensor>("value").contiguous();
  const std::shared_ptr<void> memory = request.device.allocate(value.num_bytes());
  request.device.copy_from_host(memory.get(), value.raw(), value.num_bytes());
  return make_kernel([memory, y = request.outputs[0], stream = stream_of(request)] {
    copy_bytes(*y.slot, memory.get(), y.num_bytes(), stream);
  });
}

}  // namespace

void register_array(KernelRegistry& kernels) {
  const auto add = [&](std::string_view op, KernelFactory make) {
    kernels.add(op, DeviceType::kGPU, "cuda", make);
  };
  for (const std::string_view op : {"Reshape", "Identity", "StopGradient", "Copy"})
    add(op, make_copy);
  add("Transpose", make_transpose);
  add("Slice", make_slice);
  add("SliceGrad", make_slice_grad);
  add("Pad", make_pad);
  add("BroadcastTo", make_broadcast_to);
  add("Concat", make_concat);
  add("Fill", make_fill);
  add("Shape0", make_num_rows);
  add("Constant", make_constant);
}

}  // namespace cohort::cuda

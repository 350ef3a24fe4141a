#include "tests/gpu/device_case.h"

#include <cmath>
#include <cstring>
#include <set>

#include "cohort/core/runtime/module.h"
#include "cohort/core/runtime/philox.h"

namespace cohort::testing {

Device* gpu() { return gpus().empty() ? nullptr : gpus().front(); }

std::vector<Device*> gpus() { return default_runtime().devices(DeviceType::kGPU); }

std::vector<Device*> cards() {
  const JobCommunicators* nccl = default_runtime().job_communicators(DeviceType::kGPU);
  std::vector<Device*> firsts;
  std::set<std::string> seen;
  for (Device* device : gpus())
    if (seen.insert(nccl->identity(*device)).second) firsts.push_back(device);
  return firsts;
}

void GpuTest::SetUp() {
  if (gpu()) return;
  Runtime probe;
  GTEST_SKIP() << "needs a GPU; here: " << load_gpu_module(probe).detail;
}

Tensor random_numbers(DType dtype, Shape shape, uint64_t seed) {
  Tensor tensor(dtype, std::move(shape));
  visit_dtype(dtype, [&](auto type) {
    using T = decltype(type);
    T* x = tensor.data<T>();
    for (int64_t i = 0; i < tensor.num_elements(); ++i) {
      const float u = philox_uniform_float(philox_word(seed, static_cast<uint64_t>(i)));
      if constexpr (std::is_same_v<T, bool>)
        x[i] = u < 0.5f;
      else
        x[i] = static_cast<T>(std::is_unsigned_v<T> ? u * 4 : u * 4 - 2);
    }
  });
  return tensor;
}

Tensor random_integers(Shape shape, int64_t limit, uint64_t seed) {
  Tensor tensor(DType::kI64, std::move(shape));
  for (int64_t i = 0; i < tensor.num_elements(); ++i)
    tensor.data<int64_t>()[i] =
        philox_word(seed, static_cast<uint64_t>(i)) % static_cast<uint32_t>(limit);
  return tensor;
}

GpuKernel::GpuKernel(const KernelCase& test, std::string_view implementation)
    : device_(*gpu()), graph_(default_runtime().ops()) {
  device_.bind_thread();
  std::vector<Value> values;
  for (const Tensor& input : test.inputs)
    values.push_back(graph_.placeholder("x", {input.dtype(), input.shape()}));
  Attrs attrs = test.attrs;
  std::vector<int64_t> ids;
  for (const Tensor& variable : test.variables)
    ids.push_back(graph_.variable_id(
        std::make_shared<VariableState>(variable.clone(), VariableOptions{.name = "v"})));
  if (!ids.empty()) attrs.set("variables", ids);
  const Node* node = graph_.add(test.op, values, attrs);

  for (const Tensor& input : test.inputs) inputs_.push_back(place(input));
  for (const Tensor& variable : test.variables) variables_.push_back(place(variable));
  for (const TensorType& type : node->output_types()) {
    Tensor nothing(type.dtype, type.shape);
    if (nothing.num_bytes() > 0) std::memset(nothing.raw(), 0xff, nothing.num_bytes());
    outputs_.push_back(place(nothing));
  }
  memory_.push_back(device_.allocate(sizeof(StepState)));
  device_.copy_from_host(memory_.back().get(), &test.step, sizeof(StepState));
  step_ = static_cast<const StepState*>(memory_.back().get());

  const KernelRequest request{.node = *node,
                              .inputs = inputs_,
                              .outputs = outputs_,
                              .variables = variables_,
                              .workspace = &workspace_,
                              .step = &step_,
                              .device = device_};
  const KernelRegistry& kernels = default_runtime().kernels();
  kernel_ = implementation.empty() ? kernels.make(request) : kernels.make(request, implementation);
  if (!kernel_) return;
  memory_.push_back(device_.allocate(kernel_->workspace_bytes()));
  workspace_ = memory_.back().get();
}

Operand GpuKernel::place(const Tensor& tensor) {
  memory_.push_back(device_.allocate(tensor.num_bytes()));
  device_.copy_from_host(memory_.back().get(), tensor.raw(), tensor.num_bytes());
  slots_.push_back(std::make_unique<void*>(memory_.back().get()));
  return {tensor.dtype(), tensor.shape(), slots_.back().get(), &version_};
}

Tensor GpuKernel::fetch(const Operand& operand) const {
  Tensor tensor(operand.dtype, operand.shape);
  device_.copy_to_host(tensor.raw(), *operand.slot, operand.num_bytes());
  return tensor;
}

KernelResult GpuKernel::run() {
  submit();
  device_.synchronize();
  return results();
}

KernelResult GpuKernel::results() const {
  KernelResult result;
  for (const Operand& output : outputs_) result.outputs.push_back(fetch(output));
  for (const Operand& variable : variables_) result.variables.push_back(fetch(variable));
  return result;
}

void expect_close(const Tensor& got, const Tensor& want, double tolerance) {
  ASSERT_EQ(got.dtype(), want.dtype());
  ASSERT_EQ(got.shape(), want.shape());
  if (tolerance == 0) {
    EXPECT_TRUE(bitwise_equal(got, want))
        << "got " << got.to_string() << "\nwant " << want.to_string();
    return;
  }
  const Tensor a = got.cast(DType::kF64), b = want.cast(DType::kF64);
  for (int64_t i = 0; i < a.num_elements(); ++i) {
    const double x = a.data<double>()[i], y = b.data<double>()[i];
    if (x == y || (std::isnan(x) && std::isnan(y))) continue;
    ASSERT_LE(std::fabs(x - y), tolerance * (1 + std::fabs(y)))
        << "element " << i << " of " << got.shape().to_string() << ": got " << x << ", want " << y;
  }
}

void expect_like_cpu(const KernelCase& test, double tolerance, std::string_view implementation) {
  SCOPED_TRACE(test.op);
  const KernelResult want = run_kernel(test);
  GpuKernel kernel(test, implementation);
  ASSERT_TRUE(kernel.valid()) << implementation << " does not take the case";
  const KernelResult got = kernel.run();
  for (size_t i = 0; i < want.outputs.size(); ++i)
    expect_close(got.outputs[i], want.outputs[i], tolerance);
  for (size_t i = 0; i < want.variables.size(); ++i)
    expect_close(got.variables[i], want.variables[i], tolerance);
  if (!test.variables.empty()) return;  // a second run starts from other values
  const KernelResult again = kernel.run();
  for (size_t i = 0; i < got.outputs.size(); ++i)
    EXPECT_TRUE(bitwise_equal(again.outputs[i], got.outputs[i])) << "second run, output " << i;
}

double rounding(DType dtype) {
  switch (dtype) {
    case DType::kF16:
      return 2e-3;
    case DType::kBF16:
      return 2e-2;
    case DType::kF64:
      return 1e-12;
    case DType::kF32:
      return 5e-6;
    default:
      return 0;
  }
}

}  // namespace cohort::testing

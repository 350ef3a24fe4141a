#pragma once

#include "cohort/kernels/cpu/cpu_kernel.h"
#include "cohort/kernels/cpu/parallel.h"
#include "cohort/kernels/cpu/simd_dispatch.h"

// Kernels that split an op over the device's team and leave each part to the vector routines of the
// processor at hand (kernels/cpu/simd). float and double.
namespace cohort::cpu::vector {

inline constexpr std::string_view kVector = "simd";

/// K<float> or K<double> for the dtype; null for others.
template <template <class> class K>
std::unique_ptr<Kernel> make_for(DType dtype, const KernelRequest& request) {
  if (dtype == DType::kF32) return std::make_unique<K<float>>(request);
  if (dtype == DType::kF64) return std::make_unique<K<double>>(request);
  return nullptr;
}

/// By the first output's dtype.
template <template <class> class K>
std::unique_ptr<Kernel> make_by_output(const KernelRequest& request) {
  return make_for<K>(request.outputs[0].dtype, request);
}

/// By the first variable's dtype.
template <template <class> class K>
std::unique_ptr<Kernel> make_by_variable(const KernelRequest& request) {
  return make_for<K>(request.variables[0].dtype, request);
}

// One for each file of this folder.
void register_activation(KernelRegistry& registry);
void register_arithmetic(KernelRegistry& registry);
void register_conv(KernelRegistry& registry);
void register_matmul(KernelRegistry& registry);
void register_norm(KernelRegistry& registry);
void register_pool(KernelRegistry& registry);
void register_random(KernelRegistry& registry);
void register_reduce(KernelRegistry& registry);
void register_softmax(KernelRegistry& registry);
void register_element_update(KernelRegistry& registry);
void register_update(KernelRegistry& registry);

}  // namespace cohort::cpu::vector

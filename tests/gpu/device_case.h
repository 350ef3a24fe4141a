#pragma once

#include <gtest/gtest.h>

#include <string_view>

#include "cohort/core/runtime/runtime.h"
#include "tests/kernels/kernel_harness.h"

namespace cohort::testing {

/// The first GPU of the default runtime; null where there is none.
Device* gpu();

/// All of them: logical devices where there is one card.
std::vector<Device*> gpus();
/// The first of each card. NCCL joins cards, and copies the logical devices of one: a case of
/// either skips, saying so, where there is only the other.
std::vector<Device*> cards();

/// Skips, saying why, where there is no GPU.
class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override;
};

/// Numbers in [-2, 2) (0 … 3 for u8; true or false), the same for the same seed.
Tensor random_numbers(DType dtype, Shape shape, uint64_t seed = 1);
/// i64 in 0 … limit - 1.
Tensor random_integers(Shape shape, int64_t limit, uint64_t seed = 1);

/// A case's kernel on the GPU, and memory for all its operands. Outputs begin as NaN bytes.
class GpuKernel {
 public:
  /// `implementation`: its name in the registry; "" takes the first that accepts.
  explicit GpuKernel(const KernelCase& test, std::string_view implementation = "");

  bool valid() const { return kernel_ != nullptr; }
  void submit() { kernel_->run(); }
  /// What lies in outputs and variables.
  KernelResult results() const;
  /// Submits, waits, and returns the results. Throws what the kernel found.
  KernelResult run();

 private:
  Operand place(const Tensor& tensor);
  Tensor fetch(const Operand& operand) const;

  Device& device_;
  Graph graph_;
  std::vector<std::shared_ptr<void>> memory_;
  std::vector<std::unique_ptr<void*>> slots_;
  std::vector<Operand> inputs_, outputs_, variables_;
  const StepState* step_ = nullptr;
  void* workspace_ = nullptr;
  uint64_t version_ = 0;
  std::unique_ptr<Kernel> kernel_;
};

/// |got - want| <= tolerance * (1 + |want|) for each element, NaN equal to NaN.
void expect_close(const Tensor& got, const Tensor& want, double tolerance);

/// The GPU gives what the plain CPU kernel gives, within tolerance (0: the same bits), and the same
/// bits when it runs again. `implementation` as above; a case that it does not take fails.
void expect_like_cpu(const KernelCase& test, double tolerance,
                     std::string_view implementation = "");

/// A tolerance for results that are rounded once or twice in this dtype.
double rounding(DType dtype);

}  // namespace cohort::testing

#pragma once

#include <memory>
#include <vector>

#include "cohort/core/graph/graph.h"
#include "cohort/kernels/cpu/update_plan.h"

namespace cohort::cpu {

/// What depends on an element, by node id: `num_arrays` placeholders, and what is made of them.
std::vector<bool> made_of_elements(const Graph& body, size_t num_arrays);

/// The part of a body of an update that is the same for all elements, for one thread: its numbers,
/// and what its ops make of these alone.
class BodyNumbers {
 public:
  BodyNumbers(const KernelRequest& request, const Graph& body, size_t num_arrays, bool decays,
              Device& device);
  BodyNumbers(const BodyNumbers&) = delete;
  BodyNumbers& operator=(const BodyNumbers&) = delete;

  /// By node id; of what depends on elements nothing.
  const std::vector<Operand>& operands() const { return operands_; }
  void compute(const double* numbers, double& weight_decay);

 private:
  void add(const KernelRequest& request, const Node& node, Device& device);

  std::vector<Operand> operands_;
  std::vector<void*> slots_;
  std::vector<double> memory_;  ///< of one number each
  std::vector<void**> given_;
  void** weight_decay_ = nullptr;
  std::vector<std::unique_ptr<Kernel>> kernels_;
};

/// What kernels of "ElementwiseUpdate" (core/ops/update_body.h) share: the group's arrays as they
/// lie now.
class BodyUpdateKernel : public UpdateKernel {
 protected:
  explicit BodyUpdateKernel(const KernelRequest& request);

  /// Variables side by side in every array.
  struct Piece {
    int first;  ///< variable
    int64_t count;
  };

  const Graph& body() const { return *body_; }
  size_t num_arrays() const { return num_arrays_; }  ///< gradient, parameter, slots
  size_t element_bytes() const { return element_bytes_; }
  int64_t num_elements() const;
  const double* numbers() const { return in(num_inputs() - 2).data<double>(); }
  /// Allocates nothing.
  const std::vector<Piece>& find_pieces();
  /// Of an array at a variable.
  std::byte* begin_of(size_t array, int variable) const;

 private:
  bool follows(const Piece& piece, int next) const;

  std::shared_ptr<const Graph> body_;
  size_t num_arrays_, element_bytes_;
  std::vector<Piece> pieces_;
};

}  // namespace cohort::cpu

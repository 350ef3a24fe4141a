#include "cohort/kernels/cpu/update_plan.h"

namespace cohort::cpu {

UpdateKernel::UpdateKernel(const KernelRequest& request)
    : CpuKernel(request),
      decay_(request.node.attrs().get_or<std::vector<double>>("weight_decay", {})),
      count_(num_inputs() - *request.node.op().group_inputs),
      num_arrays_(1 + request.variables.size() / static_cast<size_t>(count_)),
      element_bytes_(size_of(request.variables[0].dtype)) {
  pieces_.reserve(static_cast<size_t>(count_));
}

int64_t UpdateKernel::num_elements() const {
  int64_t elements = 0;
  for (int i = 0; i < count(); ++i) elements += parameter(i).num_elements();
  return elements;
}

const std::vector<UpdateKernel::Piece>& UpdateKernel::find_pieces() {
  pieces_.clear();
  for (int i = 0; i < count(); ++i) {
    if (!pieces_.empty() && follows(pieces_.back(), i))
      pieces_.back().count += parameter(i).num_elements();
    else
      pieces_.push_back({i, parameter(i).num_elements()});
  }
  return pieces_;
}

bool UpdateKernel::follows(const Piece& piece, int next) const {
  if (decay(piece.first) != decay(next)) return false;
  for (size_t k = 0; k < num_arrays_; ++k)
    if (begin_of(k, piece.first) + piece.count * static_cast<int64_t>(element_bytes_) !=
        begin_of(k, next))
      return false;
  return true;
}

std::byte* UpdateKernel::begin_of(size_t array, int variable) const {
  const Operand& operand = array == 0   ? gradient(variable)
                           : array == 1 ? parameter(variable)
                                        : slot(static_cast<int>(array) - 2, variable);
  return operand.data<std::byte>();
}

}  // namespace cohort::cpu

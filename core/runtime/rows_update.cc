#include "cohort/core/runtime/rows_update.h"

namespace cohort {

RowsUpdate::RowsUpdate(const KernelRequest& request)
    : indices_(request.inputs[0]),
      apply_(request.inputs[3]),
      tables_(request.variables.begin(), request.variables.end()),
      row_bytes_(static_cast<size_t>(tables_[0].shape.num_elements(1, tables_[0].shape.rank())) *
                 size_of(tables_[0].dtype)),
      places_(tables_.size()),
      graph_(request.node.graph().ops()) {
  const std::vector<Operand> inputs(request.inputs.begin() + 1, request.inputs.end());
  std::vector<Value> values;
  for (const Operand& input : inputs)
    values.push_back(graph_.placeholder("input", {input.dtype, input.shape}));
  std::vector<Operand> variables;
  for (size_t k = 0; k < tables_.size(); ++k)
    variables.push_back({tables_[k].dtype, inputs[0].shape, &places_[k], nullptr});
  update_ = request.kernels->make(
      {.node = *graph_.add("ElementwiseUpdate", std::move(values), request.node.attrs()),
       .inputs = inputs,
       .outputs = {},
       .variables = variables,
       .workspace = &workspace_of_update_,
       .step = request.step,
       .device = request.device});
}

size_t RowsUpdate::table_bytes() const {
  return (static_cast<size_t>(num_rows()) * row_bytes_ + 255) / 256 * 256;
}

size_t RowsUpdate::workspace_bytes() const {
  return tables_.size() * table_bytes() + update_->workspace_bytes();
}

void RowsUpdate::use(void* workspace) {
  auto* next = static_cast<std::byte*>(workspace);
  for (void*& place : places_) {
    place = next;
    next += table_bytes();
  }
  workspace_of_update_ = next;
}

}  // namespace cohort

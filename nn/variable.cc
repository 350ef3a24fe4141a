#include "cohort/nn/variable.h"

#include "cohort/core/graph/scope.h"

namespace cohort::nn {

Variable::Variable(const Tensor& initial, std::string name, bool trainable)
    : Handle(std::make_shared<VariableState>(
          initial, VariableOptions{.name = std::move(name), .trainable = trainable})) {}

std::string Variable::name() const {
  const std::string& full = path();
  return full.substr(full.rfind('/') + 1);
}

Value Variable::read() const { return require_graph("variable " + path()).read(impl_); }

}  // namespace cohort::nn

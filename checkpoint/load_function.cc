#include "cohort/checkpoint/load_function.h"

#include <fmt/format.h>

#include "cohort/checkpoint/exported_directory.h"
#include "cohort/core/graph/scope.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/runtime/splice.h"
#include "cohort/core/symbol.h"

namespace cohort {
namespace {

/// Matches arguments with inputs: what their symbols become.
class ArgumentBinding {
 public:
  ArgumentBinding(const LoadedFunction::Description& function, std::span<const Value> arguments) {
    if (arguments.size() != function.inputs.size())
      throw InvalidArgument("{}: got {} arguments; want {}", function.name, arguments.size(),
                            function.inputs.size());
    // Derived symbols are compared when all plain ones are known.
    for (const bool derived : {false, true})
      for (size_t i = 0; i < arguments.size(); ++i)
        match(function.name, function.inputs[i], arguments[i].type(), derived);
  }

  const DimBindings& bindings() const { return bindings_; }

 private:
  void match(const std::string& function, const NamedType& want, const TensorType& got,
             bool derived) {
    bool fits = got.dtype == want.type.dtype && got.shape.rank() == want.type.shape.rank();
    for (int axis = 0; fits && axis < got.shape.rank(); ++axis)
      fits = match(want.type.shape[axis], got.shape[axis], derived);
    if (fits) return;
    std::string known;
    for (const auto& [symbol, dim] : bindings_) known += fmt::format(", {} = {}", symbol, dim);
    throw InvalidArgument("{}: input \"{}\": got {} {}; want {} {}{}", function, want.name,
                          got.dtype, got.shape, want.type.dtype, want.type.shape, known);
  }

  bool match(const Dim& want, const Dim& got, bool derived) {
    if (!want.is_symbol()) return want == got;
    const bool is_derived = want.symbol().find_first_of("+-*") != std::string::npos;
    if (is_derived) return !derived || cohort::bind(want, numbers_) == got;
    if (!got.is_symbol()) numbers_.emplace(want.symbol(), got.number());
    return bindings_.emplace(want.symbol(), got).first->second == got;
  }

  DimBindings bindings_;
  SymbolBindings numbers_;
};

LoadedFunction make_function(checkpoint::StoredFunction stored) {
  LoadedFunction::Description description = stored.description;
  const auto kept = std::make_shared<const checkpoint::StoredFunction>(std::move(stored));
  const auto body = [kept](std::span<const Value> arguments) {
    const ArgumentBinding binding(kept->description, arguments);
    return splice(*kept->graph, kept->results, require_graph(kept->description.name), arguments,
                  binding.bindings());
  };
  return LoadedFunction(body, std::move(description));
}

}  // namespace

LoadedFunction::LoadedFunction(Body body, Description description)
    : Function(body, description.name),
      state_(std::make_shared<const State>(State{std::move(body), std::move(description)})) {}

std::vector<Value> LoadedFunction::call(const std::vector<Value>& inputs) const {
  return state_->body(inputs);
}

std::map<std::string, Tensor> LoadedFunction::operator()(
    const std::map<std::string, Tensor>& named) const {
  std::vector<Tensor> arguments;
  std::string names;
  for (const NamedType& input : inputs()) {
    names += fmt::format(" \"{}\"", input.name);
    if (const auto found = named.find(input.name); found != named.end())
      arguments.push_back(found->second);
  }
  if (arguments.size() != inputs().size() || named.size() != inputs().size()) {
    std::string got;
    for (const auto& [name, tensor] : named) got += fmt::format(" \"{}\"", name);
    throw InvalidArgument("{}: got inputs{}; want{}", name(), got, names);
  }
  const std::vector<Tensor> results = (*this)(std::span<const Tensor>(arguments));
  std::map<std::string, Tensor> by_name;
  for (size_t i = 0; i < results.size(); ++i) by_name.emplace(outputs()[i].name, results[i]);
  return by_name;
}

std::map<std::string, LoadedFunction> load_functions(const std::string& directory) {
  std::map<std::string, LoadedFunction> functions;
  for (checkpoint::StoredFunction& stored :
       checkpoint::read_functions(directory, default_runtime().ops())) {
    const std::string name = stored.description.name;
    functions.emplace(name, make_function(std::move(stored)));
  }
  return functions;
}

LoadedFunction load_function(const std::string& directory, const std::string& signature) {
  const std::map<std::string, LoadedFunction> functions = load_functions(directory);
  if (const auto found = functions.find(signature); found != functions.end()) return found->second;
  std::string names;
  for (const auto& [name, function] : functions) names += fmt::format(" \"{}\"", name);
  throw NotFound("{}: got \"{}\"; want one of the functions that are there:{}", directory,
                 signature, names);
}

}  // namespace cohort

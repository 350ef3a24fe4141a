#include "cohort/nn/saving/export_archive.h"

#include <algorithm>
#include <map>
#include <set>

#include "cohort/checkpoint/exported_directory.h"
#include "cohort/core/graph/variable.h"
#include "cohort/core/runtime/passes.h"
#include "cohort/core/runtime/runtime.h"
#include "cohort/core/runtime/splice.h"
#include "cohort/nn/model_impl.h"
#include "cohort/nn/saving/agreement.h"
#include "cohort/nn/saving/keras_layers.h"
#include "cohort/nn/saving/object_walk.h"

namespace cohort::nn {
namespace {

using checkpoint::StoredFunction;

/// Of a trace, for one replica, with placeholders called as the inputs are.
GraphFunction for_one_replica(const Trace& trace) {
  return drop_reductions(*trace.graph, trace.outputs);
}

std::vector<NamedType> name_outputs(const std::string& name, const std::vector<Value>& results,
                                    std::vector<std::string> names) {
  if (names.empty())
    for (size_t i = 0; i < results.size(); ++i) names.push_back(fmt::format("output_{}", i + 1));
  if (names.size() != results.size())
    throw InvalidArgument("add_endpoint: {}: got {} names for {} outputs; want as many", name,
                          names.size(), results.size());
  std::vector<NamedType> outputs;
  for (size_t i = 0; i < results.size(); ++i)
    outputs.push_back({std::move(names[i]), results[i].type()});
  return outputs;
}

/// What a model that begins with Inputs declares; else, what it was called on.
std::vector<NamedType> inputs_of(const ModelImpl& model) {
  std::vector<NamedType> inputs;
  const std::vector<SymbolicTensor> symbolic = model.symbolic_inputs();
  const auto is_input = [](const SymbolicTensor& tensor) { return tensor.call().inputs.empty(); };
  if (!symbolic.empty() && std::all_of(symbolic.begin(), symbolic.end(), is_input)) {
    for (const SymbolicTensor& input : symbolic)
      inputs.push_back({input.layer().name(), input.type()});
    return inputs;
  }
  for (const TensorType& type : model.input_types()) {
    inputs.push_back({fmt::format("input_{}", inputs.size() + 1), type});
    Shape& shape = inputs.back().type.shape;
    if (shape.rank() > 0) shape[0] = batch_dim();
  }
  if (inputs.empty())
    throw FailedPrecondition(
        "{}: export_to: got a model that was not called yet; want one that is built, or an "
        "input_signature",
        model.name());
  return inputs;
}

}  // namespace

struct ExportArchive::State {
  explicit State(distribute::Strategy strategy) : strategy(std::move(strategy)) {}

  /// The name of a variable's tensor, its own.
  const std::string& name_of(const std::shared_ptr<VariableState>& variable,
                             const std::string& wanted) {
    const auto known = names.find(variable.get());
    if (known != names.end()) return known->second;
    std::string name = wanted;
    for (int i = 1; !taken.insert(name).second; ++i) name = fmt::format("{}_{}", wanted, i);
    return names.emplace(variable.get(), name).first->second;
  }

  /// A variable that stands for another one in a file: its name, and no value.
  std::shared_ptr<VariableState> stand_in(const std::shared_ptr<VariableState>& variable) {
    const std::string& name = name_of(variable, variable->name());
    auto& made = stand_ins[name];
    if (!made) {
      made = std::make_shared<VariableState>(
          variable->dtype(), variable->shape(),
          [type = variable->dtype(), shape = variable->shape()] { return Tensor(type, shape); },
          VariableOptions{.name = name, .trainable = false});
      variables.push_back(variable);
    }
    return made;
  }

  std::vector<checkpoint::PieceSource> weights(
      const std::map<const VariableState*, Tensor>& whole) const {
    std::vector<checkpoint::PieceSource> pieces;
    for (const auto& variable : variables)
      pieces.push_back({names.at(variable.get()), variable->dtype(), variable->shape().numbers(), 0,
                        variable->shape().num_elements(), [&whole, variable] {
                          const auto made = whole.find(variable.get());
                          return made == whole.end() ? variable->value() : made->second;
                        }});
    return pieces;
  }

  const distribute::Strategy strategy;
  std::vector<StoredFunction> functions;
  std::map<const VariableState*, std::string> names;
  std::set<std::string> taken;
  std::map<std::string, std::shared_ptr<VariableState>> stand_ins;
  std::vector<std::shared_ptr<VariableState>> variables;  ///< that the functions read
};

ExportArchive::ExportArchive() : ExportArchive(distribute::current_strategy()) {}
ExportArchive::ExportArchive(distribute::Strategy strategy)
    : state_(std::make_unique<State>(std::move(strategy))) {}
ExportArchive::~ExportArchive() = default;

void ExportArchive::track(const Layer& layer) {
  for (const internal::LayerInFile& each : internal::layers_of("track", layer))
    for (const Variable& weight : each.weights)
      state_->name_of(weight.shared(), internal::tensor_name(each, weight));
}

void ExportArchive::add_endpoint(const std::string& name, const Function& function,
                                 const std::vector<NamedType>& inputs,
                                 std::vector<std::string> outputs) {
  for (const StoredFunction& known : state_->functions)
    if (known.description.name == name)
      throw AlreadyExists("add_endpoint: got a second \"{}\"; want another name", name);
  Signature signature;
  for (const NamedType& input : inputs) signature.push_back(input.type);
  const GraphFunction traced = for_one_replica(function.record(signature));
  try {
    check_is_function(*traced.graph);
  } catch (const Error& error) {
    throw error.within("add_endpoint: " + name);
  }
  StoredFunction stored{{name, inputs, name_outputs(name, traced.fetches, std::move(outputs))},
                        std::make_shared<Graph>(traced.graph->ops()),
                        {}};
  std::vector<Value> arguments;
  for (const NamedType& input : inputs)
    arguments.push_back(stored.graph->placeholder("inputs/" + input.name, input.type));
  stored.results = splice(*traced.graph, traced.fetches, *stored.graph, arguments, {},
                          [this](const auto& variable) { return state_->stand_in(variable); });
  state_->functions.push_back(std::move(stored));
}

void ExportArchive::write_out(const std::string& directory, bool overwrite) const {
  if (state_->functions.empty())
    throw FailedPrecondition("write_out: got no endpoint; call add_endpoint() first");
  distribute::Workers& workers = state_->strategy.workers();
  internal::collectively(workers, "write_out()", [&] {
    std::map<const VariableState*, Tensor> whole;  // what all workers together make so
    for (const auto& variable : state_->variables)
      if (internal::is_of_all(*variable)) whole[variable.get()] = variable->value();
    return internal::Agreement(workers).from_chief("export", [&] {
      checkpoint::write_functions(directory, state_->functions, state_->weights(whole), overwrite);
      return "";
    });
  });
}

void Model::export_to(const std::string& directory, ExportOptions options) const {
  const ModelImpl& model = model_impl();
  ExportArchive archive(model.strategy());
  archive.track(*this);
  if (options.input_signature.empty()) options.input_signature = inputs_of(model);
  const Function serve(
      [*this](std::span<const Value> inputs) {
        return call(std::vector<Value>(inputs.begin(), inputs.end()), {.training = false});
      },
      "serve");
  archive.add_endpoint("serve", serve, options.input_signature, output_names());
  archive.write_out(directory, options.overwrite);
}

}  // namespace cohort::nn

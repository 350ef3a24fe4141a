#include "cohort/nn/saving/object_walk.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "cohort/checkpoint/manifest.h"
#include "cohort/nn/internal/names.h"
#include "cohort/nn/model_impl.h"
#include "cohort/nn/saving/keras_layers.h"
#include "cohort/nn/saving/variable_value.h"

namespace cohort::nn::internal {
namespace {

class Walker {
 public:
  explicit Walker(const TrackedObjects& objects) {
    for (const auto& [name, object] : objects)
      if (const auto* optimizer = std::get_if<Optimizer>(&object))
        named_.insert(optimizer->shared().get());
    for (const auto& [name, object] : objects) {
      check_root(name);
      root_ = name;
      std::visit([&](const auto& handle) { add(name, handle); }, object);
    }
    // When all that slots may be of have their names.
    for (size_t i = 0; i < optimizers_.size(); ++i) add_optimizer(optimizers_[i]);
    std::sort(walked_.values.begin(), walked_.values.end(),
              [](const SavedValue& a, const SavedValue& b) { return a.name < b.name; });
  }

  Walked take() { return std::move(walked_); }

 private:
  void check_root(const std::string& name) {
    if (name.empty() || name.find('/') != std::string::npos)
      throw InvalidArgument("checkpoint: got an object called \"{}\"; want a name without \"/\"",
                            name);
    if (TrainingState::kPrefix == name + "/")
      throw InvalidArgument(
          "checkpoint: got an object called \"{}\"; want another name, fit has it", name);
    if (!roots_.insert(name).second)
      throw InvalidArgument("checkpoint: got two objects called \"{}\"; want different names",
                            name);
  }

  void add_value(SavedValue value) {
    checkpoint::check_tensor_name(value.name);
    const auto [other, is_new] = names_.emplace(value.name, value.identity);
    if (!is_new)
      throw InvalidArgument(
          "checkpoint: got two values that would be saved as \"{}\"; want different names of "
          "weights and layers",
          value.name);
    walked_.values.push_back(std::move(value));
  }

  void add(const std::string& name, const Variable& variable) {
    const auto state = variable.shared();
    if (!state)
      throw InvalidArgument("checkpoint: got an empty variable called \"{}\"; want one", name);
    if (!name_of_.emplace(state.get(), name).second) return;
    add_value({.name = name,
               .dtype = state->dtype(),
               .shape = state->shape(),
               .identity = state.get(),
               .value = VariableValue{state},
               .assign = [state](const Tensor& value) { state->assign(value); },
               .is_of_all = [state] { return is_of_all(*state); }});
  }

  void add(const std::string& name, const Layer& layer) {
    if (!visited_.insert(&layer.impl()).second) return;
    if (!layer.built()) walked_.complete = false;
    for (const Variable& weight : layer.impl().own_weights())
      add(name + "/" + weight_name(layer.impl(), weight), weight);
    if (layer.impl().counts_children_by_class())
      add_counted(name + "/layers/", layer.impl());
    else
      add_named(name + "/", layer.impl());
    if (auto model = std::dynamic_pointer_cast<ModelImpl>(layer.shared())) add_model(name, model);
  }

  void add_counted(const std::string& prefix, const LayerImpl& layer) {
    std::map<std::string, int> count;
    for (const auto& [name, child] : layer.children()) {
      const std::string base = to_snake_case(child->type_name());
      const int number = count[base]++;
      add(prefix + base + (number == 0 ? "" : "_" + std::to_string(number)), child);
    }
  }

  void add_named(const std::string& prefix, const LayerImpl& layer) {
    auto children = layer.children();
    std::sort(children.begin(), children.end(), [](const auto& a, const auto& b) {
      return attribute_comes_before(a.first, b.first);
    });
    for (const auto& [name, child] : children) add(prefix + name, child);
  }

  void add_model(const std::string& name, const std::shared_ptr<ModelImpl>& model) {
    add_value(
        {.name = name + "/steps_trained",
         .dtype = DType::kI64,
         .shape = {},
         .identity = model.get(),
         .value = [model] { return Tensor::scalar<int64_t>(model->steps_trained()); },
         .assign =
             [model](const Tensor& value) { model->set_steps_trained(value.item<int64_t>()); }});
    const Optimizer optimizer = model->optimizer();
    if (optimizer.defined() && !named_.contains(optimizer.shared().get()))
      add(name + "/optimizer", optimizer);
  }

  struct Found {
    std::string root, name;
    Optimizer optimizer;
  };

  void add(const std::string& name, const Optimizer& optimizer) {
    if (visited_.insert(&optimizer.impl()).second) optimizers_.push_back({root_, name, optimizer});
  }

  void add_optimizer(const Found& found) {
    const auto& [root, name, optimizer] = found;
    const size_t first = walked_.values.size();
    walked_.optimizers.push_back(optimizer);
    if (!optimizer->built()) walked_.complete = false;
    add(name + "/iterations", optimizer->iterations());
    if (!optimizer->options().learning_rate.is_scheduled())
      add(name + "/learning_rate", optimizer->variables().at(1));
    for (const Variable& state : optimizer->states())
      add(name + "/" + state.path().substr(state.path().rfind('/') + 1), state);
    std::map<std::string, int> count;
    for (const OptimizerImpl::Slot& slot : optimizer->slots()) {
      const int number = count[slot.name]++;
      add(name + "/" + slot.name + "/" + owner_name(slot.of, root, number), slot.value);
    }
    for (size_t i = first; i < walked_.values.size(); ++i) {
      walked_.values[i].optimizer = optimizer.shared();
      walked_.values[i].optimizer_name = name;
    }
  }

  /// How a slot calls its variable: as it is saved, without the root's name where that is the
  /// optimizer's, too; by its number where it is not saved.
  std::string owner_name(const Variable& of, const std::string& root, int number) const {
    const auto owner = name_of_.find(of.shared().get());
    if (owner == name_of_.end()) return std::to_string(number);
    const std::string prefix = root + "/";
    return owner->second.starts_with(prefix) ? owner->second.substr(prefix.size()) : owner->second;
  }

  void add(const std::string& name, const Metric& metric) {
    if (!visited_.insert(&metric.impl()).second) return;
    int number = 0;
    for (const Variable& variable : metric.variables())
      add(name + "/" + std::to_string(number++), variable);
  }

  void add(const std::string& name, const Resumable& resumable) {
    if (!visited_.insert(&resumable.items()).second) return;
    int number = 0;
    for (const ResumableItem& item : resumable.items())
      add_value({.name = name + "/" + std::to_string(number++),
                 .dtype = item.dtype,
                 .shape = item.shape,
                 .identity = &item,
                 .value = item.value,
                 .assign = item.assign});
  }

  Walked walked_;
  std::string root_;
  std::vector<Found> optimizers_;
  std::set<std::string> roots_;
  std::map<std::string, const void*> names_;
  std::map<const void*, std::string> name_of_;
  std::set<const void*> visited_, named_;
};

}  // namespace

bool attribute_comes_before(const std::string& a, const std::string& b) {
  const bool a_private = a.starts_with('_'), b_private = b.starts_with('_');
  return a_private != b_private ? b_private : a < b;
}

bool is_of_all(const VariableState& state) {
  const VariableState::Part part = state.part();
  return state.is_sharded() || (part.whole && part.whole->is_sharded()) ||
         state.options().synchronization == VariableSynchronization::kOnRead;
}

Walked walk(const TrackedObjects& objects) { return Walker(objects).take(); }

}  // namespace cohort::nn::internal

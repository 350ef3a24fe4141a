#include "cohort/nn/saving/optimizer_weights.h"

#include <fmt/format.h>

#include <algorithm>

#include "cohort/checkpoint/hdf5_file.h"
#include "cohort/nn/loss_scale.h"
#include "cohort/nn/optimizers.h"

namespace cohort::nn::internal {
namespace {

constexpr const char* kOuter = "optimizer/vars";
constexpr const char* kInner = "optimizer/inner_optimizer/vars";

/// Slots that come together for one variable after the other, in the order of these groups.
std::vector<std::vector<std::string>> slot_groups(const OptimizerImpl& optimizer) {
  std::vector<std::string> names;
  for (const OptimizerImpl::Slot& slot : optimizer.slots())
    if (std::find(names.begin(), names.end(), slot.name) == names.end()) names.push_back(slot.name);
  std::vector<std::vector<std::string>> groups;
  const auto take = [&](const std::string& name) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) return;
    groups.push_back({name});
    names.erase(found);
  };
  take("average");
  take("gradient_accumulator");
  const bool has_hat = std::find(names.begin(), names.end(), "velocity_hat") != names.end();
  if (has_hat) std::erase(names, "velocity_hat");
  if (optimizer.made_of().type() == typeid(RMSprop))
    for (const std::string& name : names) groups.push_back({name});
  else if (!names.empty())
    groups.push_back(names);
  if (has_hat) groups.push_back({"velocity_hat"});
  return groups;
}

std::vector<Variable> slots_in_order(const OptimizerImpl& optimizer) {
  const std::vector<OptimizerImpl::Slot> slots = optimizer.slots();
  std::vector<Variable> owners, ordered;
  for (const OptimizerImpl::Slot& slot : slots)
    if (std::find(owners.begin(), owners.end(), slot.of) == owners.end()) owners.push_back(slot.of);
  for (const std::vector<std::string>& group : slot_groups(optimizer))
    for (const Variable& owner : owners)
      for (const std::string& name : group)
        for (const OptimizerImpl::Slot& slot : slots)
          if (slot.of == owner && slot.name == name) ordered.push_back(slot.value);
  return ordered;
}

/// Without the loss scale.
std::vector<Variable> own_variables(const OptimizerImpl& optimizer) {
  std::vector<Variable> all{optimizer.iterations()};
  if (!optimizer.options().learning_rate.is_scheduled()) all.push_back(optimizer.variables()[1]);
  for (const Variable& slot : slots_in_order(optimizer)) all.push_back(slot);
  std::vector<Variable> scale;
  if (optimizer.loss_scale()) scale = optimizer.loss_scale()->variables();
  for (const Variable& state : optimizer.states())
    if (std::find(scale.begin(), scale.end(), state) == scale.end()) all.push_back(state);
  return all;
}

}  // namespace

std::vector<OptimizerWeight> optimizer_weights(const Optimizer& optimizer) {
  const std::vector<Variable> own = own_variables(optimizer.impl());
  std::vector<OptimizerWeight> weights;
  const auto add = [&](const char* group, const std::vector<Variable>& variables) {
    for (size_t i = 0; i < variables.size(); ++i)
      weights.push_back({fmt::format("{}/{}", group, i), variables[i]});
  };
  if (!optimizer->loss_scale()) {
    add(kOuter, own);
    return weights;
  }
  std::vector<Variable> outer{own[0]};
  if (!optimizer->options().learning_rate.is_scheduled()) outer.push_back(own[1]);
  for (const Variable& each : optimizer->loss_scale()->variables()) outer.push_back(each);
  outer.insert(outer.end(), own.begin(), own.end());
  add(kOuter, outer);
  add(kInner, own);
  return weights;
}

std::vector<std::pair<std::string, std::string>> optimizer_groups(const Optimizer& optimizer) {
  if (!optimizer->loss_scale()) return {{kOuter, optimizer->name()}};
  return {{kOuter, optimizer->loss_scale()->name()}, {kInner, optimizer->name()}};
}

void load_optimizer(const std::string& file, const Optimizer& optimizer,
                    const std::vector<Variable>& trainable) {
  const auto reader = checkpoint::open_hdf5(file);
  std::map<std::string, const checkpoint::Hdf5Dataset*> there;
  for (const checkpoint::Hdf5Dataset& dataset : reader->datasets())
    if (dataset.path.starts_with("optimizer/")) there.emplace(dataset.path, &dataset);
  if (there.empty()) return;  // saved without it
  if (!optimizer->built() && there.size() > optimizer_weights(optimizer).size())
    optimizer.build(trainable);
  const std::vector<OptimizerWeight> weights = optimizer_weights(optimizer);
  if (weights.size() != there.size())
    throw InvalidArgument("{}: {}: the file has {} variables, the optimizer {}", file,
                          optimizer->name(), there.size(), weights.size());
  std::vector<std::pair<Variable, const checkpoint::Hdf5Dataset*>> pairs;
  for (const OptimizerWeight& weight : weights) {
    const auto found = there.find(weight.path);
    if (found == there.end())
      throw InvalidArgument("{}: {}: the file has nothing for {}", file, weight.path,
                            weight.variable.path());
    if (found->second->shape != weight.variable.shape())
      throw InvalidArgument("{}: {}: the file has {} for {}, which is {}", file, weight.path,
                            found->second->shape, weight.variable.path(), weight.variable.shape());
    pairs.emplace_back(weight.variable, found->second);
  }
  for (const auto& [variable, dataset] : pairs)
    variable.assign(reader->read(*dataset).cast(variable.dtype()));
}

}  // namespace cohort::nn::internal

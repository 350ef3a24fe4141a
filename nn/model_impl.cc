#include "cohort/nn/model_impl.h"

#include <fmt/format.h>

#include <cstdio>
#include <mutex>

#include "cohort/core/runtime/runtime.h"
#include "cohort/core/terminal.h"
#include "cohort/nn/internal/names.h"
#include "cohort/nn/internal/trainer.h"

namespace cohort::nn {

ModelImpl::ModelImpl(std::string type_name, LayerOptions options)
    : LayerImpl(std::move(type_name), std::move(options)),
      strategy_(distribute::current_strategy()) {}

ModelImpl::~ModelImpl() = default;

std::vector<std::string> ModelImpl::output_names() const {
  std::vector<std::string> names;
  for (size_t i = 0; i < std::max<size_t>(1, output_types().size()); ++i)
    names.push_back("output_" + std::to_string(i + 1));
  return names;
}

void ModelImpl::compile(CompileOptions options) {
  const auto entered = enter("compile()");
  if (distribute::has_strategy() && !(distribute::current_strategy() == strategy_))
    throw FailedPrecondition(
        "{}: compile: got a call in the scope of {} for a model made in that of {}; want model and "
        "compile() in one scope",
        name(), distribute::current_strategy().name(), strategy_.name());
  if (runs_ > 0)
    throw FailedPrecondition(
        "{}: compile: got a call while the model runs; want it outside of fit, evaluate and "
        "predict, not in their callbacks",
        name());
  if (options.run_eagerly)
    throw Unimplemented(
        "{}: compile: got run_eagerly = true; want false: Cohort always runs a traced graph (to "
        "look "
        "inside, return values from a cohort::function)",
        name());
  if (options.steps_per_execution < 1)
    throw InvalidArgument("{}: compile: got steps_per_execution {}; want 1 or more", name(),
                          options.steps_per_execution);
  if (options.auto_scale_loss && dtype_policy() == "mixed_float16" && options.optimizer.defined() &&
      !options.optimizer->loss_scale())
    options.optimizer = LossScaleOptimizer{.inner_optimizer = options.optimizer};
  const std::lock_guard lock(default_runtime().tracing());
  trainer_ = std::make_unique<internal::Trainer>(*this, std::move(options));
  compiled_ = true;
  parts_made();
}

Optimizer ModelImpl::optimizer() const {
  return compiled() ? trainer_->options().optimizer : Optimizer();
}

const CompileOptions* ModelImpl::compile_options() const {
  return compiled() ? &trainer_->options() : nullptr;
}

bool ModelImpl::compiled() const { return compiled_ && trainer_->fits_model(); }

/// Steps traced before layers were added or taken away are those of another model. A fit whose
/// callback did that ends with them.
void ModelImpl::drop_outdated_trainer() {
  if (!trainer_ || trainer_->fits_model()) return;
  if (compiled_) outdated_trainer_ = std::move(trainer_);
  trainer_.reset();
  compiled_ = false;
}

distribute::StepNumber ModelImpl::step_number() const {
  return {.seed = default_runtime().random_seed(), .step = steps_trained_};
}

ModelImpl::Entered ModelImpl::enter(const char* what) {
  return {one_thread_.enter(name(), what), strategy_.workers().enter(what)};
}

void ModelImpl::warn_if_apart() {
  if (warned_ || strategy_.workers().count() > 1) return;
  const auto job = default_runtime().job();
  if (!job) return;
  warned_ = true;
  say(stderr, fmt::format("warning: {}: trains in each process on its own: it was made outside of "
                          "the scope of {}\n",
                          name(), *job));
}

internal::Trainer& ModelImpl::compiled_trainer(std::string_view what) {
  drop_outdated_trainer();
  if (!compiled_)
    throw FailedPrecondition(
        "{}: got {}() before compile(); call compile({{.optimizer = …, .loss = "
        "…}}) first, and again after add() and pop()",
        name(), what);
  return *trainer_;
}

internal::Trainer& ModelImpl::trainer() {
  const std::lock_guard lock(default_runtime().tracing());
  drop_outdated_trainer();
  if (!trainer_) trainer_ = std::make_unique<internal::Trainer>(*this, CompileOptions());
  return *trainer_;
}

Model ModelImpl::handle() { return Model(std::static_pointer_cast<ModelImpl>(shared_from_this())); }

Model CallbackImpl::model() const {
  if (!model_)
    throw FailedPrecondition(
        "callback: got a call of model() outside of training; want it in a hook");
  return Model(std::static_pointer_cast<ModelImpl>(model_->shared_from_this()));
}

std::vector<Layer> Model::layers() const {
  std::vector<Layer> layers;
  const bool sequential = impl().type_name() == "Sequential";
  for (const auto& [name, layer] : impl().children())
    if (!sequential || layer->type_name() != "InputLayer") layers.push_back(layer);
  return layers;
}

Layer Model::get_layer(const std::string& name) const {
  std::string names;
  for (const Layer& layer : layers()) {
    if (layer.name() == name) return layer;
    names += " " + layer.name();
  }
  throw NotFound("{}: get_layer: got \"{}\"; want one of{}", this->name(), name, names);
}

Layer Model::get_layer(int64_t index) const {
  const std::vector<Layer> all = layers();
  if (index < 0 || index >= static_cast<int64_t>(all.size()))
    throw OutOfRange("{}: get_layer: got {}; want 0 to {}, less than the number of layers", name(),
                     index, all.size());
  return all[static_cast<size_t>(index)];
}

namespace {

std::vector<SymbolicTensor> known(std::vector<SymbolicTensor> tensors, const Model& model,
                                  std::string_view what) {
  if (tensors.empty())
    throw FailedPrecondition(
        "{}: {}: got a model without symbolic tensors; want a functional one, or a Sequential one "
        "that begins with an Input",
        model.name(), what);
  return tensors;
}

}  // namespace

std::vector<SymbolicTensor> Model::inputs() const {
  return known(impl().symbolic_inputs(), *this, "inputs");
}
std::vector<SymbolicTensor> Model::outputs() const {
  return known(impl().symbolic_outputs(), *this, "outputs");
}

Optimizer Model::optimizer() const {
  return model_impl().compiled_trainer("optimizer").options().optimizer;
}
std::vector<std::string> Model::output_names() const { return model_impl().output_names(); }
bool Model::stop_training() const { return model_impl().stop_training; }
void Model::set_stop_training(bool stop) const { model_impl().stop_training = stop; }

void set_random_seed(uint64_t seed) {
  default_runtime().set_random_seed(seed);
  internal::reset_names();
}
void clear_session() {
  internal::reset_names();
  set_dtype_policy(DType::kF32);
}

}  // namespace cohort::nn

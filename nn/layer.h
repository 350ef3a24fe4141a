#pragma once

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cohort/core/graph/graph.h"
#include "cohort/nn/config.h"
#include "cohort/nn/constraints.h"
#include "cohort/nn/dtype_policy.h"
#include "cohort/nn/handle.h"
#include "cohort/nn/initializers.h"
#include "cohort/nn/regularizers.h"
#include "cohort/nn/saving/parts_observer.h"
#include "cohort/nn/symbolic_tensor.h"
#include "cohort/nn/variable.h"

namespace cohort::nn {

class LayerImpl;
namespace internal {
class CallContext;
}

/// What one call of a layer gets. Values belong to the graph being traced. A mask says which
/// elements count: bool, of the first dimensions of its input ([N, T] of [N, T, K]).
struct CallArgs {
  std::vector<Value> inputs;
  bool training = false;
  Value mask = {};                        ///< of the first input; undefined: none
  std::vector<Value> initial_state = {};  ///< empty: the layer's own
  std::vector<Value> masks = {};          ///< one for each input; undefined: none

  Value input(int i = 0) const { return inputs[static_cast<size_t>(i)]; }
};

struct CallOptions {
  /// Absent: what the calling layer was given; false at the outermost call.
  std::optional<bool> training = {};
  /// Undefined: the one that came with the input, from the layer that made it.
  Value mask = {};
  std::vector<Value> initial_state = {};
};

/// The same for a call on symbolic tensors, of which a functional model makes a call on values. The
/// mask is another symbolic tensor.
struct SymbolicCallOptions {
  std::optional<bool> training = {};
  SymbolicTensor mask = {};
  std::vector<SymbolicTensor> initial_state = {};
};

/// What a layer is called on: one symbolic tensor, or several.
struct SymbolicInputs {
  SymbolicInputs(const SymbolicTensor& one) : tensors{one} {}                           // NOLINT
  SymbolicInputs(std::vector<SymbolicTensor> several) : tensors(std::move(several)) {}  // NOLINT
  SymbolicInputs(std::initializer_list<SymbolicTensor> several) : tensors(several) {}

  std::vector<SymbolicTensor> tensors;
};

/// A handle to a layer: weights, and how outputs are made from inputs. The layers of this folder
/// are aggregates of their options that convert to it, each time to a new layer; so only a handle
/// has weights, and is called more than once:
///
///   const nn::Layer shared = nn::Dense{.units = 16};
///   const nn::SymbolicTensor y = nn::Dense{.units = 4}(shared(x));
class Layer : public Handle<LayerImpl> {
 public:
  using Handle::Handle;

  /// Inside a traced function: records the layer. For layers with one output; call() for others.
  Value operator()(Value input, CallOptions options = {}) const;
  Value operator()(const std::vector<Value>& inputs, CallOptions options = {}) const;
  std::vector<Value> call(const std::vector<Value>& inputs, CallOptions options = {}) const;

  /// The functional form: builds the layer and says what it would return.
  SymbolicTensor operator()(const SymbolicTensor& input,
                            const SymbolicCallOptions& options = {}) const;
  SymbolicTensor operator()(const std::vector<SymbolicTensor>& inputs,
                            const SymbolicCallOptions& options = {}) const;
  std::vector<SymbolicTensor> call(const std::vector<SymbolicTensor>& inputs,
                                   const SymbolicCallOptions& options = {}) const;

  /// Makes the weights for inputs of these types, if they are not there yet.
  void build(const std::vector<TensorType>& inputs) const;

  /// Of the first call on symbolic tensors; of a functional model, and of a Sequential one that
  /// begins with an Input, its own. `model.get_layer("hidden").output()` is where another model can
  /// end. FailedPrecondition without such a call, InvalidArgument where there are several.
  SymbolicTensor input() const;
  SymbolicTensor output() const;

  const std::string& name() const;
  bool built() const;
  bool trainable() const;
  /// Of this layer and all layers in it. Takes effect at the next compile() of a model; models that
  /// are compiled already go on as they were.
  void set_trainable(bool trainable) const;
  /// Trainable ones first within each layer, then the layers inside, in order.
  std::vector<Variable> weights() const;
  std::vector<Variable> trainable_weights() const;
  std::vector<Variable> non_trainable_weights() const;
  int64_t count_params() const;
  /// Copies, in the order of weights().
  std::vector<Tensor> get_weights() const;
  /// 32 hexadecimal digits made of all weights' bits: equal on every replica and worker.
  std::string fingerprint() const;
  /// Throws InvalidArgument when number, dtypes or shapes are not those of weights().
  void set_weights(const std::vector<Tensor>& values) const;
};

/// The call of a layer on symbolic tensors.
struct LayerCall {
  Layer layer;
  std::vector<SymbolicTensor> inputs;
  SymbolicCallOptions options;
  std::vector<TensorType> outputs;
  int index = 0;           ///< counts the calls of this layer
  DeviceName device = {};  ///< of the DeviceScope in which it was made

  /// Everything that flows in: inputs, mask, initial state.
  std::vector<SymbolicTensor> sources() const;
};

/// Arguments that every layer has, in Keras' order.
struct LayerOptions {
  bool trainable = true;
  DTypePolicy dtype = {};  ///< of weights and arithmetic
  bool autocast = true;    ///< floating inputs and weights come in the compute dtype
  std::string name = "";   ///< "": automatic
};

/// Of the options of a layer those that every layer has.
template <class Options>
LayerOptions common_options(const Options& options) {
  return {.trainable = options.trainable, .dtype = options.dtype, .name = options.name};
}

struct WeightOptions {
  Shape shape = {};
  Initializer initializer = "glorot_uniform";
  std::optional<DType> dtype = {};  ///< absent: the layer's variable_dtype()
  bool trainable = true;
  bool autocast = true;  ///< false: a call reads it as it is, whatever dtype it computes in
  Regularizer regularizer = {};
  Constraint constraint = {};
  /// What replicas that write it in a step make of it: see nn/variable.h.
  VariableSynchronization synchronization = VariableSynchronization::kAuto;
  VariableAggregation aggregation = VariableAggregation::kNone;
};

/// What a layer is; a user's own derives from it:
///
///   class Scale : public nn::LayerImpl {
///    public:
///     Scale() : LayerImpl("Scale") {}
///     void build(std::span<const TensorType> inputs) override {
///       factor_ = add_weight("factor", {.shape = {inputs[0].shape[1]}, .initializer = "ones"});
///     }
///     std::vector<Value> call(const nn::CallArgs& args) override { return {args.input() *
///     factor_}; }
///    private:
///     nn::Variable factor_;
///   };
///   nn::Layer layer = nn::make<Scale>();
class LayerImpl : public std::enable_shared_from_this<LayerImpl>, public MadeOfOptions {
 public:
  using HandleType = Layer;

  /// `type_name` is the class's name in CamelCase; automatic names come from it.
  explicit LayerImpl(std::string type_name, LayerOptions options = {});
  virtual ~LayerImpl();
  LayerImpl(const LayerImpl&) = delete;
  LayerImpl& operator=(const LayerImpl&) = delete;

  // --- what a layer overrides ---------------------------------------------------------------
  /// Makes the weights; called once, before the first call. Types may have symbolic dimensions.
  virtual void build(std::span<const TensorType> inputs);
  /// Records the layer's ops. Errors get the layer's name in front.
  virtual std::vector<Value> call(const CallArgs& args) = 0;
  /// Whether masks go on from inputs to outputs; a layer that does not say so drops them, with a
  /// warning.
  virtual bool supports_masking() const { return false; }
  /// The mask of the outputs, in the graph being traced; undefined: none. Asked for where
  /// supports_masking(); the first input's unless overridden.
  virtual Value compute_mask(const CallArgs& args) const { return args.masks.front(); }

  /// What a new object is made of by the function that register_serializable() was given; name,
  /// trainable and dtype are added. A class made of options needs none. Unimplemented.
  virtual Config get_config() const;

  // --- what it is ---------------------------------------------------------------------------
  const std::string& name() const { return name_; }
  const std::string& type_name() const { return type_name_; }
  const DTypePolicy& dtype_policy() const { return policy_; }
  DType compute_dtype() const { return policy_.compute_dtype(); }
  DType variable_dtype() const { return policy_.variable_dtype(); }
  DType dtype() const { return variable_dtype(); }  ///< Keras' other name of it
  /// In a step that a model traces: as it was when the model was compiled.
  bool trainable() const;
  void set_trainable(bool trainable);
  bool built() const { return built_; }
  /// The types of the inputs that it was built for; empty before.
  const std::vector<TensorType>& built_for() const { return built_for_; }
  /// Where the weights are saved; known once the layer is built.
  const std::string& path() const { return path_; }
  const std::vector<std::pair<std::string, Layer>>& children() const { return children_; }
  /// The weights made by this layer itself.
  const std::vector<Variable>& own_weights() const { return own_weights_; }
  /// Output types of the latest call with symbolic dimensions; empty before.
  const std::vector<TensorType>& output_types() const { return output_types_; }
  /// Its input types.
  const std::vector<TensorType>& input_types() const { return input_types_; }
  /// The penalties on the trainable weights of this layer and of those inside, each once, as
  /// scalars in the graph being traced.
  std::vector<Value> regularization_losses() const;
  /// Whether saved names of the layers inside are their classes', counted ("dense", "dense_1"), as
  /// where they are parts of a Sequential or functional model, and not those given to child().
  virtual bool counts_children_by_class() const { return false; }
  /// Tells `observer` when this layer, or one inside it, has been built. Another takes its place.
  void observe_parts(const std::shared_ptr<PartsObserver>& observer);
  /// Grows when layers are added to or taken from a Sequential.
  int64_t structure_version() const { return structure_version_; }
  /// See Layer::input() and output(); empty without a call.
  virtual std::vector<SymbolicTensor> symbolic_inputs() const;
  virtual std::vector<SymbolicTensor> symbolic_outputs() const;

  // --- how it is used (Layer does) ----------------------------------------------------------
  std::vector<Value> apply(const std::vector<Value>& inputs, const CallOptions& options);
  std::vector<SymbolicTensor> apply_symbolic(const std::vector<SymbolicTensor>& inputs,
                                             const SymbolicCallOptions& options);
  void build_for(const std::vector<TensorType>& inputs);
  /// What a call gives; builds the layer. Undefined types in `options`: none.
  std::vector<TensorType> trace_types(const std::vector<SymbolicTensor>& inputs,
                                      const SymbolicCallOptions& options);

 protected:
  /// A weight saved as "<path>/<name>". Call it in build().
  Variable add_weight(const std::string& name, WeightOptions options);
  /// A layer inside this one, saved under `name`. Returns it.
  Layer child(const std::string& name, const Layer& layer) {
    add_child(name, layer);
    return layer;
  }
  template <class L>
  requires std::is_base_of_v<Layer, L> L child(const std::string& name, const L& layer) {
    add_child(name, layer);
    return layer;
  }
  void remove_last_child();
  /// The layers inside are others now: steps that models have traced no longer hold.
  void change_structure() { ++structure_version_; }
  /// A scalar to be added to the loss of the step being traced. It is this replica's share: the
  /// contributions of replicas are added, as those of compute_average_loss(a number of each row).
  void add_loss(Value loss);
  /// Adds the penalty on outputs y [N, …], divided by the rows of the global batch. The penalties
  /// of replicas are added, so `regularizer` gives a sum over rows. An undefined one adds nothing.
  void add_activity_loss(const Regularizer& regularizer, Value y);
  void parts_made() const;
  /// Layers that only pass inputs on (models) take inputs of every dtype, and leave masks to the
  /// layers inside.
  virtual bool converts_inputs() const { return true; }
  /// Whether call() gets floating inputs in the compute dtype.
  virtual bool casts_inputs() const { return converts_inputs() && autocast_; }
  /// x in this layer's compute dtype, integers included.
  Value as_floating(Value x) const;

 private:
  friend class Layer;
  CallArgs arguments(const std::vector<Value>& inputs, const CallOptions& options, bool training);
  void pass_masks_on(const CallArgs& args, const std::vector<Value>& outputs);
  void add_child(const std::string& name, const Layer& layer);
  std::string name_within_parent() const;
  std::optional<DType> autocast_within(const internal::CallContext* outer) const;
  void build_once(std::span<const TensorType> inputs);
  void add_penalties(std::set<const LayerImpl*>& counted, std::vector<Value>& losses) const;

  std::string type_name_;
  std::string name_;
  std::string path_;
  DTypePolicy policy_;
  bool autocast_;
  bool trainable_;
  bool built_ = false;
  bool has_dropped_a_mask_ = false;
  int symbolic_calls_ = 0;
  std::weak_ptr<const LayerCall> first_symbolic_call_;
  int64_t structure_version_ = 0;
  std::vector<std::pair<std::string, Layer>> children_;
  std::vector<Variable> own_weights_;
  std::vector<std::pair<Variable, Regularizer>> regularizers_;
  std::vector<TensorType> built_for_, input_types_, output_types_;
  std::shared_ptr<PartsObserver> observer_;
};

}  // namespace cohort::nn

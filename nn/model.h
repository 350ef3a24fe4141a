#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cohort/checkpoint/load_function.h"
#include "cohort/data/dataset.h"
#include "cohort/distribute/strategy.h"
#include "cohort/nn/callback.h"
#include "cohort/nn/callbacks/history.h"
#include "cohort/nn/compile_options.h"
#include "cohort/nn/layer.h"

namespace cohort::nn {

/// 0: silent, 1: a progress bar (on a terminal; a line for each epoch elsewhere), 2: a line for
/// each epoch, "auto": 1.
class Verbose {
 public:
  Verbose(int level);          // NOLINT
  Verbose(const char* level);  // NOLINT: "auto"
  int level() const { return level_; }

 private:
  int level_;
};

/// What validation runs on: a dataset, distributed or not, or tensors.
class ValidationData {
 public:
  ValidationData();
  ValidationData(data::Dataset dataset);                 // NOLINT
  ValidationData(distribute::DistributedInput dataset);  // NOLINT
  ValidationData(const Tensor& x, const Tensor& y, const Tensor& sample_weight = {});
  ValidationData(std::vector<Tensor> x, std::vector<Tensor> y,
                 std::vector<Tensor> sample_weight = {});
  ValidationData(const ValidationData& other);
  ValidationData(ValidationData&& other) noexcept;
  ValidationData& operator=(const ValidationData& other);
  ValidationData& operator=(ValidationData&& other) noexcept;
  ~ValidationData();
  bool defined() const;

  std::optional<data::Dataset> dataset;
  std::optional<distribute::DistributedInput> distributed_dataset;
  std::vector<Tensor> x, y, sample_weight;
};

/// Class number -> weight; other classes weigh 1.
using ClassWeight = std::map<int64_t, double>;

struct FitOptions {
  std::optional<int64_t> batch_size = {};  ///< of tensors: 32. A dataset has its own.
  int64_t epochs = 1;
  Verbose verbose = "auto";
  std::vector<Callback> callbacks = {};
  double validation_split = 0.0;  ///< of tensors: the last share of the rows
  ValidationData validation_data = {};
  bool shuffle = true;  ///< tensors only
  ClassWeight class_weight = {};
  std::vector<Tensor> sample_weight =
      {};  ///< tensors only: one for each row, for all outputs or each
  int64_t initial_epoch = 0;
  /// Batches of an epoch; the next one goes on where it ended. A dataset that ends within an epoch
  /// begins again, with a warning.
  std::optional<int64_t> steps_per_epoch = {};
  std::optional<int64_t> validation_steps = {};  ///< at most; a warning when there are fewer
  std::optional<int64_t> validation_batch_size = {};
  int64_t validation_freq = 1;
};

struct EvaluateOptions {
  std::optional<int64_t> batch_size = {};
  Verbose verbose = "auto";
  std::vector<Tensor> sample_weight = {};
  std::optional<int64_t> steps = {};  ///< batches at most; a warning when there are fewer
  std::vector<Callback> callbacks = {};
};

struct PredictOptions {
  std::optional<int64_t> batch_size = {};
  Verbose verbose = "auto";
  std::optional<int64_t> steps = {};  ///< as in EvaluateOptions
  std::vector<Callback> callbacks = {};
};

struct BatchOptions {
  Tensor sample_weight = {};
  ClassWeight class_weight = {};
};

struct SaveWeightsOptions {
  bool overwrite = true;  ///< false: AlreadyExists where the file is there
  /// GB of 2^30 bytes in one of the files of a ".weights.json"; no weight is larger. Of none other.
  std::optional<double> max_shard_size = {};
};

struct SaveModelOptions {
  bool overwrite = true;          ///< false: AlreadyExists where the file is there
  bool include_optimizer = true;  ///< what compile() was given, and the optimizer's state
};

struct LoadWeightsOptions {
  /// Loads what fits and names the rest on standard error, instead of throwing.
  bool skip_mismatch = false;
  /// Of a legacy ".h5" alone: layers take the weights of those of their names, wherever they stand,
  /// and others keep theirs.
  bool by_name = false;
};

struct ExportOptions {
  /// Names and types of the inputs, where symbolic dimensions are free. Empty: those of a
  /// functional model, and of a Sequential one that begins with an Input; of others those of the
  /// latest call.
  std::vector<NamedType> input_signature = {};
  bool overwrite = true;  ///< false: AlreadyExists where the directory is there
};

struct SummaryOptions {
  std::optional<int> line_length = {};  ///< columns; absent: at most 88, or 108 with connections
  std::function<void(const std::string& line)> print_fn = {};  ///< absent: standard output
  bool expand_nested = false;
  bool show_trainable = false;
};

struct ModelOptions {
  std::vector<SymbolicTensor> inputs;
  std::vector<SymbolicTensor> outputs;
  std::string name = "";
  bool trainable = true;
};

/// A handle to a model: a layer that can be trained. It runs on the strategy in whose scope it was
/// made. Threads may use different models at once, and predict with one, also beside its fit; one
/// thread at a time compiles, fits or evaluates it, and calls anything of a model on several
/// processes: FailedPrecondition names both otherwise. Steps on one device run one after another.
///
/// A dataset's components are the model's inputs, then the labels of its outputs, then none, one or
/// as many sample weights. A dataset has global batches, whose rows go to the strategy's replicas;
/// a DistributedDataset is split already, is taken as it is and was made by the model's own
/// strategy (InvalidArgument otherwise).
class Model : public Layer {
 public:
  using HandleType = Model;
  Model() = default;
  explicit Model(std::shared_ptr<ModelImpl> impl);
  /// The functional form: everything between `inputs` and `outputs`. InvalidArgument when an output
  /// depends on an Input that is not among them.
  explicit Model(ModelOptions options);

  ModelImpl& model_impl() const;

  /// Says how to train. Unimplemented for run_eagerly; FailedPrecondition in the scope of another
  /// strategy than the one the model was made in.
  void compile(CompileOptions options) const;

  /// Trains. FailedPrecondition before compile(). Warns where this process is one of several and
  /// the model was made outside of their strategy's scope: each process trains its own then.
  History fit(const data::Dataset& dataset, FitOptions options = {}) const;
  History fit(const distribute::DistributedInput& dataset, FitOptions options = {}) const;
  History fit(const Tensor& x, const Tensor& y, FitOptions options = {}) const;
  History fit(const std::vector<Tensor>& x, const std::vector<Tensor>& y,
              FitOptions options = {}) const;

  /// Loss and metrics over all batches.
  Logs evaluate(const data::Dataset& dataset, EvaluateOptions options = {}) const;
  Logs evaluate(const distribute::DistributedInput& dataset, EvaluateOptions options = {}) const;
  Logs evaluate(const Tensor& x, const Tensor& y, EvaluateOptions options = {}) const;
  Logs evaluate(const std::vector<Tensor>& x, const std::vector<Tensor>& y,
                EvaluateOptions options = {}) const;

  /// The output for every row. For models with one output; predict_all() for others. Components of
  /// the dataset behind the inputs are not looked at. Of a DistributedDataset, step by step the
  /// rows of all replicas in their order, which is the dataset's where it is split by rows.
  Tensor predict(const data::Dataset& dataset, PredictOptions options = {}) const;
  Tensor predict(const distribute::DistributedInput& dataset, PredictOptions options = {}) const;
  Tensor predict(const Tensor& x, PredictOptions options = {}) const;
  std::vector<Tensor> predict_all(const data::Dataset& dataset, PredictOptions options = {}) const;
  std::vector<Tensor> predict_all(const distribute::DistributedInput& dataset,
                                  PredictOptions options = {}) const;
  std::vector<Tensor> predict_all(const std::vector<Tensor>& x, PredictOptions options = {}) const;

  /// One step; returns loss and metrics of this batch alone.
  Logs train_on_batch(const Tensor& x, const Tensor& y, BatchOptions options = {}) const;
  Logs train_on_batch(const std::vector<Tensor>& x, const std::vector<Tensor>& y,
                      BatchOptions options = {}) const;
  Logs test_on_batch(const Tensor& x, const Tensor& y, BatchOptions options = {}) const;
  Tensor predict_on_batch(const Tensor& x) const;

  using Layer::operator();
  /// Compiles and runs the model on concrete tensors, as one replica.
  Tensor operator()(const Tensor& x) const;

  /// Writes the model into one file whose name ends in ".keras", which load_model() here and
  /// keras.saving.load_model() read: what its layers are made of, what compile() was given, weights
  /// and the optimizer's state. Of a class of one's own, get_config() and the weights. Throws as
  /// to_json() and save_weights(); collective as that.
  void save(const std::string& filepath, SaveModelOptions options = {}) const;
  /// What the model is made of, without weights, in Keras' form: for model_from_json(). Throws
  /// InvalidArgument, naming the layer, where something was made of a function, which has no name
  /// that a reader knows, or of a class that was not registered.
  std::string to_json() const;

  /// Writes the weights for another program, or for Keras; not the optimizer's state, which a
  /// Checkpoint has. By the end of `filepath`:
  ///   .weights.h5     one file, as `keras.Model.save_weights` writes it
  ///   .weights.json   an index of several such files, of at most max_shard_size, as Keras has them
  ///   .safetensors    tensors called "layers/dense_1/kernel", as in a checkpoint
  /// One file takes its place whole; of several the index comes last, and an older one goes first.
  /// Collective in a job of several processes: the chief writes. Throws FailedPrecondition where a
  /// layer is not built yet, and for the first two where this build is without HDF5.
  void save_weights(const std::string& filepath, SaveWeightsOptions options = {}) const;
  /// Takes the weights of such a file, from Keras or from here; of a ".safetensors" also what
  /// `cohort-checkpoint convert --prefix model/` makes of a checkpoint. Throws InvalidArgument,
  /// with all that does not fit, where the file has other layers, names that somebody gave ("head",
  /// not "dense_1"), shapes or dtypes than the model, or a weight that no layer takes: nothing has
  /// changed then. An optimizer's state in the file is left there. Also takes the ".h5" of tf.keras
  /// (legacy HDF5: weights, or a whole model's), layer by layer. Collective, each worker reads.
  void load_weights(const std::string& filepath, LoadWeightsOptions options = {}) const;

  /// Writes what predict() computes, with the weights, for programs that have none of its classes
  /// (Keras' export(); that word is C++'s own): the function "serve" of an ExportArchive, for
  /// cohort::load_function(). Its outputs have the names of output_names(). Collective in a job of
  /// several processes: the chief writes. Throws FailedPrecondition where a layer is not built yet,
  /// or the model writes variables when it predicts.
  void export_to(const std::string& directory, ExportOptions options = {}) const;

  std::string summary_text(SummaryOptions options = {}) const;
  void summary(SummaryOptions options = {}) const;

  std::vector<Layer> layers() const;
  /// Throws NotFound that lists the layers.
  Layer get_layer(const std::string& name) const;
  /// In the order of layers(), from 0. OutOfRange.
  Layer get_layer(int64_t index) const;
  /// Of a functional model, and of a Sequential one that begins with an Input: where it begins and
  /// ends, for another functional model. FailedPrecondition for others.
  std::vector<SymbolicTensor> inputs() const;
  std::vector<SymbolicTensor> outputs() const;
  /// FailedPrecondition before compile().
  Optimizer optimizer() const;
  std::vector<std::string> output_names() const;
  bool stop_training() const;
  void set_stop_training(bool stop) const;
};

struct SequentialOptions {
  bool trainable = true;
  std::string name = "";
};

/// Layers one after another. With an Input in front, it is built at once.
class Sequential : public Model {
 public:
  Sequential(std::vector<Layer> layers, SequentialOptions options = {});  // NOLINT
  explicit Sequential(SequentialOptions options = {});
  void add(const Layer& layer) const;
  /// Takes the last layer away.
  void pop() const;
};

/// Seeds every random op, initializer and shuffle that has no seed of its own, and starts automatic
/// names anew: the same program after it gives the same numbers.
void set_random_seed(uint64_t seed);
/// Starts automatic names anew: the next Dense without a name is "dense". The dtype policy is
/// float32 again.
void clear_session();

}  // namespace cohort::nn

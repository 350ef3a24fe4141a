"""Where docs/reference.md lists what, and which name Keras, tf.data or tf.distribute has for it.

What is not named here is found by its base class or its own name; what cannot be found that way is an
error.
"""

# The headers whose classes and functions the page accounts for: all of these folders, and of distribute
# and cluster what the umbrella header includes, the resolvers and the server.
HEADERS = [
    "nn/*.h",
    "nn/layers/*.h",
    "nn/callbacks/*.h",
    "nn/metrics/*.h",
    "nn/optimizers/*.h",
    "nn/saving/saved_model.h",
    "nn/saving/serialization.h",
    "data/*.h",
    "cluster/*resolver.h",
    "cluster/server.h",
    "distribute/communication_options.h",
]
UMBRELLA = "cohort/cohort.h"
UMBRELLA_FOLDERS = ("distribute", "cluster")

# title, their family, base class, how the arguments common to all are called
CLASS_SECTIONS = [
    ("Layers", "keras.layers", "Layer"),
    ("Initializers", "keras.initializers", "Initializer"),
    ("Regularizers", "keras.regularizers", "Regularizer"),
    ("Constraints", "keras.constraints", "Constraint"),
    ("Losses", "keras.losses", "Loss"),
    ("Metrics", "keras.metrics", "Metric"),
    ("Optimizers", "keras.optimizers", "Optimizer"),
    ("Learning-rate schedules", "keras.optimizers.schedules", "LearningRateSchedule"),
    ("Callbacks", "keras.callbacks", "Callback"),
]
# These have none of the arguments that the others of their section share.
APART = {"nn::LossScaleOptimizer"}
# What is also given by name; names.cc asks the library for the names.
GIVEN_BY_NAME = {
    "Activations": "activation",
    "Initializers": "initializer",
    "Regularizers": "regularizer",
    "Constraints": "constraint",
    "Losses": "loss",
    "Metrics": "metric",
    "Optimizers": "optimizer",
}

# Ours -> theirs, where the names differ; "" where they have none.
THEIRS = {
    "nn::Model": "keras.Model",
    "nn::Sequential": "keras.Sequential",
    "nn::ProgressBar": "keras.callbacks.ProgbarLogger",
    "nn::StepReport": "",
    "nn::StepTrace": "",
    "nn::PreemptionCheckpointHandler": "tf.distribute.experimental.PreemptionCheckpointHandler",
    "nn::metrics::MeanOfLoss": "keras.metrics.MeanMetricWrapper",
    "nn::Model::export_to": "keras.Model.export",
    "nn::Model::predict_all": "",
    "nn::Model::summary_text": "",
    "data::Dataset::from_idx": "",
    "data::Dataset::from_tfrecord": "tf.data.TFRecordDataset",
    "data::Dataset::from_text_lines": "tf.data.TextLineDataset",
    "data::Dataset::from_csv": "tf.data.experimental.CsvDataset",
    "data::Dataset::parse_example": "",
    "data::Dataset::legacy_rebatch": "",
    "data::Dataset::cast": "",
    "data::Dataset::batch_rows": "",
    "data::Dataset::iterate": "",
    "data::Dataset::resume": "",
    "data::Dataset::source_files": "",
    "data::Dataset::batch_size": "",
    "data::Dataset::element_spec": "",
    "data::Dataset::num_components": "",
    "data::Dataset::to_string": "",
    "data::TFRecordWriter": "tf.io.TFRecordWriter",
    "distribute::distribute_dataset": "tf.distribute.Strategy.experimental_distribute_dataset",
    "distribute::distribute_datasets_from_function": "tf.distribute.Strategy.distribute_datasets_from_function",
    "distribute::Strategy::local_results": "tf.distribute.Strategy.experimental_local_results",
    "distribute::Strategy::commit_number": "",
    "distribute::Strategy::distribute_values_from_function": "tf.distribute.Strategy.experimental_distribute_values_from_function",
    "cluster::UnionClusterResolver": "tf.distribute.cluster_resolver.UnionResolver",
    "cluster::MpiClusterResolver": "",
    "cluster::IndexedJobClusterResolver": "",
    "cluster::Server": "tf.distribute.Server",
    "cluster::ServerOptions": "tf.distribute.Server",
    "nn::Input": "keras.Input",
    "nn::set_random_seed": "keras.utils.set_random_seed",
    "nn::clear_session": "keras.utils.clear_session",
    "nn::dtype_policy": "keras.config.dtype_policy",
    "nn::set_dtype_policy": "keras.config.set_dtype_policy",
    "nn::compute_average_loss": "tf.nn.compute_average_loss",
    "nn::scale_regularization_loss": "tf.nn.scale_regularization_loss",
    "data::to_categorical": "keras.utils.to_categorical",
}

# Arguments that have another name here, of one thing or (under "") of all.
SAME_ARGUMENT = {
    "": {
        "map_func": "function",
        "dataset_fn": "make",
        "reduce_op": "op",
        "compression_type": "compression",
        "filenames": "files",
        "timeout_seconds": "timeout",
        "merge_fn": "merge",
        "value_fn": "make",
        "file_pattern": "patterns",
        "tensors": "components",
        "fn": "step",
        "args": "arguments",
    },
    "data::Dataset::concatenate": {"dataset": "other"},
    "data::Dataset::rebatch": {"batch_size": "sizes"},
    "data::Dataset::range": {"*args": "stop"},
    "data::Dataset::zip": {"*args": "datasets"},
    "data::Dataset::from_csv": {"record_defaults": "columns"},
    "data::to_categorical": {"x": "labels"},
    "nn::Model": {"layers": "inputs"},
    "nn::Model::export_to": {"filepath": "directory"},
    "cluster::SimpleClusterResolver": {"cluster_spec": "spec"},
    "cluster::KubernetesClusterResolver": {
        "job_to_label_mapping": "selectors",
        "tf_server_port": "port",
        "override_client": "list_pods",
    },
    "cluster::Server": {"server_or_cluster_def": "cluster"},
    "nn::metrics::MeanOfLoss": {"fn": "loss"},
    "data::TFRecordWriter": {"options": "compression"},
    "distribute::ReplicaContext::merge_call": {"args": "values"},
    "cluster::UnionClusterResolver": {"*args": "resolvers"},
}
# Arguments whose parts are members of the one here.
PARTS = {"TaskOverrides": ["task_type", "task_id", "rpc_layer"]}

# Dataset's methods that are not steps of a pipeline: what it says of itself.
INSPECTION = ["cardinality", "batch_size", "element_spec", "num_components", "to_string", "options"]

# Public methods that serve the library itself or are no words of theirs.
NOT_OF_KERAS = {
    "nn::Model": [
        "model_impl",
        "layers",
        "optimizer",
        "output_names",
        "inputs",
        "outputs",
        "stop_training",
        "set_stop_training",
    ],
    "data::Dataset": ["node"],
    "distribute::Strategy": [
        "num_replicas_in_sync",
        "num_local_replicas",
        "is_chief",
        "workers",
        "devices",
        "name",
        "impl",
        "make_runner",
    ],
    "distribute::ReplicaContext": ["replica_id_in_sync_group", "num_replicas_in_sync", "strategy"],
}

# Functions by section; their options are listed with them.
FUNCTIONS = {
    "Models": [
        "nn::Input",
        "nn::set_random_seed",
        "nn::clear_session",
        "nn::set_dtype_policy",
        "nn::dtype_policy",
        "nn::load_model",
        "nn::model_from_json",
        "nn::clone_model",
        "nn::register_serializable",
        "data::to_categorical",
    ],
    "Custom loops": [
        "nn::compute_average_loss",
        "nn::scale_regularization_loss",
        "nn::gradients",
        "nn::zip",
    ],
    "Other data": [
        "data::load_mnist_files",
        "data::read_idx",
        "data::load_npy",
        "data::save_npy",
        "data::load_npz",
        "data::save_npz",
        "data::text_of",
        "data::text_tensor",
        "data::text_spec",
        "data::example_parser",
        "data::serialize_example",
        "data::auto_shard",
        "data::plan_sharding",
    ],
}
# What the functions above and below return or take, and what users' own classes derive from.
SUPPORTING_FUNCTIONS = {
    "nn::make",
    "nn::remember",
    "nn::make_metric",
    "nn::serialize",
    "nn::deserialize",
    "nn::object_registry",
    "data::open_archive",
    "data::write_archive",
    "nn::common_options",
    "nn::operation",
    "nn::reduce_over_replicas",
    "nn::LearningRateScheduler",
    "distribute::current_strategy",
    "distribute::has_strategy",
    "distribute::default_strategy",
    "distribute::in_replica_context",
    "distribute::get_replica_context",
    "distribute::reduce_to",
    "distribute::require_cross_replica_context",
    "distribute::batch_reduce_to",
    "distribute::parse_communication_implementation",
    "cluster::format_master_url",
    "cluster::count_accelerators",
    "cluster::choose_resolver",
    "cluster::natural_less",
    "data::rows_of_replicas",
    "data::batch_sizes_for_worker",
    "data::make_input_pipeline",
    "data::compute_batch_size",
    "data::count_steps",
}
# What symbolic tensors have of core/ops and of the activations above.
SUPPORTING_FUNCTIONS |= {
    f"nn::{name}"
    for name in """
        abs cast ceil celu clip cos elu erf exp expand_dims expm1 exponential floor gelu glu
        hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log log1p
        log_sigmoid log_softmax matmul maximum minimum mish pow reciprocal reduce_max
        reduce_mean reduce_min reduce_sum relu relu6 round rsqrt selu sigmoid sign silu sin
        soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid sparsemax sqrt
        square squared_difference squareplus squeeze swish tanh tanh_shrink threshold
        transpose
    """.split()
}
# Bases of users' own classes -> theirs.
TO_DERIVE_FROM = {
    "nn::LayerImpl": "keras.layers.Layer",
    "nn::ModelImpl": "keras.Model",
    "nn::LossImpl": "keras.losses.Loss",
    "nn::MetricImpl": "keras.metrics.Metric",
    "nn::MeanMetricImpl": "keras.metrics.MeanMetricWrapper",
    "nn::OptimizerImpl": "keras.optimizers.Optimizer",
    "nn::LearningRateScheduleImpl": "keras.optimizers.schedules.LearningRateSchedule",
    "nn::CallbackImpl": "keras.callbacks.Callback",
    "cluster::ClusterResolver": "tf.distribute.cluster_resolver.ClusterResolver",
}
# Theirs that are something else here: a handle, or a function.
ELSEWHERE = {
    *TO_DERIVE_FROM.values(),
    "keras.initializers.Initializer",
    "keras.regularizers.Regularizer",
    "keras.constraints.Constraint",
    "keras.layers.InputLayer",
}
# Handles to those, and the values that arguments and results are made of.
SUPPORTING_CLASSES = {
    "nn::ActivationFunction",
    "nn::Config",
    "nn::ObjectRegistry",
    "nn::MadeOfOptions",
    "data::ArchiveReader",
    "data::ArchiveEntry",
    "nn::Handle",
    "nn::Logs",
    "nn::CallbackParams",
    "nn::StepTimes",
    "nn::Boundary",
    "nn::NamedTensors",
    "nn::FinishedFit",
    "nn::TrainingState",
    "nn::RestoredState",
    "nn::SaveFrequency",
    "nn::internal::BatchCounter",
    "nn::internal::Preemption",
    "nn::Callback",
    "nn::HistoryImpl",
    "nn::InitializerContext",
    "nn::Initializer",
    "nn::Regularizer",
    "nn::Constraint",
    "nn::constraints::Axes",
    "nn::DTypePolicy",
    "nn::LossScale",
    "nn::WeightUse",
    "nn::SymbolicTensor",
    "nn::SymbolicCallOptions",
    "nn::SymbolicInputs",
    "nn::StepBatch",
    "nn::Variable",
    "nn::CallArgs",
    "nn::CallOptions",
    "nn::Layer",
    "nn::LayerCall",
    "nn::LayerOptions",
    "nn::WeightOptions",
    "nn::Size2D",
    "nn::LearningRateSchedule",
    "nn::LearningRate",
    "nn::Loss",
    "nn::MetricArgs",
    "nn::Metric",
    "nn::OptimizerOptions",
    "nn::SlotOptions",
    "nn::ElementUpdate",
    "nn::Optimizer",
    "nn::StepRows",
    "nn::PerOutput",
    "nn::MetricSpec",
    "nn::MetricSpecs",
    "nn::Verbose",
    "nn::ValidationData",
    "nn::InputLayerImpl",
    "nn::internal::Monitor",
    "data::ComponentSpec",
    "data::RowRange",
    "data::Position",
    "data::Iterator",
    "data::RowSplit",
    "data::TrainAndTest",
    "data::ShardingPlan",
    "data::InputWorker",
    "data::InputPipeline",
    "data::StepPosition",
    "data::PipelinePosition",
    "data::PipelinePart",
    "data::StepOptions",
    "data::StepIterator",
    "data::CsvColumn",
    "data::FixedLenFeature",
    "data::DatasetOptions",
    "data::RowSpan",
    "distribute::PerReplica",
    "distribute::Argument",
    "distribute::StepNumber",
    "distribute::CommunicationCost",
    "distribute::StepRunner",
    "distribute::StrategyScope",
    "distribute::InputContext",
    "distribute::DistributedDataset",
    "distribute::DistributedInput",
    "distribute::internal::MergeScope",
    "distribute::Strategy",
    "distribute::ReplicaContext",
    "cluster::TaskOverrides",
    "cluster::ChosenResolver",
    "cluster::Pod",
    "cluster::Environment",
}

"""Keras' side of random_models.py: builds what a description says, trains it, and mends what is known
to be wrong in Keras 3.15 on TensorFlow, so that a difference is one of ours."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras.src.backend.tensorflow import nn as backend_nn  # noqa: E402

MODULES = (keras.layers, keras.losses, keras.optimizers, keras.optimizers.schedules, keras.regularizers)


# --- What is wrong in Keras, and what it ought to be ------------------------------------------------

def sparsemax(x, axis=-1):
    """Keras' threshold takes the sum of all partial sums of the support, not the last one."""
    z = tf.sort(x, direction="DESCENDING", axis=axis)
    sums = tf.cumsum(z, axis=axis)
    counts = tf.range(1, tf.shape(z)[axis] + 1, dtype=x.dtype)
    support = tf.cast(1 + counts * z > sums, x.dtype)
    size = tf.reduce_sum(support, axis, keepdims=True)
    tau = (tf.reduce_sum(z * support, axis, keepdims=True) - 1) / size
    return tf.maximum(x - tau, 0)


def logits_behind(output, from_logits, op_type, fn_name):
    """Keras takes the logits behind a sigmoid for those of a softmax, and from_logits=True not at its
    word."""
    op = getattr(output, "op", None)
    if not from_logits and op is not None and op.type == op_type:
        return op.inputs[0], True
    return output, from_logits


def average_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """TensorFlow's gradient is wrong where the window is wider than the image."""
    size, stride = [1, *pool_size, 1], [1, *(strides or pool_size), 1]
    windows = lambda x: tf.image.extract_patches(x, size, stride, [1] * 4, padding.upper())  # noqa: E731
    total = windows(inputs)
    shape = tf.concat([tf.shape(total)[:3], [pool_size[0] * pool_size[1], inputs.shape[-1]]], 0)
    counted = tf.reduce_sum(windows(tf.ones_like(inputs[..., :1])), -1, keepdims=True)
    return tf.reduce_sum(tf.reshape(total, shape), 3) / counted


def halved_by_glu(cls):
    """Keras says that a layer with the activation glu has the shape that it has without."""
    say = cls.compute_output_shape

    def compute_output_shape(self, input_shape):
        shape = say(self, input_shape)
        halves = getattr(self, "activation", None) is keras.activations.glu
        return (*shape[:-1], shape[-1] // 2) if halves else shape

    cls.compute_output_shape = compute_output_shape


def dense_gradients(apply):
    """Rows of an embedding that a batch takes twice are clipped, and squared by Adam, one by one."""
    def with_dense_gradients(self, gradients, variables=None):
        return apply(self, [None if g is None else tf.convert_to_tensor(g) for g in gradients], variables)
    return with_dense_gradients


def weights_count_from_the_front(reduce):
    """Keras broadcasts the weights of rows, [N], against losses [N, T] from the back."""
    def reduce_weighted_values(values, sample_weight=None, **options):
        if sample_weight is not None:
            missing = len(values.shape) - len(sample_weight.shape)
            sample_weight = sample_weight[(..., *[None] * missing)]
        return reduce(values, sample_weight=sample_weight, **options)
    return reduce_weighted_values


def rows_of_batches_count(losses):
    """Keras weighs the loss of each output by the rows of its batches, which on TensorFlow it does not
    know while it traces: a short last batch counts as a full one, and the parts do not add up."""
    call, update, rows = losses.call, keras.metrics.Mean.update_state, []

    def call_with_rows(self, y_true, y_pred, sample_weight=None):
        rows.append(tf.cast(tf.shape(keras.tree.flatten(y_pred)[0])[0], tf.float32))
        try:
            return call(self, y_true, y_pred, sample_weight)
        finally:
            rows.pop()

    def update_state(self, values, sample_weight=None):
        return update(self, values, rows[-1] if rows and sample_weight is None else sample_weight)

    losses.call, keras.metrics.Mean.update_state = call_with_rows, update_state


def mend_keras():
    tf.get_logger().setLevel("ERROR")
    backend_nn.sparsemax = sparsemax
    backend_nn._get_logits = logits_behind
    backend_nn.average_pool = average_pool
    for cls in (keras.layers.Dense, keras.layers.Conv2D, keras.layers.Activation):
        halved_by_glu(cls)
    optimizer = keras.src.optimizers.base_optimizer.BaseOptimizer
    optimizer.apply = dense_gradients(optimizer.apply)
    loss = keras.src.losses.loss
    loss.reduce_weighted_values = weights_count_from_the_front(loss.reduce_weighted_values)
    rows_of_batches_count(keras.src.trainers.compile_utils.CompileLoss)


# --- Descriptions -----------------------------------------------------------------------------------

def build(description):
    """The object that a description names; arguments may be descriptions themselves."""
    if isinstance(description, list):
        return [build(one) for one in description]
    if not isinstance(description, dict):
        return description
    name, config = description["class"], description["config"]
    if name == "Sequential":
        made = keras.Sequential(build(config["layers"]), **{k: config[k] for k in config if k != "layers"})
        if not config.get("trainable", True):  # Keras does not tell the layers, and trains them
            for layer in made.layers:
                layer.trainable = False
        return made
    cls = next(getattr(module, name) for module in MODULES if hasattr(module, name))
    return cls(**{argument: build(value) for argument, value in config.items()})


def build_model(description):
    tensors, inputs, layers = {}, [], {}
    for one in description["inputs"]:
        inputs.append(keras.Input(one["shape"], dtype=one["dtype"], name=one["name"]))
        tensors[one["name"]] = inputs[-1]
    for call in description["calls"]:
        name = call["layer"]
        if name not in layers:
            layers[name] = build(description["layers"][name])
        given = [tensors[one] for one in call["inputs"]]
        tensors[call["output"]] = layers[name](given[0] if len(given) == 1 else given)
    return keras.Model(inputs, [tensors[one] for one in description["outputs"]])


def array(description):
    return np.array(description["values"], description["dtype"]).reshape(description["shape"])


def arrays(descriptions):
    """A list, or the only one."""
    made = [array(one) for one in descriptions]
    return made[0] if len(made) == 1 else made


def flat(values):
    values = values if isinstance(values, list) else [values]
    return [np.asarray(value, np.float64).reshape(-1).tolist() for value in values]


def train(model, case):
    """What random_models.py compares; the model has the case's weights already."""
    compiled, data, fit = case["compile"], case["data"], case["fit"]
    single = len(compiled["losses"]) == 1
    first = lambda lists: lists[0] if lists and single else lists  # noqa: E731
    model.compile(optimizer=build(compiled["optimizer"]), loss=first(build(compiled["losses"])),
                  loss_weights=compiled.get("loss_weights"), metrics=first(compiled.get("metrics")),
                  weighted_metrics=first(compiled.get("weighted_metrics")),
                  steps_per_execution=compiled.get("steps_per_execution", 1), jit_compile=False)
    x_val, y_val = arrays(data["x_val"]), arrays(data["y_val"])
    class_weight = {int(k): v for k, v in fit["class_weight"].items()} if "class_weight" in fit else None
    weight = arrays(data["sample_weight"]) if "sample_weight" in data else None
    if class_weight and compiled["losses"][0]["class"] == "SparseCategoricalCrossentropy":
        labels = arrays(data["y"])
        if labels.ndim > 1 and labels.shape[-1] != 1:  # Keras takes the classes of positions for one-hot rows
            weight = np.vectorize(lambda label: class_weight.get(int(label), 1.0))(labels)
            class_weight = None
    history = model.fit(arrays(data["x"]), arrays(data["y"]), batch_size=fit["batch_size"],
                        epochs=fit["epochs"], shuffle=False, verbose=0, class_weight=class_weight,
                        sample_weight=weight, validation_data=(x_val, y_val)).history
    logs = model.evaluate(x_val, y_val, batch_size=4, verbose=0, return_dict=True)
    return {"history": history, "evaluate": logs,
            "predictions": flat(model.predict(x_val, batch_size=4, verbose=0)),
            "weights": flat(model.get_weights())}

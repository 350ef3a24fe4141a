"""Writes losses.txt: Keras losses in float32, with gradients by y_pred.

A case holds the loss's arguments, y_true, y_pred, sometimes sample_weight, and for each reduction
(sum_over_batch_size, sum, mean, mean_with_sample_weight, none) the value and the gradient
d_<reduction> of the summed value. `bounds/*` shows what happens at probabilities of 0 and 1.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from golden import Writer, rng  # noqa: E402

random = rng()
REDUCTIONS = ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight", "none"]


def normal(*shape):
    return random.normal(size=shape).round(3).astype(np.float32)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return (e / e.sum(-1, keepdims=True)).astype(np.float32)


def record(out, name, cls, y_true, y_pred, sample_weight=None, **arguments):
    group = f"losses/{name}"
    out.add(f"{group}/loss", cls)
    for key, value in arguments.items():
        out.add(f"{group}/{key}", np.array(value, np.bool_ if isinstance(value, bool) else None))
    out.case(group, y_true=y_true, y_pred=y_pred)
    if sample_weight is not None:
        out.add(f"{group}/sample_weight", sample_weight)
    for reduction in REDUCTIONS:
        loss = getattr(keras.losses, cls)(
            reduction=None if reduction == "none" else reduction, **arguments
        )
        x = tf.constant(y_pred)
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loss(y_true, x, sample_weight=sample_weight)
            total = tf.reduce_sum(value)
        out.add(f"{group}/{reduction}", value.numpy())
        out.add(f"{group}/d_{reduction}", tape.gradient(total, x).numpy())


def sparse(out):
    cls = "SparseCategoricalCrossentropy"
    labels = random.integers(0, 5, size=7).astype(np.int32)
    logits = normal(7, 5) * 2
    weight = np.array([1, 0.5, 0, 2, 1.5, 0.25, 1], np.float32)
    record(out, "sparse_logits", cls, labels, logits, from_logits=True)
    record(out, "sparse_logits_weighted", cls, labels, logits, weight, from_logits=True)
    record(out, "sparse_logits_column_labels", cls, labels[:, None], logits, from_logits=True)
    record(out, "sparse_probabilities", cls, labels, softmax(logits), from_logits=False)
    record(
        out,
        "sparse_probabilities_unnormalised",
        cls,
        labels,
        (softmax(logits) * 3).round(3),
        from_logits=False,
    )
    record(
        out,
        "sparse_ignore_class",
        cls,
        labels,
        logits,
        from_logits=True,
        ignore_class=int(labels[0]),
    )
    steps = random.integers(0, 4, size=(2, 3)).astype(np.int32)
    record(out, "sparse_logits_rank3", cls, steps, normal(2, 3, 4), from_logits=True)
    record(
        out,
        "sparse_logits_rank3_weighted_rows",
        cls,
        steps,
        normal(2, 3, 4),
        np.array([[2], [0.5]], np.float32),
        from_logits=True,
    )
    record(
        out,
        "sparse_large_logits",
        cls,
        np.array([0, 1], np.int32),
        np.array([[1000, -1000, 0], [1000, -1000, 0]], np.float32),
        from_logits=True,
    )


def categorical(out):
    cls = "CategoricalCrossentropy"
    one_hot = np.eye(4, dtype=np.float32)[random.integers(0, 4, size=6)]
    soft = softmax(normal(6, 4))
    logits = normal(6, 4) * 2
    weight = np.array([1, 0, 0.5, 2, 1, 3], np.float32)
    for smoothing in [0.0, 0.1]:
        tag = "_smoothed" if smoothing else ""
        record(
            out,
            f"categorical_logits{tag}",
            cls,
            one_hot,
            logits,
            from_logits=True,
            label_smoothing=smoothing,
        )
        record(
            out,
            f"categorical_probabilities{tag}",
            cls,
            one_hot,
            softmax(logits),
            from_logits=False,
            label_smoothing=smoothing,
        )
    record(out, "categorical_soft_labels_weighted", cls, soft, logits, weight, from_logits=True)
    record(
        out,
        "categorical_probabilities_unnormalised",
        cls,
        one_hot,
        (softmax(logits) * 3).round(3),
        from_logits=False,
    )


def binary(out):
    cls = "BinaryCrossentropy"
    labels = random.integers(0, 2, size=(5, 3)).astype(np.float32)
    logits = normal(5, 3) * 2
    probabilities = (1 / (1 + np.exp(-logits))).astype(np.float32)
    weight = np.array([1, 0.5, 0, 2, 1], np.float32)
    for smoothing in [0.0, 0.2]:
        tag = "_smoothed" if smoothing else ""
        record(
            out,
            f"binary_logits{tag}",
            cls,
            labels,
            logits,
            from_logits=True,
            label_smoothing=smoothing,
        )
        record(
            out,
            f"binary_probabilities{tag}",
            cls,
            labels,
            probabilities,
            from_logits=False,
            label_smoothing=smoothing,
        )
    record(out, "binary_logits_weighted", cls, labels, logits, weight, from_logits=True)
    record(out, "binary_one_column", cls, labels[:, :1], probabilities[:, :1], from_logits=False)
    record(
        out,
        "binary_integer_labels_rank1",
        cls,
        labels[:, 0].astype(np.int32),
        probabilities[:, 0],
        from_logits=False,
    )


def mean_squared_error(out):
    cls = "MeanSquaredError"
    record(out, "mse", cls, normal(5, 3), normal(5, 3))
    record(
        out,
        "mse_weighted",
        cls,
        normal(5, 3),
        normal(5, 3),
        np.array([1, 0.5, 0, 2, 1], np.float32),
    )
    record(
        out,
        "mse_rank3_weighted",
        cls,
        normal(2, 3, 4),
        normal(2, 3, 4),
        np.array([[1], [0.5]], np.float32),
    )
    record(out, "mse_rank1", cls, normal(4), normal(4))
    record(out, "mse_label_rank_short", cls, normal(4), normal(4, 1))


def bounds(out):
    """Probabilities of exactly 0 and 1: Keras clips to [1e-7, 1 - 1e-7]."""
    extreme = np.array([[0, 1], [1, 0], [0, 1]], np.float32)
    record(
        out,
        "bounds_sparse",
        "SparseCategoricalCrossentropy",
        np.array([0, 0, 1], np.int32),
        extreme,
        from_logits=False,
    )
    record(
        out,
        "bounds_categorical",
        "CategoricalCrossentropy",
        np.array([[1, 0], [1, 0], [0, 1]], np.float32),
        extreme,
        from_logits=False,
    )
    record(
        out,
        "bounds_binary",
        "BinaryCrossentropy",
        np.array([[1, 1], [1, 0], [0, 1]], np.float32),
        extreme,
        from_logits=False,
    )


def main():
    out = Writer("losses", f"Keras {keras.__version__} on TensorFlow {tf.__version__}, CPU")
    for part in (sparse, categorical, binary, mean_squared_error, bounds):
        part(out)
    out.save()


if __name__ == "__main__":
    main()

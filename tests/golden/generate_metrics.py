"""Writes metrics.txt: Keras metrics after each of several updates.

A case holds the metric's class and arguments, update k's y_true<k>, y_pred<k> (values<k> for Mean)
and sometimes sample_weight<k>, and result<k> after it. `selection/*`: which function the name
"accuracy" stands for, by the shapes of labels and predictions.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from golden import Writer, rng  # noqa: E402

random = rng()
ROWS = [5, 3, 4]


def normal(*shape):
    return random.normal(size=shape).round(3).astype(np.float32)


def record(out, name, cls, updates, **arguments):
    group = f"metrics/{name}"
    metric = getattr(keras.metrics, cls)(**arguments)
    out.add(f"{group}/metric", cls)
    for key, value in arguments.items():
        out.add(f"{group}/{key}", np.array(value, np.bool_ if isinstance(value, bool) else None))
    for k, (values, weight) in enumerate(updates):
        names = ["values"] if len(values) == 1 else ["y_true", "y_pred"]
        for n, v in zip(names, values):
            out.add(f"{group}/{n}{k}", v)
        if weight is not None:
            out.add(f"{group}/sample_weight{k}", weight)
        metric.update_state(*values, sample_weight=weight)
        out.add(f"{group}/result{k}", np.float32(metric.result()))
    metric.reset_state()
    out.add(f"{group}/result_after_reset", np.float32(metric.result()))


def weights(n):
    return random.choice(np.array([0, 0.5, 1, 2], np.float32), size=n)


def main():
    out = Writer("metrics", f"Keras {keras.__version__} on TensorFlow {tf.__version__}, CPU")
    for weighted in [False, True]:
        tag = "_weighted" if weighted else ""
        w = lambda n: weights(n) if weighted else None  # noqa: E731
        sparse = [
            ((random.integers(0, 4, size=n).astype(np.int32), normal(n, 4)), w(n)) for n in ROWS
        ]
        record(out, "sparse_categorical_accuracy" + tag, "SparseCategoricalAccuracy", sparse)
        column = [((y[:, None], p), weight) for (y, p), weight in sparse]
        record(out, "sparse_categorical_accuracy_column" + tag, "SparseCategoricalAccuracy", column)
        dense = [((np.eye(4, dtype=np.float32)[y], p), weight) for (y, p), weight in sparse]
        record(out, "categorical_accuracy" + tag, "CategoricalAccuracy", dense)
        record(
            out,
            "sparse_categorical_crossentropy" + tag,
            "SparseCategoricalCrossentropy",
            sparse,
            from_logits=True,
        )
        record(
            out,
            "categorical_crossentropy" + tag,
            "CategoricalCrossentropy",
            dense,
            from_logits=True,
        )
        binary = [
            (
                (
                    random.integers(0, 2, size=(n, 1)).astype(np.float32),
                    random.uniform(size=(n, 1)).round(3).astype(np.float32),
                ),
                w(n),
            )
            for n in ROWS
        ]
        record(out, "binary_accuracy" + tag, "BinaryAccuracy", binary)
        record(out, "binary_accuracy_threshold" + tag, "BinaryAccuracy", binary, threshold=0.7)
        record(out, "binary_crossentropy" + tag, "BinaryCrossentropy", binary)
        wide = [
            (
                (
                    random.integers(0, 2, size=(n, 3)).astype(np.float32),
                    random.uniform(size=(n, 3)).round(3).astype(np.float32),
                ),
                w(n),
            )
            for n in ROWS
        ]
        record(out, "binary_accuracy_columns" + tag, "BinaryAccuracy", wide)
        equal = [
            (
                (
                    random.integers(0, 3, size=n).astype(np.int32),
                    random.integers(0, 3, size=n).astype(np.int32),
                ),
                w(n),
            )
            for n in ROWS
        ]
        record(out, "accuracy" + tag, "Accuracy", equal)
        mean = [((normal(n),), w(n)) for n in ROWS]
        record(out, "mean" + tag, "Mean", mean)
        record(out, "sum" + tag, "Sum", mean)
        mse = [((normal(n, 2), normal(n, 2)), w(n)) for n in ROWS]
        record(out, "mean_squared_error" + tag, "MeanSquaredError", mse)
    record(out, "mean_of_scalars", "Mean", [((np.float32(v),), None) for v in [1, 2, 6]])
    tie = np.array([[1, 1, 0], [0, 2, 2]], np.float32)
    record(
        out,
        "sparse_tie_first_wins",
        "SparseCategoricalAccuracy",
        [((np.array([0, 2], np.int32), tie), None)],
    )
    record(
        out,
        "binary_at_threshold",
        "BinaryAccuracy",
        [((np.array([[1], [0]], np.float32), np.full((2, 1), 0.5, np.float32)), None)],
    )
    selection(out)
    out.save()


def selection(out):
    """compile(metrics=["accuracy"]) picks by the shapes at the first batch."""
    from keras.src.trainers.compile_utils import is_binary_or_sparse_categorical

    for name, y_true, y_pred in [
        ("labels_N", (6,), (6, 4)),
        ("labels_N1", (6, 1), (6, 4)),
        ("one_hot", (6, 4), (6, 4)),
        ("binary_N1", (6, 1), (6, 1)),
        ("binary_N", (6,), (6, 1)),
        ("sequence", (6, 3), (6, 3, 4)),
        ("two_columns", (6, 2), (6, 2)),
    ]:
        is_binary, is_sparse = is_binary_or_sparse_categorical(tf.zeros(y_true), tf.zeros(y_pred))
        chosen = (
            "binary_accuracy"
            if is_binary
            else "sparse_categorical_accuracy"
            if is_sparse
            else "categorical_accuracy"
        )
        out.case(
            f"selection/{name}",
            y_true_shape=np.array(y_true),
            y_pred_shape=np.array(y_pred),
            chosen=chosen,
        )


if __name__ == "__main__":
    main()

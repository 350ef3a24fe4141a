"""Writes metrics.txt: Keras metrics after each of several updates.

A case holds the metric's class and arguments, update k's y_true<k>, y_pred<k> (values<k> for Mean)
and sometimes sample_weight<k>, and result<k> after it. Every case has random numbers of its own.
`selection/*`: which function the name "accuracy" stands for, by the shapes of labels and
predictions.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from golden import Writer, rng_of  # noqa: E402

ROWS = [5, 3, 4]


class Data:
    """What one case draws."""

    def __init__(self, name):
        self.random = rng_of(name)

    def normal(self, *shape):
        return self.random.normal(size=shape).round(3).astype(np.float32)

    def scores(self, *shape):
        """Hundredths from 0 to 1, some of them thresholds."""
        return self.random.integers(0, 101, size=shape).astype(np.float32) / np.float32(100)

    def bits(self, *shape):
        return self.random.integers(0, 2, size=shape).astype(np.float32)

    def classes(self, count, *shape):
        return self.random.integers(0, count, size=shape).astype(np.int32)

    def weights(self, *shape):
        return self.random.choice(np.array([0, 0.5, 1, 2], np.float32), size=shape)


def one_hot(classes, count):
    return np.eye(count, dtype=np.float32)[classes]


def add_argument(out, name, value):
    if value is None:
        return
    if isinstance(value, str):
        out.add(name, value)
    else:
        out.add(name, np.array(value, np.bool_ if isinstance(value, bool) else None))


def record(out, name, cls, make, weigh=None, **arguments):
    """`make(data, n)`: the values of an update of n rows, `weigh(data, n)` their weights."""
    group = f"metrics/{name}"
    data = Data(name)
    metric = getattr(keras.metrics, cls)(**arguments)
    out.add(f"{group}/metric", cls)
    for key, value in arguments.items():
        add_argument(out, f"{group}/{key}", value)
    for k, n in enumerate(ROWS):
        values = make(data, n)
        weight = weigh(data, n) if weigh else None
        names = ["values"] if len(values) == 1 else ["y_true", "y_pred"]
        for field, v in zip(names, values):
            out.add(f"{group}/{field}{k}", v)
        if weight is not None:
            out.add(f"{group}/sample_weight{k}", weight)
        metric.update_state(*values, sample_weight=weight)
        out.add(f"{group}/result{k}", np.asarray(metric.result(), np.float32))
    metric.reset_state()
    out.add(f"{group}/result_after_reset", np.asarray(metric.result(), np.float32))


def by_rows(data, n):
    return data.weights(n)


def accuracies(out):
    def column(d, n):
        y, p = sparse(d, n)
        return y[:, None], p

    def sparse(d, n):
        return d.classes(4, n), d.normal(n, 4)

    def dense(d, n):
        y, p = sparse(d, n)
        return one_hot(y, 4), p

    def binary(d, n):
        return d.bits(n, 1), d.scores(n, 1)

    def wide(d, n):
        return d.bits(n, 3), d.scores(n, 3)

    def equal(d, n):
        return d.classes(3, n), d.classes(3, n)

    for tag, w in [("", None), ("_weighted", by_rows)]:
        record(out, "sparse_categorical_accuracy" + tag, "SparseCategoricalAccuracy", sparse, w)
        name = "sparse_categorical_accuracy_column"
        record(out, name + tag, "SparseCategoricalAccuracy", column, w)
        record(out, "categorical_accuracy" + tag, "CategoricalAccuracy", dense, w)
        name = "sparse_categorical_crossentropy"
        record(out, name + tag, "SparseCategoricalCrossentropy", sparse, w, from_logits=True)
        name = "categorical_crossentropy"
        record(out, name + tag, "CategoricalCrossentropy", dense, w, from_logits=True)
        record(out, "binary_accuracy" + tag, "BinaryAccuracy", binary, w)
        record(out, "binary_accuracy_threshold" + tag, "BinaryAccuracy", binary, w, threshold=0.7)
        record(out, "binary_crossentropy" + tag, "BinaryCrossentropy", binary, w)
        record(out, "binary_accuracy_columns" + tag, "BinaryAccuracy", wide, w)
        record(out, "accuracy" + tag, "Accuracy", equal, w)
    tie = np.array([[1, 1, 0], [0, 2, 2], [3, 3, 3], [1, 2, 2], [0, 0, 1]], np.float32)
    record(
        out,
        "sparse_tie_first_wins",
        "SparseCategoricalAccuracy",
        lambda d, n: (np.array([0, 2, 0, 1, 2], np.int32)[:n], tie[:n]),
    )
    record(
        out,
        "binary_at_threshold",
        "BinaryAccuracy",
        lambda d, n: (d.bits(n, 1), np.full((n, 1), 0.5, np.float32)),
    )


def top_k(out):
    def ranked(d, n):  # with ties
        return one_hot(d.classes(6, n), 6), d.classes(4, n, 6).astype(np.float32)

    def sparse(d, n):
        y, p = ranked(d, n)
        return np.argmax(y, -1).astype(np.int32), p

    def outside(d, n):  # class numbers from -1 to 6 of 6 classes
        return d.classes(8, n) - 1, d.normal(n, 6)

    def sequences(d, n):
        return d.classes(6, n, 3), d.normal(n, 3, 6)

    def ids(d, n):
        order = np.stack([d.random.permutation(6) for _ in range(n)]).astype(np.int32)
        return d.classes(6, n), order

    for tag, w in [("", None), ("_weighted", by_rows)]:
        record(out, "top_k" + tag, "TopKCategoricalAccuracy", ranked, w, k=2)
        record(out, "top_k_default" + tag, "TopKCategoricalAccuracy", ranked, w)
        cls = "SparseTopKCategoricalAccuracy"
        record(out, "sparse_top_k" + tag, cls, sparse, w, k=3)
        record(out, "sparse_top_k_sequences" + tag, cls, sequences, w, k=2)
        record(out, "sparse_top_k_sorted_ids" + tag, cls, ids, w, k=2, from_sorted_ids=True)
    record(out, "sparse_top_k_outside", "SparseTopKCategoricalAccuracy", outside, k=4)


def confusion(out):
    def column(d, n):
        return d.bits(n, 1), d.scores(n, 1)

    def wide(d, n):
        return d.bits(n, 4), d.scores(n, 4)

    def elements(d, n):
        return d.weights(n, 4)

    uneven, even = [0.2, 0.5, 0.9], [0.0, 0.25, 0.5, 0.75, 1.0]
    for cls in ["Precision", "Recall"]:
        name = cls.lower()
        for tag, w in [("", None), ("_weighted", by_rows)]:
            record(out, name + tag, cls, column, w)
            record(out, f"{name}_one_threshold{tag}", cls, wide, w, thresholds=0.3)
            record(out, f"{name}_uneven{tag}", cls, wide, w, thresholds=uneven)
            record(out, f"{name}_even{tag}", cls, wide, w, thresholds=even)
            record(out, f"{name}_top_k{tag}", cls, wide, w, top_k=2)
            record(out, f"{name}_class{tag}", cls, wide, w, class_id=2)
            record(out, f"{name}_top_k_class{tag}", cls, wide, w, top_k=3, class_id=1)
            record(out, f"{name}_top_k_even{tag}", cls, wide, w, top_k=2, thresholds=even)
        record(out, f"{name}_weighted_elements", cls, wide, elements)
        record(out, f"{name}_rank1", cls, lambda d, n: (d.bits(n), d.scores(n)), by_rows)
    for cls in ["TruePositives", "TrueNegatives", "FalsePositives", "FalseNegatives"]:
        for tag, w in [("", None), ("_weighted", by_rows)]:
            record(out, cls + tag, cls, wide, w)
            record(out, f"{cls}_uneven{tag}", cls, wide, w, thresholds=uneven)
            record(out, f"{cls}_even{tag}", cls, wide, w, thresholds=even)


def auc(out):
    def column(d, n):
        return d.bits(n, 1), d.scores(n, 1)

    def wide(d, n):
        return d.bits(n, 3), d.scores(n, 3)

    def logits(d, n):
        return d.bits(n, 1), d.normal(n, 1)

    for curve in ["ROC", "PR", "PRGAIN"]:
        for method in ["interpolation", "minoring", "majoring"]:
            arguments = {"curve": curve, "summation_method": method}
            name = f"auc_{curve}_{method}"
            record(out, name, "AUC", wide, num_thresholds=5, **arguments)
            record(out, name + "_weighted", "AUC", wide, by_rows, **arguments)
            record(out, name + "_labels", "AUC", wide, by_rows, multi_label=True, **arguments)
    record(out, "auc", "AUC", column)
    record(out, "auc_weighted", "AUC", column, by_rows)
    record(out, "auc_thresholds", "AUC", column, by_rows, thresholds=[0.1, 0.4, 0.45, 0.8])
    record(out, "auc_thresholds_labels", "AUC", wide, thresholds=[0.1, 0.4], multi_label=True)
    record(out, "auc_logits", "AUC", logits, by_rows, from_logits=True)
    weights = [0.5, 2.0, 1.0]
    record(out, "auc_label_weights", "AUC", wide, by_rows, label_weights=weights)
    name = "auc_label_weights_labels"
    record(out, name, "AUC", wide, by_rows, multi_label=True, num_labels=3, label_weights=weights)


def f_score(out):
    def labels(d, n):
        return one_hot(d.classes(3, n), 3), d.scores(n, 3)

    def multi(d, n):  # rows of zeros and ties among them
        p = d.scores(n, 3)
        p[0] = 0
        p[1, 1] = p[1, 2]
        return d.bits(n, 3), p

    for average in [None, "micro", "macro", "weighted"]:
        for tag, w in [("", None), ("_weighted_rows", by_rows)]:
            name = f"f1_score_{average or 'classes'}{tag}"
            record(out, name, "F1Score", labels, w, average=average)
            record(out, name + "_threshold", "F1Score", multi, w, average=average, threshold=0.4)
            record(out, name + "_beta", "FBetaScore", multi, w, average=average, beta=2.0)


def mean_iou(out):
    def classes(d, n):
        return d.classes(4, n, 3), d.classes(4, n, 3)

    def outside(d, n):  # -1 to 5 of 4 classes
        return d.classes(7, n, 3) - 1, d.classes(7, n, 3) - 1

    def scores(d, n):
        return one_hot(d.classes(4, n, 3), 4), d.normal(n, 3, 4)

    def whole(d, n):
        return d.classes(3, n, 3)

    for tag, w in [("", None), ("_weighted", whole)]:
        record(out, "mean_iou" + tag, "MeanIoU", classes, w, num_classes=4)
        record(out, "mean_iou_ignored" + tag, "MeanIoU", classes, w, num_classes=4, ignore_class=1)
        record(out, "mean_iou_outside" + tag, "MeanIoU", outside, w, num_classes=4)
        record(out, "mean_iou_absent" + tag, "MeanIoU", classes, w, num_classes=6)
        name = "mean_iou_scores" + tag
        dense = {"sparse_y_true": False, "sparse_y_pred": False}
        record(out, name, "MeanIoU", scores, w, num_classes=4, **dense)


def regression(out):
    def pairs(d, n):
        return d.normal(n, 2), d.normal(n, 2)

    def columns(d, n):
        return d.normal(n), d.normal(n, 1)

    for tag, w in [("", None), ("_weighted", by_rows)]:
        record(out, "mean" + tag, "Mean", lambda d, n: (d.normal(n),), w)
        record(out, "sum" + tag, "Sum", lambda d, n: (d.normal(n),), w)
        for cls in ["MeanSquaredError", "MeanAbsoluteError", "RootMeanSquaredError"]:
            record(out, cls + tag, cls, pairs, w)
            record(out, cls + "_columns" + tag, cls, columns, w)
    elements = lambda d, n: d.weights(n, 2)  # noqa: E731
    record(out, "root_weighted_elements", "RootMeanSquaredError", pairs, elements)
    record(out, "mean_of_scalars", "Mean", lambda d, n: (np.float32(n),))


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


def main():
    out = Writer("metrics", f"Keras {keras.__version__} on TensorFlow {tf.__version__}, CPU")
    for part in [accuracies, top_k, confusion, auc, f_score, mean_iou, regression, selection]:
        part(out)
    out.save()


if __name__ == "__main__":
    main()

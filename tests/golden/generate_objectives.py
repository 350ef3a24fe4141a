"""Writes objectives.txt: losses, metrics and penalties that several rows, outputs or paths share.

weights/<loss>: a loss and a metric of outputs [N, T, 1, K] with one weight for each row. Keras
matches weights from the back, so it gets them with the rank of the losses, [N, 1, 1], and the
metric as [N]. x is what one Dense layer with weights kernel and bias makes y_pred of. For each
reduction: the value, and the gradient of the kernel. metric: the mean of the loss as weighted
metric.
ignored: SparseCategoricalCrossentropy(ignore_class=2) as metric; without weights Keras counts the
rows left out as zeros, so it gets weights of 1.
penalty/<case>: two epochs of SGD in batches of 4 on 11 rows: the losses, the weights after each
epoch, and the evaluation. In `shared` a layer with a penalty is reached in three ways.
shared_normalization: two steps of a BatchNormalization that is called twice in each.
"""

import os

os.environ["KERAS_BACKEND"] = "jax"
import jax  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402
from jax import numpy as jnp  # noqa: E402

from golden import Writer, rng  # noqa: E402

L = keras.layers
random = rng()


def normal(*shape):
    return random.normal(size=shape).round(3).astype(np.float32)


def weights(out):
    rows, steps, classes = 6, 3, 4
    weight = np.array([1, 0.5, 0, 2, 1.5, 0.25], np.float32)
    x, kernel, bias = normal(rows, steps, 1, 2), normal(2, classes), normal(classes)
    labels = random.integers(0, classes, size=(rows, steps, 1)).astype(np.int32)
    one_hot = np.eye(classes, dtype=np.float32)[labels]
    cases = {
        "mean_squared_error": (keras.losses.MeanSquaredError, {}, normal(rows, steps, 1, classes)),
        "sparse_categorical_crossentropy": (
            keras.losses.SparseCategoricalCrossentropy,
            dict(from_logits=True),
            labels,
        ),
        "categorical_crossentropy": (
            keras.losses.CategoricalCrossentropy,
            dict(from_logits=True),
            one_hot,
        ),
        "binary_crossentropy": (keras.losses.BinaryCrossentropy, dict(from_logits=True), one_hot),
    }
    out.case("data", x=x, kernel=kernel, bias=bias, weight=weight)
    for name, (cls, arguments, y_true) in cases.items():
        group = f"weights/{name}"
        out.add(f"{group}/y_true", y_true)
        for reduction in ["sum_over_batch_size", "sum", "mean", "mean_with_sample_weight"]:
            loss = cls(reduction=reduction, **arguments)
            w = weight[:, None, None]
            value, gradient = jax.value_and_grad(
                lambda k: loss(y_true, jnp.asarray(x) @ k + bias, sample_weight=w)
            )(jnp.asarray(kernel))
            out.add(f"{group}/{reduction}", np.asarray(value))
            out.add(f"{group}/d_{reduction}", np.asarray(gradient))
        metric = getattr(keras.metrics, cls.__name__)(**arguments)
        metric.update_state(y_true, x @ kernel + bias, sample_weight=weight)
        out.add(f"{group}/metric", np.asarray(metric.result()))


def ignored(out):
    labels = np.array([0, 2, 1, 3, 2, 2, 1], np.int32)
    logits, weight = normal(7, 4), np.array([1, 0.5, 0, 2, 1.5, 0.25, 1], np.float32)
    out.case("ignored", y_true=labels, y_pred=logits, sample_weight=weight)
    for name, w in [("metric", np.ones(7, np.float32)), ("weighted_metric", weight)]:
        metric = keras.metrics.MeanMetricWrapper(
            lambda t, p: keras.losses.sparse_categorical_crossentropy(
                t, p, from_logits=True, ignore_class=2
            )
        )
        metric.update_state(labels, logits, sample_weight=w)
        out.add(f"ignored/{name}", np.asarray(metric.result()))


def fit(out, name, model, learning_rate=0.05):
    group = f"penalty/{name}"
    for i, w in enumerate(model.get_weights()):
        start = normal(*w.shape)
        out.add(f"{group}/start{i}", start)
        model.weights[i].assign(start)
    model.compile(keras.optimizers.SGD(learning_rate), "mse")
    x = [normal(11, *i.shape[1:]) for i in model.inputs]
    for i, values in enumerate(x):
        out.add(f"{group}/x{i}", values)
    y = [normal(11, *o.shape[1:]) for o in model.outputs]
    for i, values in enumerate(y):
        out.add(f"{group}/y{i}", values)
    for epoch in range(2):
        history = model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0).history
        out.add(f"{group}/logs", " ".join(history)) if epoch == 0 else None
        out.add(f"{group}/fit{epoch}", np.array([v[0] for v in history.values()]))
        for i, w in enumerate(model.get_weights()):
            out.add(f"{group}/weight{i}_{epoch}", w)
    evaluation = model.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    out.add(f"{group}/evaluate", np.array(list(evaluation.values())))


def penalties(out):
    dense = keras.Sequential(
        [
            keras.Input((3,)),
            L.Dense(4, activation="tanh", activity_regularizer=keras.regularizers.L1(0.1)),
            L.Dense(2, activity_regularizer=keras.regularizers.L2(0.05)),
        ]
    )
    fit(out, "activity_dense", dense)
    conv = keras.Sequential(
        [
            keras.Input((4, 4, 2)),
            L.Conv2D(3, (3, 3), activity_regularizer=keras.regularizers.L1L2(0.1, 0.05)),
            L.Flatten(),
            L.Dense(1),
        ]
    )
    fit(out, "activity_conv2d", conv, 0.001)
    a, b = keras.Input((3,)), keras.Input((3,))
    shared = L.Dense(2, kernel_regularizer=keras.regularizers.L2(0.1))
    inner = keras.Model(a, shared(a))
    c = keras.Input((3,))
    head = L.Dense(1, name="head")(L.Add()([inner(b), shared(c)]))
    outer = keras.Model([b, c], [head, L.Dense(2, name="tail")(shared(b))])
    fit(out, "shared", outer)


def shared_normalization(out):
    a, b = keras.Input((2,)), keras.Input((2,))
    norm = L.BatchNormalization(momentum=0.25)
    model = keras.Model([a, b], L.Add()([norm(a), norm(b)]))
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x, y = [normal(6, 2), normal(6, 2) * 2 + 1], normal(6, 2)
    out.case("shared_normalization", x0=x[0], x1=x[1], y0=y)
    for _ in range(2):
        model.train_on_batch(x, y)
    for i, w in enumerate(model.get_weights()):
        out.add(f"shared_normalization/weight{i}", w)


def main():
    out = Writer("objectives", f"Keras {keras.__version__} on JAX {jax.__version__}, CPU")
    weights(out)
    ignored(out)
    penalties(out)
    shared_normalization(out)
    out.save()


if __name__ == "__main__":
    main()

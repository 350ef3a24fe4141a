"""Writes masks.txt: which masks layers of Keras make, pass on and drop, and what they do to statistics,
losses and metrics.

layers/<case>: x (and x2), the result y and its mask, absent where there is none. The layers of the
cases are in tests/nn/masks_golden_test.cc under the same names; kernel and bias are those of its Dense.
normalization/<case>: y and the moving statistics after one step in training, with the mask of x.
training/<case>: a model of Embedding(mask_zero=True) and Dense with these weights, on rows x and labels
y, in one batch: what evaluate says, and the weights after two steps of SGD(0.5). With sample_weight
[N, T] where the case has it.
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras.src import backend  # noqa: E402

from golden import Writer, rng_of  # noqa: E402

L = keras.layers
N, T, K = 4, 5, 3


def normal(random, *shape):
    return random.normal(size=shape).round(3).astype(np.float32)


def numbers(random):
    """Rows of numbers 0 to 5 with zeros, one row of zeros alone."""
    rows = random.integers(0, 6, size=(N, T)).astype(np.int32)
    rows[1, 2:], rows[3] = 0, 0
    rows[0, 0], rows[2, 1] = 4, 0
    return rows


def sequences(random):
    x = normal(random, N, T, K)
    x[0, 1], x[2, 3:], x[3] = 0, 0, 0
    x[1, 2, 0] = 0
    return x


def embedded(random, x, dim=K):
    layer = L.Embedding(6, dim, mask_zero=True)
    layer.build(x.shape)
    table = normal(random, 6, dim)
    layer.set_weights([table])
    return layer, table


def dense_after(random, x, then):
    layer, table = embedded(random, x)
    dense = L.Dense(2, activation="tanh")
    dense.build((N, T, K))
    kernel, bias = normal(random, K, 2), normal(random, 2)
    dense.set_weights([kernel, bias])
    return then(dense(layer(x))), dict(table=table, kernel=kernel, bias=bias)


def layer_cases(out):
    masking = L.Masking()
    two = {
        "add": lambda a, b: L.Add()([masking(a), masking(b)]),
        "add_one_without": lambda a, b: L.Add()([masking(a), b]),
        "concatenate": lambda a, b: L.Concatenate()([masking(a), masking(b)]),
        "concatenate_steps": lambda a, b: L.Concatenate(axis=1)([masking(a), masking(b)]),
        "concatenate_one_without": lambda a, b: L.Concatenate(axis=1)([masking(a), b]),
    }
    one = {
        "masking": lambda a: masking(a),
        "masking_value": lambda a: L.Masking(mask_value=a.numpy()[1, 0, 0])(a[:, :, :1]),
        "dropout": lambda a: L.Dropout(0.5)(masking(a), training=False),
        "activation": lambda a: L.Activation("relu")(masking(a)),
        "rescaling": lambda a: L.Rescaling(2.0, offset=1.0)(masking(a)),
        "flatten": lambda a: L.Flatten()(masking(a)),
        "reshape": lambda a: L.Reshape((K, T))(masking(a)),
        "normalization": lambda a: L.BatchNormalization()(masking(a)),
    }
    for name, of in {**two, **one}.items():
        random = rng_of("layers/" + name)
        inputs = [sequences(random) for _ in range(2 if name in two else 1)]
        if name in two:
            inputs[1] = np.roll(inputs[1], 1, axis=1)
        y = of(*[tf.constant(x) for x in inputs])
        record(out, "layers/" + name, y, x=inputs[0], **({"x2": inputs[1]} if name in two else {}))
    random = rng_of("layers/embedding")
    x = numbers(random)
    y, weights = dense_after(random, x, lambda y: y)
    record(out, "layers/embedding", y, x=x, **weights)


def record(out, case, y, **fields):
    mask = backend.get_keras_mask(y)
    if mask is not None:
        fields["mask"] = mask.numpy()
    out.case(case, y=y.numpy(), **fields)


def normalization_cases(out):
    for name, axis in {"last": -1, "steps": 1}.items():
        random = rng_of("normalization/" + name)
        x = normal(random, N, T, K)
        mask = random.integers(0, 2, size=(N, T)).astype(bool)
        layer = L.BatchNormalization(axis=axis, momentum=0.5)
        layer.build(x.shape)
        channels = x.shape[axis]
        layer.set_weights(
            [
                normal(random, channels),
                normal(random, channels),
                np.zeros(channels),
                np.ones(channels),
            ]
        )
        before = layer.get_weights()
        y = layer(x, training=True, mask=mask)
        out.case(
            "normalization/" + name,
            x=x,
            mask=mask,
            gamma=before[0],
            beta=before[1],
            y=y.numpy(),
            moving_mean=layer.moving_mean.numpy(),
            moving_variance=layer.moving_variance.numpy(),
        )


def training_cases(out):
    reductions = ["sum_over_batch_size", "sum", "mean_with_sample_weight"]
    for reduction in reductions:
        for weighted in (False, True):
            for nested in (False, True):
                if nested and (weighted or reduction != "sum_over_batch_size"):
                    continue
                name = "training/" + reduction
                name += "_weighted" * weighted + "_nested" * nested
                training_case(out, name, reduction, weighted, nested)


def training_case(out, name, reduction, weighted, nested):
    random = rng_of(name)
    x = numbers(random)
    y = random.integers(0, K, size=(N, T)).astype(np.int32)
    inputs = keras.Input((T,), dtype="int32")
    table, kernel, bias = normal(random, 6, 2), normal(random, 2, K), normal(random, K)
    embedding, dense = L.Embedding(6, 2, mask_zero=True), L.Dense(K)
    if nested:
        inner = keras.Model(inputs, embedding(inputs))
        outer = keras.Input((T,), dtype="int32")
        model = keras.Model(outer, dense(inner(outer)))
    else:
        model = keras.Model(inputs, dense(embedding(inputs)))
    embedding.set_weights([table])
    dense.set_weights([kernel, bias])
    model.compile(
        optimizer=keras.optimizers.SGD(0.5),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction),
        metrics=["accuracy"],
        weighted_metrics=["sparse_categorical_crossentropy"],
    )
    weight = random.random(size=(N, T)).round(2).astype(np.float32)
    given = dict(sample_weight=weight) if weighted else {}
    said = model.evaluate(x, y, batch_size=N, verbose=0, return_dict=True, **given)
    for _ in range(2):
        model.train_on_batch(x, y, **given)
    fields = dict(zip(["table_after", "kernel_after", "bias_after"], model.get_weights()))
    out.case(
        name,
        x=x,
        y=y,
        table=table,
        kernel=kernel,
        bias=bias,
        loss=np.float32(said["loss"]),
        accuracy=np.float32(said["accuracy"]),
        weighted_metric=np.float32(said["sparse_categorical_crossentropy"]),
        **fields,
        **given,
    )


def main():
    out = Writer("masks", f"Keras {keras.__version__} on TensorFlow {tf.__version__}, CPU")
    layer_cases(out)
    normalization_cases(out)
    training_cases(out)
    out.save()


main()

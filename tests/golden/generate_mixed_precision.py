"""Writes mixed_precision.txt: what layers, steps and loss scales of Keras are under the policies
mixed_bfloat16 and mixed_float16. 16-bit results are recorded as the float32 that they are.

layers/<policy>/<case>: x, weight0, weight1 …, the result y and its dtype; dx and dweight0 …, gradients of
sum(y * w). The layers of the cases are in tests/nn/mixed_precision_golden_test.cc under the same names.
training/<policy>: a model of Dense(6, relu), BatchNormalization, Dense(3) from weight0 …, five steps of
train_on_batch on x and labels y: what is logged, and the weights afterwards.
scale/<case>: the loss scale, step counter and iterations after each step of an optimizer whose gradients
g<step> are given, multiplied by the scale where `scaled`; and the variable at the end.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from golden import Writer, rng_of  # noqa: E402

L = keras.layers
POLICIES = ["mixed_bfloat16", "mixed_float16"]


def normal(random, *shape):
    return random.normal(size=shape).round(3).astype(np.float32)


def wide(x):
    return tf.cast(x, tf.float32).numpy()


# name: what makes the layer, shape of x, whether it is called in training
LAYERS = {
    "dense": (lambda: L.Dense(4), (3, 5), False),
    "dense_relu": (lambda: L.Dense(4, activation="relu"), (3, 5), False),
    "dense_softmax": (lambda: L.Dense(4, activation="softmax"), (3, 5), False),
    "dense_float32": (lambda: L.Dense(4, dtype="float32"), (3, 5), False),
    "conv": (lambda: L.Conv2D(3, 2, padding="same"), (2, 4, 4, 2), False),
    "conv_groups": (lambda: L.Conv2D(4, 2, groups=2, strides=2), (2, 5, 5, 4), False),
    "max_pooling": (lambda: L.MaxPooling2D(2), (2, 4, 4, 2), False),
    "average_pooling": (lambda: L.AveragePooling2D(2), (2, 4, 4, 2), False),
    "global_average": (lambda: L.GlobalAveragePooling2D(), (2, 4, 4, 2), False),
    "global_max": (lambda: L.GlobalMaxPooling2D(), (2, 4, 4, 2), False),
    "normalization": (lambda: L.BatchNormalization(), (6, 3), True),
    "normalization_inference": (lambda: L.BatchNormalization(), (6, 3), False),
    "normalization_axis": (lambda: L.BatchNormalization(axis=1), (4, 3, 2), True),
    "softmax": (lambda: L.Activation("softmax"), (3, 5), False),
    "sigmoid": (lambda: L.Activation("sigmoid"), (3, 5), False),
    "tanh": (lambda: L.Activation("tanh"), (3, 5), False),
    "rescaling": (lambda: L.Rescaling(1 / 255.0, offset=-0.5), (3, 5), False),
    "dropout": (lambda: L.Dropout(0.5), (3, 5), False),
    "flatten": (lambda: L.Flatten(), (3, 2, 2), False),
}


def layer_cases(out, policy):
    for name, (make, shape, training) in LAYERS.items():
        random = rng_of("layers/" + name)
        group = f"layers/{policy}/{name}"
        x = normal(random, *shape)
        layer = make()
        layer.build(shape)
        weights = [
            np.abs(w) if v.name == "moving_variance" else w
            for v in layer.weights
            for w in [normal(random, *v.shape)]
        ]
        layer.set_weights(weights)
        tensor = tf.constant(x)
        with tf.GradientTape() as tape:
            tape.watch(tensor)
            y = layer(tensor, training=training)
            w = normal(random, *y.shape)
            loss = tf.reduce_sum(tf.cast(y, tf.float32) * w)
        gradients = tape.gradient(loss, [tensor, *[v.value for v in layer.trainable_weights]])
        out.case(group, x=x, w=w, y=wide(y), dtype=str(y.dtype.name), dx=wide(gradients[0]))
        for i, value in enumerate(weights):
            out.add(f"{group}/weight{i}", value)
        for i, value in enumerate(gradients[1:]):
            assert value.dtype == tf.float32
            out.add(f"{group}/dweight{i}", wide(value))
        if training:
            for i, value in enumerate(layer.get_weights()):
                out.add(f"{group}/after{i}", value)
    random = rng_of("layers/embedding")
    layer = L.Embedding(7, 4)
    layer.build((3, 2))
    table, rows = normal(random, 7, 4), random.integers(0, 7, size=(3, 2)).astype(np.int32)
    layer.set_weights([table])
    y = layer(rows)
    out.case(f"layers/{policy}/embedding", x=rows, weight0=table, y=wide(y), dtype=y.dtype.name)


def training_case(out, policy):
    random = rng_of("training")
    x, y = normal(random, 16, 5), random.integers(0, 3, size=16).astype(np.int32)
    model = keras.Sequential(
        [
            keras.Input((5,)),
            L.Dense(6, activation="relu"),
            L.BatchNormalization(momentum=0.9),
            L.Dense(3),
        ]
    )
    start = [
        w if v.name.startswith("moving") else normal(random, *v.shape)
        for v, w in zip(model.weights, model.get_weights())
    ]
    model.set_weights(start)
    model.compile(
        optimizer=keras.optimizers.Adam(0.01),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    group = f"training/{policy}"
    out.case(group, x=x, y=y)
    losses = []
    for _ in range(5):
        model.reset_metrics()
        losses.append(model.train_on_batch(x, y, return_dict=True)["loss"])
    out.add(f"{group}/loss", np.array(losses, np.float32))
    out.add(f"{group}/optimizer", type(model.optimizer).__name__)
    out.add(f"{group}/predictions", wide(model.predict(x, verbose=0)))
    for i, (before, after) in enumerate(zip(start, model.get_weights())):
        out.add(f"{group}/weight{i}", before)
        out.add(f"{group}/after{i}", after)


INF, NAN = np.float32(np.inf), np.float32(np.nan)
# Arguments; factors of the gradients of each step.
SCALES = {
    "grows": (dict(initial_scale=8.0, dynamic_growth_steps=2), [1, 2, -1, 0.5, 1, 3, 1]),
    "shrinks": (dict(initial_scale=8.0, dynamic_growth_steps=3), [INF, NAN, 1, -INF, 1, 1, 1, 2, 1]),
    "defaults": ({}, [1, INF, 2, 1]),
}


def scale_cases(out):
    for name, (arguments, factors) in SCALES.items():
        random = rng_of("scale/" + name)
        start, gradient = normal(random, 4), normal(random, 4)
        inner = keras.optimizers.Adam(0.1)
        optimizer = keras.optimizers.LossScaleOptimizer(inner, **arguments)
        variable = keras.Variable(start, name="v")
        group = f"scale/{name}"
        out.case(group, start=start, gradient=gradient, factors=np.array(factors, np.float32))
        for key, value in arguments.items():
            out.add(f"{group}/{key}", np.array(value, np.float32))
        scales, counters, iterations = [], [], []
        optimizer.build([variable])
        for factor in factors:
            scale = optimizer.dynamic_scale.numpy()
            optimizer.apply([tf.constant(gradient * np.float32(factor) * scale)], [variable])
            scales.append(optimizer.dynamic_scale.numpy())
            counters.append(int(optimizer.step_counter))
            iterations.append(int(optimizer.iterations))
        out.case(
            group,
            scales=np.array(scales, np.float32),
            counters=np.array(counters, np.int32),
            iterations=np.array(iterations, np.int32),
            end=variable.numpy(),
        )


def main():
    out = Writer("mixed_precision", f"Keras {keras.__version__} on TensorFlow {tf.__version__}, CPU")
    for policy in POLICIES:
        keras.config.set_dtype_policy(policy)
        layer_cases(out, policy)
        training_case(out, policy)
    keras.config.set_dtype_policy("float32")
    scale_cases(out)
    out.save()


if __name__ == "__main__":
    main()

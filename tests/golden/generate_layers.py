"""Writes layers.txt: values and gradients of Keras layers, computed in float64.

A case holds the layer's arguments, the inputs x (or x0, x1), its weights, the output y, and the
gradients of sum(y * dy): dx and d<weight>. Images are NHWC, convolution kernels HWIO.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from golden import Writer, rng  # noqa: E402

random = rng()


def normal(*shape):
    """Short values that float32 holds exactly, in float64."""
    return random.normal(size=shape).round(3).astype(np.float32).astype(np.float64)


def run(layer, inputs, training=False):
    """Output, dy and gradients of sum(y * dy) by inputs and by trainable weights."""
    tensors = [tf.constant(x) for x in inputs]
    with tf.GradientTape() as tape:
        for t in tensors:
            tape.watch(t)
        y = layer(tensors[0] if len(tensors) == 1 else tensors, training=training)
        dy = normal(*y.shape)
        total = tf.reduce_sum(y * dy)
    weights = [w.value for w in layer.trainable_weights]
    gradients = tape.gradient(total, tensors + weights)
    return y.numpy(), dy, [g.numpy() for g in gradients]


def record(out, name, layer, inputs, training=False, **arguments):
    layer.build(inputs[0].shape if len(inputs) == 1 else [x.shape for x in inputs])
    for weight in layer.weights:
        value = normal(*weight.shape)
        weight.assign(np.abs(value) + 0.5 if "variance" in weight.name else value)
    for key, value in arguments.items():
        out.add(f"{name}/{key}", value)
    for weight in layer.weights:
        out.add(f"{name}/{weight.name}", weight.numpy())
    y, dy, gradients = run(layer, inputs, training)
    names = ["x"] if len(inputs) == 1 else [f"x{i}" for i in range(len(inputs))]
    for n, x in zip(names, inputs):
        out.add(f"{name}/{n}", x)
    out.case(name, y=y, dy=dy)
    for n, g in zip(names + [w.name for w in layer.trainable_weights], gradients):
        out.add(f"{name}/d{n}", g)


def dense(out):
    for name, shape, activation, use_bias in [
        ("relu", (3, 5), "relu", True),
        ("linear_no_bias", (4, 7), "linear", False),
        ("softmax", (2, 3), "softmax", True),
        ("tanh_rank3", (2, 3, 5), "tanh", True),
    ]:
        layer = keras.layers.Dense(6, activation=activation, use_bias=use_bias, dtype="float64")
        record(out, f"dense/{name}", layer, [normal(*shape)], activation=activation)


def conv2d(out):
    cases = {
        "valid": dict(filters=3, kernel_size=(3, 3)),
        "same": dict(filters=4, kernel_size=(3, 3), padding="same", activation="relu"),
        "same_even_kernel": dict(filters=2, kernel_size=(2, 4), padding="same"),
        "same_stride2": dict(filters=3, kernel_size=(3, 3), strides=(2, 2), padding="same"),
        "same_stride32": dict(filters=2, kernel_size=(5, 3), strides=(3, 2), padding="same"),
        "valid_stride2": dict(filters=3, kernel_size=(3, 2), strides=(2, 2)),
        "valid_dilation2": dict(filters=2, kernel_size=(3, 3), dilation_rate=(2, 2)),
        "same_dilation23": dict(
            filters=2, kernel_size=(3, 3), dilation_rate=(2, 3), padding="same"
        ),
        "kernel1_no_bias": dict(filters=5, kernel_size=(1, 1), use_bias=False),
        "stride_over_kernel": dict(filters=2, kernel_size=(1, 1), strides=(3, 3), padding="same"),
    }
    for name, arguments in cases.items():
        layer = keras.layers.Conv2D(**arguments, dtype="float64")
        record(
            out,
            f"conv2d/{name}",
            layer,
            [normal(2, 8, 7, 3)],
            strides=np.array(layer.strides),
            dilation_rate=np.array(layer.dilation_rate),
            padding=layer.padding,
            groups=np.array(1),
            activation=arguments.get("activation", "linear"),
        )


def pooling(out):
    for kind in ["MaxPooling2D", "AveragePooling2D"]:
        for name, size, strides, padding in [
            ("valid", (2, 2), None, "valid"),
            ("same", (2, 2), None, "same"),
            ("overlap_same", (3, 3), (2, 2), "same"),
            ("overlap_valid", (3, 2), (1, 2), "valid"),
            ("stride_over_pool", (2, 2), (3, 3), "same"),
        ]:
            layer = getattr(keras.layers, kind)(size, strides, padding, dtype="float64")
            record(
                out,
                f"{kind}/{name}",
                layer,
                [normal(2, 7, 5, 3)],
                pool_size=np.array(size),
                strides=np.array(layer.strides),
                padding=padding,
            )
    for kind in ["GlobalMaxPooling2D", "GlobalAveragePooling2D"]:
        for keepdims in [False, True]:
            layer = getattr(keras.layers, kind)(keepdims=keepdims, dtype="float64")
            record(
                out,
                f"{kind}/{'keepdims' if keepdims else 'plain'}",
                layer,
                [normal(2, 5, 3, 4)],
                keepdims=np.array(keepdims),
            )


def shapes(out):
    record(out, "flatten/rank4", keras.layers.Flatten(dtype="float64"), [normal(2, 3, 2, 4)])
    record(out, "flatten/rank2", keras.layers.Flatten(dtype="float64"), [normal(3, 4)])
    record(
        out,
        "reshape/to_rank3",
        keras.layers.Reshape((4, 3, 2), dtype="float64"),
        [normal(2, 3, 2, 4)],
        target_shape=np.array([4, 3, 2]),
    )
    record(
        out,
        "reshape/inferred",
        keras.layers.Reshape((-1, 6), dtype="float64"),
        [normal(2, 3, 2, 4)],
        target_shape=np.array([-1, 6]),
    )
    for axis in [-1, 1]:
        other = (2, 3, 5) if axis == -1 else (2, 1, 4)
        record(
            out,
            f"concatenate/axis{axis}",
            keras.layers.Concatenate(axis=axis, dtype="float64"),
            [normal(2, 3, 4), normal(*other)],
            axis=np.array(axis),
        )
    record(out, "add/two", keras.layers.Add(dtype="float64"), [normal(2, 3), normal(2, 3)])
    record(out, "add/three", keras.layers.Add(dtype="float64"), [normal(2, 3) for _ in range(3)])


def activations(out):
    x = np.concatenate([normal(4, 7), [[-9.0, -3.5, -1.0, -0.1, 1.0, 3.5, 9.0]]])
    for name in (
        "relu relu6 sigmoid tanh softmax softplus softsign elu selu gelu silu leaky_relu "
        "exponential linear hard_sigmoid log_softmax mish"
    ).split():
        record(out, f"activation/{name}", keras.layers.Activation(name, dtype="float64"), [x])


def batch_normalization(out):
    """Training gradients and statistics after each of three steps; evaluation after them."""
    for name, shape, arguments in [
        ("rank2", (5, 3), {}),
        ("rank4", (2, 3, 4, 3), dict(momentum=0.9, epsilon=1e-2)),
        ("no_scale", (4, 3), dict(scale=False)),
        ("no_center", (4, 3), dict(center=False)),
        ("axis1", (2, 3, 4, 2), dict(axis=1)),
        ("axis-2", (4, 2, 3), dict(axis=-2, momentum=0.9)),
    ]:
        group = f"batch_normalization/{name}"
        layer = keras.layers.BatchNormalization(**arguments, dtype="float64")
        layer.build((None,) + shape[1:])
        for weight in layer.trainable_weights:
            weight.assign(normal(*weight.shape))
        out.case(
            group,
            axis=np.array(layer.axis),
            momentum=np.array(layer.momentum),
            epsilon=np.array(layer.epsilon),
            scale=np.array(layer.scale),
            center=np.array(layer.center),
        )
        for weight in layer.trainable_weights:
            out.add(f"{group}/{weight.name}", weight.numpy())
        for step in range(3):
            x = normal(*shape) * (step + 1.0) + 0.5 * step
            y, dy, gradients = run(layer, [x], training=True)
            out.case(group, **{f"x{step}": x, f"y{step}": y, f"dy{step}": dy})
            for n, g in zip(["x"] + [w.name for w in layer.trainable_weights], gradients):
                out.add(f"{group}/d{n}{step}", g)
            out.add(f"{group}/moving_mean{step}", layer.moving_mean.numpy())
            out.add(f"{group}/moving_variance{step}", layer.moving_variance.numpy())
        x = normal(*shape)
        y, dy, gradients = run(layer, [x], training=False)
        out.case(group, x_eval=x, y_eval=y, dy_eval=dy, dx_eval=gradients[0])


def main():
    out = Writer("layers", f"Keras {keras.__version__} on TensorFlow {tf.__version__}, CPU")
    for part in (dense, conv2d, pooling, shapes, activations, batch_normalization):
        part(out)
    out.save()


if __name__ == "__main__":
    main()

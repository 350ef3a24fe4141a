"""Writes initializers.txt: limits and moments of Keras initializers per shape.

initializers/<name>_<shape>/: shape, fan_in, fan_out (as Keras computes them), the distribution
(uniform, normal, truncated_normal, constant, orthogonal), what it takes:
    uniform: minval, maxval       normal: mean, stddev      constant: value
    truncated_normal: mean, stddev of the normal *before* truncation at two of its deviations, and
    limit = the largest |value - mean| it can give
and mean_seen, stddev_seen over many samples drawn from Keras (tolerance_mean, tolerance_stddev:
six standard errors of an equally large sample).
"""

import math
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from keras.src.initializers.random_initializers import compute_fans  # noqa: E402

from golden import Writer  # noqa: E402

SHAPES = {"dense": (784, 128), "small_dense": (7, 3), "conv": (3, 3, 32, 64), "bias": (256,)}
SAMPLES = 200_000
SCALES = {"glorot": (1.0, "fan_avg"), "he": (2.0, "fan_in"), "lecun": (1.0, "fan_in")}
# The deviation of a standard normal truncated at two deviations.
TRUNCATED_STDDEV = 0.87962566103423978


def parameters(name, shape):
    """The distribution's parameters by Keras' formulas."""
    fan_in, fan_out = compute_fans(shape)
    if name in ("zeros", "ones", "constant"):
        return "constant", dict(value={"zeros": 0.0, "ones": 1.0, "constant": 0.25}[name])
    if name == "random_uniform":
        return "uniform", dict(minval=-0.05, maxval=0.05)
    if name == "random_normal":
        return "normal", dict(mean=0.0, stddev=0.05)
    if name == "truncated_normal":
        return "truncated_normal", dict(mean=0.0, stddev=0.05, limit=0.1)
    family, kind = name.split("_")
    scale, mode = SCALES[family]
    variance = scale / max(1.0, fan_in if mode == "fan_in" else (fan_in + fan_out) / 2)
    if kind == "uniform":
        limit = math.sqrt(3 * variance)
        return "uniform", dict(minval=-limit, maxval=limit)
    stddev = math.sqrt(variance) / TRUNCATED_STDDEV
    return "truncated_normal", dict(mean=0.0, stddev=stddev, limit=2 * stddev)


def initializer(name, seed):
    if name == "constant":
        return keras.initializers.Constant(0.25)
    made = keras.initializers.get(name)
    config = made.get_config()
    return type(made)(**{**config, "seed": seed}) if "seed" in config else made


def draw(name, shape):
    """At least SAMPLES values of Keras' initializer; checks them against parameters()."""
    times = 1 if name in ("zeros", "ones", "constant") else math.ceil(SAMPLES / math.prod(shape))
    values = np.concatenate(
        [np.asarray(initializer(name, seed)(shape)).reshape(-1) for seed in range(times)]
    ).astype(np.float64)
    distribution, p = parameters(name, shape)
    if distribution == "uniform":
        low, high, stddev = p["minval"], p["maxval"], (p["maxval"] - p["minval"]) / math.sqrt(12)
    elif distribution == "constant":
        low = high = p["value"]
        stddev = 0.0
    elif distribution == "normal":
        low, high, stddev = -math.inf, math.inf, p["stddev"]
    else:
        low, high = -p["limit"], p["limit"]
        stddev = p["stddev"] * TRUNCATED_STDDEV
    assert values.min() >= low - 1e-6 and values.max() <= high + 1e-6, (name, shape)
    assert abs(values.std() - stddev) <= 6 * stddev / math.sqrt(2 * len(values)) + 1e-9, (
        name,
        shape,
    )
    return values


def main():
    out = Writer("initializers", f"Keras {keras.__version__} on TensorFlow {tf.__version__}, CPU")
    for name in (
        "zeros ones constant random_uniform random_normal truncated_normal glorot_uniform "
        "glorot_normal he_uniform he_normal lecun_uniform lecun_normal"
    ).split():
        for label, shape in SHAPES.items():
            fan_in, fan_out = compute_fans(shape)
            distribution, p = parameters(name, shape)
            values = draw(name, shape)
            group = f"initializers/{name}_{label}"
            out.case(
                group,
                initializer=name,
                shape=np.array(shape),
                fan_in=np.array(fan_in),
                fan_out=np.array(fan_out),
                distribution=distribution,
                **{k: np.array(v) for k, v in p.items()},
            )
            n = len(values)
            out.case(
                group,
                mean_seen=values.mean(),
                stddev_seen=values.std(),
                samples=np.array(n),
                tolerance_mean=6 * values.std() / math.sqrt(n),
                tolerance_stddev=6 * values.std() / math.sqrt(2 * n),
            )
    for label, shape in {"square": (6, 6), "tall": (9, 4), "wide": (3, 3, 2, 20)}.items():
        value = np.asarray(keras.initializers.Orthogonal(gain=1.5, seed=1)(shape))
        flat = value.reshape(-1, shape[-1])
        product = flat.T @ flat if flat.shape[0] >= flat.shape[1] else flat @ flat.T
        assert np.allclose(product, 1.5**2 * np.eye(len(product)), atol=1e-5)
        out.case(
            f"initializers/orthogonal_{label}",
            initializer="orthogonal",
            shape=np.array(shape),
            distribution="orthogonal",
            gain=np.array(1.5),
        )
    out.save()


if __name__ == "__main__":
    main()

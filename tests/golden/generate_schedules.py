"""Writes schedules.txt: Keras learning rate schedules at some steps, and what SGD and Adam do with them.

A case of "schedules" holds the class, its arguments, the steps and the rates there. A case of
"training" holds the optimizer and its schedule, which is a case of "schedules"; a weight starts at 1
and sees the gradient 0.5 for 12 steps; "weights" are its values after each.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from golden import Writer  # noqa: E402

STEPS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 15, 16, 20, 21, 33, 100, 1000]
CASES = {
    "exponential": ("ExponentialDecay", dict(initial_learning_rate=0.1, decay_steps=10, decay_rate=0.9)),
    "exponential_staircase": (
        "ExponentialDecay",
        dict(initial_learning_rate=0.1, decay_steps=4, decay_rate=0.5, staircase=True),
    ),
    "piecewise": (
        "PiecewiseConstantDecay",
        dict(boundaries=[3, 8, 20], values=[1.0, 0.5, 0.25, 0.01]),
    ),
    "piecewise_one": ("PiecewiseConstantDecay", dict(boundaries=[5], values=[0.1, 0.2])),
    "polynomial": ("PolynomialDecay", dict(initial_learning_rate=0.1, decay_steps=10)),
    "polynomial_square": (
        "PolynomialDecay",
        dict(initial_learning_rate=0.1, decay_steps=16, end_learning_rate=0.01, power=2.0),
    ),
    "polynomial_cycle": (
        "PolynomialDecay",
        dict(initial_learning_rate=0.1, decay_steps=8, end_learning_rate=0.02, power=0.5, cycle=True),
    ),
    "inverse_time": (
        "InverseTimeDecay",
        dict(initial_learning_rate=0.1, decay_steps=5, decay_rate=0.7),
    ),
    "inverse_time_staircase": (
        "InverseTimeDecay",
        dict(initial_learning_rate=0.1, decay_steps=5, decay_rate=0.7, staircase=True),
    ),
    "cosine": ("CosineDecay", dict(initial_learning_rate=0.1, decay_steps=20)),
    "cosine_alpha": ("CosineDecay", dict(initial_learning_rate=0.1, decay_steps=16, alpha=0.2)),
    "cosine_warmup": (
        "CosineDecay",
        dict(initial_learning_rate=0.0, decay_steps=20, alpha=0.1, warmup_target=0.3, warmup_steps=5),
    ),
    "cosine_target": (
        "CosineDecay",
        dict(initial_learning_rate=0.1, decay_steps=20, warmup_target=0.3),
    ),
}
TRAINING = {
    "sgd_exponential": ("SGD", "exponential"),
    "sgd_piecewise": ("SGD", "piecewise"),
    "sgd_cosine_warmup": ("SGD", "cosine_warmup"),
    "adam_polynomial": ("Adam", "polynomial"),
    "adam_inverse_time": ("Adam", "inverse_time_staircase"),
}


def make(name):
    cls, arguments = CASES[name]
    return getattr(keras.optimizers.schedules, cls)(**arguments)


def main():
    out = Writer("schedules", f"Keras {keras.__version__} on TensorFlow {tf.__version__}, CPU")
    for name, (cls, arguments) in CASES.items():
        group = f"schedules/{name}"
        out.case(group, schedule=cls)
        for key, value in arguments.items():
            out.add(f"{group}/{key}", np.array(value, np.bool_ if isinstance(value, bool) else None))
        schedule = make(name)
        rates = [np.float32(schedule(tf.constant(s, tf.int64))) for s in STEPS]
        out.case(group, steps=np.array(STEPS), rates=np.array(rates, np.float32))
    for name, (cls, schedule) in TRAINING.items():
        optimizer = getattr(keras.optimizers, cls)(learning_rate=make(schedule))
        variable = keras.Variable(np.ones((1,), np.float32), name="w")
        weights = []
        for _ in range(12):
            optimizer.apply([tf.constant([0.5])], [variable])
            weights.append(variable.numpy()[0])
        out.case(
            f"training/{name}",
            optimizer=cls,
            schedule=schedule,
            weights=np.array(weights, np.float32),
            next_rate=np.float32(optimizer.learning_rate),
        )
    out.save()


if __name__ == "__main__":
    main()

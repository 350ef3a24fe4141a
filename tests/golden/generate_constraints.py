"""Writes constraints.txt: what constraints of Keras make of weights, and steps of optimizers whose variables
have them.

values/<case>: the constraint's arguments, w, and the result y.
steps/<case>: five steps of an optimizer on the variable a, which has the constraint, and b, which has none:
start/{a,b}, gradient<step>/{a,b}; {a,b}<step>. The optimizers and constraints of the cases are in
tests/nn/constraints_test.cc under the same names.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from golden import Writer, rng_of  # noqa: E402

C, O = keras.constraints, keras.optimizers
STEPS = 5

VALUES = {
    "max_norm": (C.MaxNorm(), (4, 3)),
    "max_norm_axes": (C.MaxNorm(1.5, axis=[0, 1, 2]), (2, 2, 3, 4)),
    "max_norm_axis": (C.MaxNorm(1.0, axis=1), (4, 3)),
    "non_neg": (C.NonNeg(), (4, 3)),
    "unit_norm": (C.UnitNorm(), (4, 3)),
    "unit_norm_axis": (C.UnitNorm(axis=1), (4, 3)),
    "min_max_norm": (C.MinMaxNorm(0.5, 1.2), (4, 3)),
    "min_max_norm_rate": (C.MinMaxNorm(0.5, 1.2, rate=0.3, axis=1), (4, 3)),
}
STEP_CASES = {
    "sgd": (lambda: O.SGD(0.1), C.MaxNorm(1.0)),
    "sgd_momentum": (lambda: O.SGD(0.1, momentum=0.9, nesterov=True), C.NonNeg()),
    "adam": (lambda: O.Adam(0.05, amsgrad=True), C.UnitNorm()),
    "adam_decay": (lambda: O.Adam(0.05, weight_decay=0.1), C.MaxNorm(0.8, axis=1)),
    "adam_accumulated": (
        lambda: O.Adam(0.05, gradient_accumulation_steps=2),
        C.MinMaxNorm(0.5, 1.0, rate=0.5),
    ),
    "rmsprop": (lambda: O.RMSprop(0.02, momentum=0.5, centered=True), C.MinMaxNorm(0.5, 1.0)),
    "nadam": (lambda: O.Nadam(0.05, clipnorm=0.5), C.UnitNorm(axis=1)),
    "lamb": (lambda: O.Lamb(0.05), C.MaxNorm(1.0)),
    "ema": (lambda: O.SGD(0.1, use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=2), C.NonNeg()),
}


def normal(random, *shape):
    return random.normal(size=shape).round(3).astype(np.float32)


def main():
    out = Writer("constraints", f"Keras {keras.__version__} on TensorFlow {tf.__version__}, CPU")
    for name, (constraint, shape) in VALUES.items():
        w = normal(rng_of("values/" + name), *shape)
        w[0] *= 0.01
        out.case(f"values/{name}", w=w, y=np.asarray(constraint(w)))
    for name, (make, constraint) in STEP_CASES.items():
        random, group = rng_of("steps/" + name), f"steps/{name}"
        variables = {n: keras.Variable(normal(random, 4, 3), name=n) for n in "ab"}
        variables["a"].constraint = constraint
        for n, v in variables.items():
            out.add(f"{group}/start/{n}", v.numpy())
        optimizer = make()
        for step in range(1, STEPS + 1):
            gradients = {n: normal(random, 4, 3) for n in variables}
            optimizer.apply([tf.constant(g) for g in gradients.values()], list(variables.values()))
            for n, v in variables.items():
                out.add(f"{group}/gradient{step}/{n}", gradients[n])
                out.add(f"{group}/{n}{step}", v.numpy())
    out.save()


if __name__ == "__main__":
    main()

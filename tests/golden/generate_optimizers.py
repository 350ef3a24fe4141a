"""Writes optimizers.txt: 20 steps of Keras optimizers in float32, kept after 1, 5, 10, 15 and 20.

Every case starts from start/{a,b} and sees the same gradients gradient<step>/{a,b}, scaled by
gradient_scale. A case holds the optimizer's class and the arguments that differ from its defaults,
and {a,b}<step>. Variable b is excluded from weight decay where exclude_b is 1.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from golden import Writer, rng  # noqa: E402

STEPS = 20
RECORDED = {1, 5, 10, 15, 20}
CLIPS = {"clipnorm": 0.5, "clipvalue": 0.3, "global_clipnorm": 0.8}
CASES = {
    "sgd": ("SGD", {}),
    "sgd_rate": ("SGD", dict(learning_rate=0.1)),
    "sgd_momentum": ("SGD", dict(learning_rate=0.05, momentum=0.9)),
    "sgd_nesterov": ("SGD", dict(learning_rate=0.05, momentum=0.9, nesterov=True)),
    "sgd_weight_decay": ("SGD", dict(learning_rate=0.1, weight_decay=0.02)),
    "sgd_momentum_weight_decay": ("SGD", dict(learning_rate=0.1, momentum=0.8, weight_decay=0.02)),
    "adam": ("Adam", {}),
    "adam_rate": ("Adam", dict(learning_rate=0.05, beta_1=0.8, beta_2=0.95, epsilon=1e-3)),
    "adam_amsgrad": ("Adam", dict(learning_rate=0.05, amsgrad=True)),
    "adam_weight_decay": ("Adam", dict(learning_rate=0.05, weight_decay=0.02)),
}


def main():
    random = rng()
    out = Writer("optimizers", f"Keras {keras.__version__} on TensorFlow {tf.__version__}, CPU")
    start = {
        n: random.normal(size=s).round(3).astype(np.float32)
        for n, s in {"a": (3, 5), "b": (7,)}.items()
    }
    # Two of the recorded gradients are exactly 0: an update must survive them.
    gradients = [
        {n: random.normal(size=v.shape).round(3).astype(np.float32) for n, v in start.items()}
        for _ in range(STEPS)
    ]
    gradients[3]["b"][:] = 0
    for n, v in start.items():
        out.add(f"start/{n}", v)
    for step, g in enumerate(gradients, 1):
        for n, v in g.items():
            out.add(f"gradient{step}/{n}", v)

    def run(name, cls, arguments, exclude_b=False, gradient_scale=1.0):
        group = f"optimizers/{name}"
        out.case(group, optimizer=cls, gradient_scale=np.float32(gradient_scale))
        for key, value in arguments.items():
            out.add(
                f"{group}/{key}", np.array(value, np.bool_ if isinstance(value, bool) else None)
            )
        if exclude_b:
            out.add(f"{group}/exclude_b", np.array(True))
        optimizer = getattr(keras.optimizers, cls)(**arguments)
        variables = {n: keras.Variable(v, name=n) for n, v in start.items()}
        if exclude_b:
            optimizer.exclude_from_weight_decay(var_list=[variables["b"]])
        for step, g in enumerate(gradients, 1):
            optimizer.apply(
                [tf.constant(g[n] * np.float32(gradient_scale)) for n in variables],
                list(variables.values()),
            )
            if step in RECORDED:
                for n, v in variables.items():
                    out.add(f"{group}/{n}{step}", v.numpy())
        assert int(optimizer.iterations) == STEPS

    for name, (cls, arguments) in CASES.items():
        run(name, cls, arguments)
        for clip, limit in CLIPS.items():
            run(f"{name}_{clip}", cls, {**arguments, clip: limit})
    for name in ["sgd_weight_decay", "adam_weight_decay"]:
        run(name + "_excluded", *CASES[name], exclude_b=True)
    for clip, limit in CLIPS.items():  # far below the limit: nothing is clipped
        run(f"sgd_small_gradients_{clip}", "SGD", {clip: limit}, gradient_scale=1e-3)
    out.save()


if __name__ == "__main__":
    main()

"""Writes optimizers.txt: 20 steps of Keras optimizers in float32, kept after 1, 5, 10, 15 and 20.

Every case starts from start/{a,b} and sees the same gradients gradient<step>/{a,b}, scaled by
gradient_scale. A case holds the optimizer's class and the arguments that differ from its defaults,
and {a,b}<step>. Variable b is excluded from weight decay where exclude_b is 1. The arguments that
all optimizers share are in these cases, too; `final` is 1 where the values after step 20 are those
after finalize_variable_values().

The cases are independent: a new one changes no line of the others.
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
# Of these, clipping is recorded for the first of each class alone.
BODIES = {
    "adamw": ("AdamW", {}),
    "adamw_rate": ("AdamW", dict(learning_rate=0.05, weight_decay=0.02, amsgrad=True)),
    "rmsprop": ("RMSprop", {}),
    "rmsprop_rate": ("RMSprop", dict(learning_rate=0.02, rho=0.8, epsilon=1e-3)),
    "rmsprop_momentum": ("RMSprop", dict(learning_rate=0.01, momentum=0.8)),
    "rmsprop_centered": ("RMSprop", dict(learning_rate=0.01, centered=True, epsilon=1e-3)),
    "rmsprop_all": (
        "RMSprop",
        dict(learning_rate=0.01, momentum=0.5, centered=True, epsilon=1e-3, weight_decay=0.02),
    ),
    "adagrad": ("Adagrad", {}),
    "adagrad_rate": (
        "Adagrad",
        dict(
            learning_rate=0.1, initial_accumulator_value=0.3, epsilon=1e-3, weight_decay=0.02
        ),
    ),
    "adadelta": ("Adadelta", {}),
    "adadelta_rate": ("Adadelta", dict(learning_rate=1.0, rho=0.8, epsilon=1e-3)),
    "adadelta_weight_decay": ("Adadelta", dict(learning_rate=0.5, weight_decay=0.02)),
    "adamax": ("Adamax", {}),
    "adamax_rate": (
        "Adamax",
        dict(learning_rate=0.05, beta_1=0.8, beta_2=0.95, epsilon=1e-3, weight_decay=0.02),
    ),
    "nadam": ("Nadam", {}),
    "nadam_rate": (
        "Nadam",
        dict(learning_rate=0.05, beta_1=0.8, beta_2=0.95, epsilon=1e-3, weight_decay=0.02),
    ),
    "lion": ("Lion", {}),
    "lion_rate": ("Lion", dict(learning_rate=0.02, beta_1=0.8, beta_2=0.95, weight_decay=0.02)),
    "ftrl": ("Ftrl", {}),
    "ftrl_rate": (
        "Ftrl",
        dict(
            learning_rate=0.1,
            l1_regularization_strength=0.02,
            l2_regularization_strength=0.05,
            l2_shrinkage_regularization_strength=0.03,
            beta=0.1,
        ),
    ),
    "ftrl_power": ("Ftrl", dict(learning_rate=0.1, learning_rate_power=-0.7, weight_decay=0.02)),
    "lamb": ("Lamb", {}),
    "lamb_rate": (
        "Lamb",
        dict(learning_rate=0.02, beta_1=0.8, beta_2=0.95, epsilon=1e-3, weight_decay=0.05),
    ),
}
SHARED = {
    "ema": dict(use_ema=True, ema_momentum=0.9),
    "ema_overwrite": dict(use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=4),
    "ema_accumulated": dict(use_ema=True, ema_momentum=0.8, gradient_accumulation_steps=4),
    "accumulated": dict(gradient_accumulation_steps=5),
    "loss_scale": dict(loss_scale_factor=8.0),
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

    def run(name, cls, arguments, exclude_b=False, gradient_scale=1.0, final=False):
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
            if final and step == STEPS:
                out.add(f"{group}/final", np.array(True))
                optimizer.finalize_variable_values(list(variables.values()))
            if step in RECORDED:
                for n, v in variables.items():
                    out.add(f"{group}/{n}{step}", v.numpy())
        assert int(optimizer.iterations) == STEPS // arguments.get("gradient_accumulation_steps", 1)

    for name, (cls, arguments) in CASES.items():
        run(name, cls, arguments)
        for clip, limit in CLIPS.items():
            run(f"{name}_{clip}", cls, {**arguments, clip: limit})
    for name in ["sgd_weight_decay", "adam_weight_decay"]:
        run(name + "_excluded", *CASES[name], exclude_b=True)
    for clip, limit in CLIPS.items():  # far below the limit: nothing is clipped
        run(f"sgd_small_gradients_{clip}", "SGD", {clip: limit}, gradient_scale=1e-3)
    for name, (cls, arguments) in BODIES.items():
        run(name, cls, arguments)
        for clip, limit in CLIPS.items() if name == cls.lower() else []:
            run(f"{name}_{clip}", cls, {**arguments, clip: limit})
    for name in ["adamw_rate", "rmsprop_all", "lamb_rate"]:
        run(name + "_excluded", *BODIES[name], exclude_b=True)
    for name in ["sgd_momentum", "adam_weight_decay", "rmsprop_all", "nadam_rate", "lamb_rate"]:
        cls, arguments = {**CASES, **BODIES}[name]
        for shared, more in SHARED.items():
            run(f"{name}_{shared}", cls, {**arguments, **more}, final=shared == "ema")
    out.save()


if __name__ == "__main__":
    main()

"""Writes sparse_updates.txt: 8 steps of Keras optimizers on a table whose gradient is IndexedSlices.

Every case starts from start [9, 3] and sees the same indices<step>, values<step>; b is a dense
variable beside it with gradients b<step>. A case holds the optimizer's class, the arguments that
differ from its defaults and table<step>, b_after<step> for steps 1, 4 and 8. Where `duplicates` is
1, indices occur more than once: these cases hold SGD alone, since Keras squares the values of
IndexedSlices one by one (Adam's second moment, norms in clipping) and so gives another result than
for the same gradient as a dense tensor.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from golden import Writer, rng  # noqa: E402

STEPS = 8
RECORDED = {1, 4, 8}
SHAPE = (9, 3)
CASES = {
    "sgd": ("SGD", dict(learning_rate=0.1)),
    "sgd_weight_decay": ("SGD", dict(learning_rate=0.1, weight_decay=0.02)),
    "sgd_momentum": ("SGD", dict(learning_rate=0.05, momentum=0.9)),
    "sgd_clipnorm": ("SGD", dict(learning_rate=0.1, clipnorm=0.5)),
    "sgd_clipvalue": ("SGD", dict(learning_rate=0.1, clipvalue=0.3)),
    "sgd_global_clipnorm": ("SGD", dict(learning_rate=0.1, global_clipnorm=0.8)),
    "adam": ("Adam", dict(learning_rate=0.05)),
    "adam_amsgrad": ("Adam", dict(learning_rate=0.05, amsgrad=True)),
    "adagrad": ("Adagrad", dict(learning_rate=0.1, initial_accumulator_value=0.05)),
    "adagrad_weight_decay": ("Adagrad", dict(learning_rate=0.1, weight_decay=0.02)),
    "rmsprop": ("RMSprop", dict(learning_rate=0.02)),
}
DUPLICATES = {"sgd_duplicates": CASES["sgd"], "sgd_momentum_duplicates": CASES["sgd_momentum"]}


def main():
    random = rng()
    out = Writer("sparse_updates", f"Keras {keras.__version__} on TensorFlow {tf.__version__}, CPU")
    start = random.normal(size=SHAPE).round(3).astype(np.float32)
    b_start = random.normal(size=(4,)).round(3).astype(np.float32)
    out.add("start/table", start)
    out.add("start/b", b_start)
    steps = {}
    for kind in ["unique", "duplicates"]:
        steps[kind] = []
        for step in range(1, STEPS + 1):
            count = int(random.integers(1, 5))
            rows = random.choice(SHAPE[0], size=count, replace=kind == "duplicates")
            if kind == "duplicates":
                rows = np.concatenate([rows, rows[:1]])
            values = random.normal(size=(len(rows), SHAPE[1])).round(3).astype(np.float32)
            b = random.normal(size=(4,)).round(3).astype(np.float32)
            steps[kind].append((rows.astype(np.int64), values, b))
            out.add(f"{kind}{step}/indices", rows.astype(np.int64))
            out.add(f"{kind}{step}/values", values)
            out.add(f"{kind}{step}/b", b)

    def run(name, cls, arguments, kind):
        group = f"sparse/{name}"
        out.case(group, optimizer=cls, duplicates=np.array(kind == "duplicates"))
        for key, value in arguments.items():
            out.add(
                f"{group}/{key}", np.array(value, np.bool_ if isinstance(value, bool) else None)
            )
        optimizer = getattr(keras.optimizers, cls)(**arguments)
        table, b = keras.Variable(start, name="table"), keras.Variable(b_start, name="b")
        for step, (rows, values, b_gradient) in enumerate(steps[kind], 1):
            slices = tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant(SHAPE))
            optimizer.apply([slices, tf.constant(b_gradient)], [table, b])
            if step in RECORDED:
                out.add(f"{group}/table{step}", table.numpy())
                out.add(f"{group}/b_after{step}", b.numpy())

    for name, (cls, arguments) in CASES.items():
        run(name, cls, arguments, "unique")
    for name, (cls, arguments) in DUPLICATES.items():
        run(name, cls, arguments, "duplicates")
    # What the note above says of Keras, checked: a dense gradient gives another Adam step.
    rows = np.array([1, 1])
    values = np.array([[1, 2, 3], [1, 0, -1]], np.float32)
    results = []
    for gradient in [
        tf.IndexedSlices(tf.constant(values), tf.constant(rows), tf.constant(SHAPE)),
        tf.constant(np.vstack([np.zeros((1, 3)), values.sum(0), np.zeros((7, 3))]), tf.float32),
    ]:
        optimizer = keras.optimizers.Adam(learning_rate=0.05)
        table = keras.Variable(start, name="table")
        for _ in range(2):
            optimizer.apply([gradient], [table])
        velocity = [v for v in optimizer.variables if "velocity" in v.path][0]
        results.append(velocity.numpy()[1])
    out.comment(f"Keras' Adam, second moment of indices 1, 1: {results[0]}; dense: {results[1]}")
    assert not np.allclose(*results)
    out.save()


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Models go from Keras to Cohort and back as .keras files: equal predictions, and training goes on as if they had not.

    tests/interop/keras_models.py build/release/tests/keras_models       (peer.py finds TensorFlow)

Keras trains a model and saves it; Cohort loads it, trains five further steps and saves it; Keras trains the original
the same five steps, loads what Cohort saved, and trains both five steps more. In float64 all of it agrees to 1e-6; in
float32 predictions do, and five steps of SGD. Configurations that went there and back are Keras' own, member for
member.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

import peer

peer.tensorflow()
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras  # noqa: E402
import numpy as np  # noqa: E402

sys.path.append(str(pathlib.Path(__file__).parent.parent / "golden"))
from keras_file_models import MODELS  # noqa: E402

STEPS = 5


def cohort(name, x, y):
    data = {f"x{i}": each for i, each in enumerate(x)} | {f"y{i}": each for i, each in enumerate(y)}
    np.savez(f"{folder}/{name}.data.npz", **data)
    run = subprocess.run([sys.argv[1], f"{folder}/{name}.keras", f"{folder}/{name}.data.npz", str(STEPS),
                          f"{folder}/{name}.result.npz", f"{folder}/{name}.saved.keras"],
                         text=True, capture_output=True)
    assert run.returncode == 0, f"{name}: {run.stderr}"
    return np.load(f"{folder}/{name}.result.npz")


def compare(what, want, got, tolerance):
    difference = max(np.max(np.abs(w - g) / (1 + np.abs(w))) for w, g in zip(want, got, strict=True))
    assert difference < tolerance, f"{what}: differs by {difference}"
    return difference


def predict(model, x):
    return [np.asarray(y) for y in keras.tree.flatten(model(x if len(x) > 1 else x[0], training=False))]


def train(model, x, y, steps=STEPS):
    for _ in range(steps):
        model.train_on_batch(x if len(x) > 1 else x[0], y if len(y) > 1 else y[0])


def without_automatic(config):
    """Names of optimizers are counted in each program; numbers of f32 stand for those of f64."""
    return json.loads(json.dumps(config), parse_float=lambda text: float(f"{float(text):.6g}"))


def exchange(name, make, floatx):
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(floatx)
    keras.utils.set_random_seed(7)
    model, x, y = make()
    x, y = ([each.astype(floatx) if each.dtype == "float64" else each for each in some] for some in (x, y))
    exact = floatx == "float64"
    trains = exact or isinstance(model.optimizer, keras.optimizers.SGD)
    train(model, x, y, steps=3)
    model.save(f"{folder}/{name}.keras")
    result = cohort(name, x, y)
    numbered = lambda what: [result[f"{what}{i}"] for i in range(len(model.outputs))]  # noqa: E731
    near = 1e-6 if exact else 2e-6
    far = [compare(f"{name}: Keras to Cohort", predict(model, x), numbered("before"), near)]
    back = keras.saving.load_model(f"{folder}/{name}.saved.keras")
    far.append(compare(f"{name}: Cohort to Keras", predict(back, x), numbered("after"), near))
    want, got = (without_automatic(m.get_config()) for m in (model, back))
    assert want == got, f"{name}: configurations differ:\n{json.dumps(want)}\n{json.dumps(got)}"
    if trains:
        train(model, x, y)
        far.append(compare(f"{name}: {STEPS} steps", predict(model, x), numbered("after"), near))
        train(model, x, y)
        train(back, x, y)
        far.append(compare(f"{name}: {STEPS} steps more", predict(model, x), predict(back, x), near))
    print(f"{name} in {floatx}: largest differences {', '.join(f'{d:.1e}' for d in far)}", flush=True)


with tempfile.TemporaryDirectory() as folder:
    for floatx in ("float64", "float32"):
        for name, make in MODELS.items():
            if len(sys.argv) < 3 or name in sys.argv[2:]:
                exchange(name, make, floatx)

#!/usr/bin/env python3
"""Keras reads the files of weights that Cohort writes, and the other way round: equal predictions.

    tests/interop/keras_weights.py build/release/tests/keras_weights       (peer.py finds TensorFlow)
"""

import os
import pathlib
import subprocess
import sys
import tempfile

import peer

peer.tensorflow()
os.environ["KERAS_BACKEND"] = "tensorflow"
import numpy as np  # noqa: E402

sys.path.append(str(pathlib.Path(__file__).parent.parent / "golden"))
from keras_weight_models import MODELS, predict  # noqa: E402


def cohort(what, name, path):
    run = subprocess.run([sys.argv[1], what, name, path], text=True, capture_output=True)
    assert run.returncode == 0, run.stderr
    return np.array([float(line) for line in run.stdout.split()])


def compare(what, want, got):
    difference = np.max(np.abs(want - got) / (1 + np.abs(want)))
    assert difference < 2e-6, f"{what}: differs by {difference}\n{want}\n{got}"
    print(f"{what}: {want.size} predictions, largest difference {difference:.1e}")


def exchange(name, ending, **options):
    """Both ways, by files of this ending."""
    path = f"{folder}/{name}{ending}"
    model = make()
    predict(model, name)
    ours = cohort("save", name, path)
    model.load_weights(path)
    compare(f"{name}{ending}: Cohort to Keras", predict(model, name).reshape(-1), ours)
    model.set_weights([w * 0.7 + 0.01 for w in model.get_weights()])
    model.save_weights(path, **options)
    compare(f"{name}{ending}: Keras to Cohort", predict(model, name).reshape(-1), cohort("load", name, path))


def read_safetensors(name):
    """The reader of the format's makers finds the weights, and writes what Cohort loads."""
    import safetensors.numpy

    path = f"{folder}/{name}.safetensors"
    ours = cohort("save", name, path)
    tensors = safetensors.numpy.load_file(path)
    model = make()
    predict(model, name)
    assert sorted(t.shape for t in tensors.values()) == sorted(w.shape for w in model.get_weights())
    safetensors.numpy.save_file(tensors, path)
    compare(f"{name}.safetensors: there and back", ours, cohort("load", name, path))


with tempfile.TemporaryDirectory() as folder:
    for name, make in MODELS.items():
        exchange(name, ".weights.h5")
        exchange(name, ".weights.json", max_shard_size=600 / 2**30)
        read_safetensors(name)

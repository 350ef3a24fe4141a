#!/usr/bin/env python3
"""Loss curves of real training beside Keras': the same model, initial weights and order of Fashion-MNIST's
rows; RMSprop, AdamW, and Adam under mixed policies. Run by hand: it trains for minutes.

    tests/interop/loss_curves.py build/release/tests/loss_curves [--rows 20000] [--epochs 4] [RECIPE ...]

COHORT_DATA_DIR names another folder of the four IDX files. peer.py finds TensorFlow.
"""

import argparse
import gzip
import os
import subprocess
import sys
import tempfile

import peer

peer.tensorflow()
os.environ["KERAS_BACKEND"] = "tensorflow"
import keras  # noqa: E402
import numpy as np  # noqa: E402

DATA = os.environ.get("COHORT_DATA_DIR", "/usr/share/datasets/fashion-mnist")
RECIPES = {
    "rmsprop": ("float32", lambda: keras.optimizers.RMSprop(1e-3)),
    "adamw": ("float32", lambda: keras.optimizers.AdamW(1e-3, weight_decay=0.01)),
    "mixed_bfloat16": ("mixed_bfloat16", lambda: keras.optimizers.Adam(1e-3)),
    "mixed_float16": ("mixed_float16", lambda: keras.optimizers.Adam(1e-3)),
}


def read(name, header):
    with gzip.open(f"{DATA}/{name}.gz") as file:
        return np.frombuffer(file.read(), np.uint8, offset=header)


def make_model(policy):
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(64, activation="relu"),
            keras.layers.Dense(10, dtype="float32"),
        ]
    )
    keras.config.set_dtype_policy("float32")
    return model


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("recipes", nargs="*", default=list(RECIPES))
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--epochs", type=int, default=4)
    arguments = parser.parse_args()
    x = read("train-images-idx3-ubyte", 16).reshape(-1, 28, 28)[: arguments.rows] / np.float32(255)
    y = read("train-labels-idx1-ubyte", 8)[: arguments.rows].astype(np.int32)
    print(f"Keras {keras.__version__}; {len(x)} rows, batches of 128, mean loss of each epoch")
    for name in arguments.recipes:
        policy, optimizer = RECIPES[name]
        model = make_model(policy)
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/start.weights.h5"
            model.save_weights(path)
            run = subprocess.run(
                [arguments.program, name, DATA, path, str(arguments.rows), str(arguments.epochs)],
                text=True,
                capture_output=True,
            )
            if run.returncode != 0:
                sys.exit(f"{name}: {run.stderr or run.returncode}")
        ours = np.array([float(line) for line in run.stdout.split()])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=optimizer(), loss=loss)
        fitted = model.fit(
            x, y, batch_size=128, epochs=arguments.epochs, shuffle=False, verbose=0
        )
        theirs = np.array(fitted.history["loss"])
        print(f"{name}\n  keras  " + " ".join(f"{value:.5f}" for value in theirs))
        print("  cohort " + " ".join(f"{value:.5f}" for value in ours))
        print(f"  largest difference {np.max(np.abs(ours - theirs) / theirs):.2%}", flush=True)


if __name__ == "__main__":
    main()

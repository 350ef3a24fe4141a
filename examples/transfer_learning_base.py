#!/usr/bin/env python3
"""Makes transfer_learning_base.weights.h5 with Keras: convolutions that tell five kinds of Fashion-MNIST's
pictures apart (0 to 4: shirts, trousers, pullovers, dresses, coats). transfer_learning.cc goes on from them.

    examples/transfer_learning_base.py [FOLDER OF THE DATA]
"""

import gzip
import pathlib
import sys

import keras
import numpy as np

FOLDER = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/datasets/fashion-mnist")
L = keras.layers


def read_idx(name, shape):
    data = gzip.decompress((FOLDER / name).read_bytes())
    return np.frombuffer(data, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


keras.utils.set_random_seed(1)
images = read_idx("train-images-idx3-ubyte.gz", (60000, 28, 28))
labels = read_idx("train-labels-idx1-ubyte.gz", (60000,))
base = keras.Sequential([
    keras.Input((28, 28)),
    L.Rescaling(1 / 255),
    L.Reshape((28, 28, 1)),
    L.Conv2D(16, 3, strides=2, activation="relu", name="edges"),
    L.Conv2D(32, 3, strides=2, activation="relu", name="parts"),
    L.Flatten(),
])
model = keras.Sequential([base, L.Dense(5)])
model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
first = labels < 5
model.fit(images[first], labels[first], batch_size=64, epochs=5, verbose=2)
base.save_weights(pathlib.Path(__file__).with_name("transfer_learning_base.weights.h5"))

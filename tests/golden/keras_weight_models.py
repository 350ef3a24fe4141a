"""The models of tests/support/weight_models.cc, in Keras."""

import keras
import numpy as np

L = keras.layers


def sequential():
    return keras.Sequential([
        keras.Input((8, 8, 2)), L.Conv2D(3, 3, activation="relu", name="stem"),
        L.BatchNormalization(), L.MaxPooling2D(), L.Flatten(), L.Dropout(0.2), L.Dense(5), L.Dense(3)])


def functional():
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    shared = L.Dense(3, activation="tanh", name="shared")
    return keras.Model([left, right], L.Dense(2, name="head")(L.Add()([shared(left), shared(right)])))


def nested():
    words = keras.Input((6,), dtype="int32")
    inner = keras.Sequential([L.Dense(4, activation="relu"), L.Dense(3)], name="inner")
    return keras.Model(words, L.Dense(2)(L.Flatten()(inner(L.Embedding(11, 5)(words)))))


class Subclassed(keras.Model):
    """What stands before "layers" in the alphabet is saved under its name, the rest as layers/…"""

    def __init__(self):
        super().__init__()
        self.encoder = L.Dense(4)
        self._hidden = L.Dense(4)
        self.out = L.Dense(2)
        self.blocks = keras.Sequential([L.Dense(4), L.Dense(4)])

    def build(self, shape):
        self.scale = self.add_weight(name="scale", shape=(4,), initializer="ones")

    def call(self, x):
        return self.out(self._hidden(self.blocks(self.encoder(x))) * self.scale)


MODELS = {"sequential": sequential, "functional": functional, "nested": nested, "subclassed": Subclassed}


def inputs(name):
    """As examples() of tests/support/weight_models.cc."""
    def numbers(*shape):
        return ((np.arange(np.prod(shape)) * 37 % 101) / 101 - 0.5).reshape(shape).astype(np.float32)

    if name == "sequential":
        return [numbers(3, 8, 8, 2)]
    if name == "nested":
        return [(np.arange(18) * 7 % 11).reshape(3, 6).astype(np.int32)]
    return [numbers(3, 4)] * (2 if name == "functional" else 1)


def predict(model, name):
    x = inputs(name)
    return model(x if len(x) > 1 else x[0], training=False).numpy()

"""Compiled models of every layer, loss, metric, optimizer and schedule that Cohort has, in Keras, with data."""

import keras
import numpy as np

L, O, S, C = keras.layers, keras.optimizers, keras.optimizers.schedules, keras.constraints
K, R = keras.losses, keras.regularizers
# Keras takes powers of these in float32 whatever the floatx: of 0.999, off by 1e-5. Of these it does not matter.
BETAS = {"beta_1": 0.875, "beta_2": 0.96875}


def numbers(*shape, seed=0):
    return ((np.arange(np.prod(shape)) * 37 + seed * 11) % 101 / 101 - 0.5).reshape(shape)


def classes(rows, n):
    return (np.arange(rows) * 7 % n).astype("int32")


def dense():
    """With every argument of Dense."""
    model = keras.Sequential([
        keras.Input((4,)),
        L.Dense(5, activation="relu", kernel_initializer=keras.initializers.HeNormal(seed=3), kernel_regularizer="l2",
                bias_regularizer=R.L1(0.02), activity_regularizer=R.L1L2(0.01, 0.02), kernel_constraint=C.MaxNorm(1.5),
                bias_constraint="non_neg", name="first"),
        L.Dense(3, use_bias=False, kernel_constraint=C.MinMaxNorm(0.1, 0.9, 0.5))])
    model.compile(O.SGD(0.1, momentum=0.9, nesterov=True), "mse", metrics=["mae"])
    return model, [numbers(6, 4)], [numbers(6, 3)]


def convolutions():
    model = keras.Sequential([
        keras.Input((9, 8, 2)), L.Rescaling(2.0, offset=0.1),
        L.Conv2D(4, 3, padding="same", activation="relu", groups=2), L.BatchNormalization(momentum=0.9),
        L.MaxPooling2D((2, 1)), L.Conv2D(3, (2, 3), dilation_rate=(1, 2), kernel_initializer="he_uniform"),
        L.AveragePooling2D(2, strides=1, padding="same"), L.Activation("tanh"), L.Flatten(), L.Dense(3)])
    model.compile(O.Adam(0.01, **BETAS), K.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    return model, [numbers(5, 9, 8, 2)], [classes(5, 3)]


def global_pooling():
    x = keras.Input((5, 5, 3), name="image")
    y = L.Concatenate()([L.GlobalMaxPooling2D()(x), L.GlobalAveragePooling2D()(x)])
    y = L.Reshape((3, -1))(y)
    y = L.Flatten()(L.BatchNormalization(axis=1, center=False, epsilon=0.01)(y))
    model = keras.Model(x, L.Dense(2, activation="softmax")(y), name="pools")
    model.compile(O.RMSprop(0.01, momentum=0.5, centered=True), K.CategoricalCrossentropy(label_smoothing=0.1),
                  metrics=[keras.metrics.AUC(), keras.metrics.Precision(), "categorical_accuracy"])
    return model, [numbers(4, 5, 5, 3)], [np.eye(2)[classes(4, 2)]]


def shared():
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    layer = L.Dense(3, activation="tanh", name="both")
    a, b = layer(left), layer(right)
    model = keras.Model([left, right], [L.Dense(2, name="sum")(L.Add()([a, b])), L.Dense(1, activation="sigmoid",
                                                                                         name="one")(a)])
    model.compile(O.Nadam(0.01, **BETAS), {"sum": "mse", "one": K.BinaryCrossentropy()},
                  loss_weights={"sum": 2.0, "one": 0.5},
                  metrics={"sum": ["mae"], "one": ["accuracy", keras.metrics.Recall(thresholds=0.4)]})
    return model, [numbers(5, 4), numbers(5, 4, seed=1)], [numbers(5, 2), np.array([[0], [1], [1], [0], [1]])]


def words():
    """A mask goes from the Embedding to the loss."""
    x = keras.Input((6,), dtype="int32")
    y = L.Dense(3)(L.Embedding(11, 5, mask_zero=True, embeddings_regularizer="l1")(x))
    model = keras.Model(x, y)
    model.compile(O.Adagrad(0.05), "mse", weighted_metrics=["mse"])
    return model, [(np.arange(18) * 7 % 11).reshape(3, 6).astype("int32")], [numbers(3, 6, 3)]


def masking():
    x = keras.Input((4, 3))
    model = keras.Model(x, L.Dense(2)(L.Masking(mask_value=0.25)(x)))
    model.compile(O.Adamax(0.01, **BETAS), "mse")
    data = numbers(3, 4, 3)
    data[1, 2:] = 0.25
    return model, [data], [numbers(3, 4, 2)]


def nested():
    """A model in a model in a model, called twice. (Keras itself cannot read a layer that stands in two of them.)"""
    inner = keras.Sequential([L.Dense(4, activation="gelu"), L.Dense(5, name="last")], name="inner")
    a = keras.Input((5,))
    middle = keras.Model(a, inner(L.Dense(5, activation="silu")(a)), name="middle")
    x = keras.Input((5,))
    model = keras.Model(x, L.Dense(2)(L.Add()([middle(x), middle(L.Dropout(0.0)(x))])))
    model.compile(O.AdamW(0.01, **BETAS, weight_decay=0.02, amsgrad=True), "mse")
    return model, [numbers(4, 5)], [numbers(4, 2)]


def frozen():
    model = keras.Sequential([keras.Input((4,)), L.Dense(4, trainable=False), L.BatchNormalization(trainable=False),
                              L.Dense(2)])
    model.compile(O.Adam(S.CosineDecay(0.05, 20, warmup_target=0.1, warmup_steps=3), **BETAS), "mse")
    return model, [numbers(6, 4)], [numbers(6, 2)]


def sequential_with(optimizer):
    def make():
        model = keras.Sequential([keras.Input((4,)), L.Dense(3, activation="elu"), L.Dense(2)])
        model.compile(optimizer(), "mse")
        return model, [numbers(6, 4)], [numbers(6, 2)]
    return make


def training_state():
    model = keras.Sequential([keras.Input((4,)), L.Dense(3, activation="selu"), L.Dense(2)])
    model.compile(O.Adam(0.01, **BETAS, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=4, clipnorm=0.5,
                         gradient_accumulation_steps=2, amsgrad=True), "mse")
    return model, [numbers(6, 4)], [numbers(6, 2)]


MODELS = {
    "dense": dense, "convolutions": convolutions, "global_pooling": global_pooling, "shared": shared, "words": words,
    "masking": masking, "nested": nested, "frozen": frozen, "training_state": training_state,
    "sgd": sequential_with(lambda: O.SGD(S.ExponentialDecay(0.1, 2, 0.9, staircase=True), clipvalue=0.3)),
    "adadelta": sequential_with(lambda: O.Adadelta(0.5)),
    "ftrl": sequential_with(lambda: O.Ftrl(0.05, l1_regularization_strength=0.01, beta=0.1)),
    "lamb": sequential_with(lambda: O.Lamb(S.PolynomialDecay(0.05, 10, cycle=True), **BETAS)),
    "lion": sequential_with(lambda: O.Lion(S.PiecewiseConstantDecay([2, 4], [0.02, 0.01, 0.005]))),
    "rmsprop": sequential_with(lambda: O.RMSprop(S.InverseTimeDecay(0.02, 3, 0.5))),
    "loss_scale": sequential_with(lambda: O.LossScaleOptimizer(O.Adam(0.02, **BETAS), initial_scale=16.0)),
}

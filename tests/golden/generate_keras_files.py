"""Writes keras_files/<model>.keras, some of the models of keras_file_models.py after three training steps in float64,
and keras_files.txt: their data x0, y0, …, what they predict then, before0, …, and after five steps more, after0, …;
and keras_configs.txt: how Keras describes an object of every class that Cohort has."""

import json
import os
import pathlib

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras  # noqa: E402
import numpy as np  # noqa: E402

from golden import Writer  # noqa: E402
from keras_file_models import MODELS  # noqa: E402

FILES = ("dense", "shared", "words", "frozen", "training_state", "rmsprop", "loss_scale")
REQUIRED = {  # arguments without a default
    "Activation": ["relu"], "AveragePooling2D": [2], "Conv2D": [2, 3], "Dense": [2], "Dropout": [0.5], "Embedding": [4, 3], "Rescaling": [2.0],
    "Reshape": [[2, -1]], "MeanIoU": [3], "CosineDecay": [0.1, 10], "ExponentialDecay": [0.1, 10, 0.9],
    "InverseTimeDecay": [0.1, 10, 0.9], "PiecewiseConstantDecay": [[1, 2], [0.1, 0.2, 0.3]],
    "PolynomialDecay": [0.1, 10], "LossScaleOptimizer": [keras.optimizers.Adam()]}
CLASSES = {
    "keras.layers": "Activation Add AveragePooling2D BatchNormalization Concatenate Conv2D Dense Dropout Embedding "
                    "Flatten GlobalAveragePooling2D GlobalMaxPooling2D Masking MaxPooling2D Rescaling Reshape",
    "keras.losses": "BinaryCrossentropy CategoricalCrossentropy MeanSquaredError SparseCategoricalCrossentropy",
    "keras.metrics": "AUC Accuracy BinaryAccuracy CategoricalAccuracy CosineSimilarity F1Score FBetaScore FalseNegatives FalsePositives "
                     "Mean MeanAbsoluteError MeanIoU MeanSquaredError Precision Recall RootMeanSquaredError "
                     "SparseCategoricalAccuracy SparseTopKCategoricalAccuracy Sum TopKCategoricalAccuracy TrueNegatives "
                     "TruePositives",
    "keras.optimizers": "Adadelta Adagrad Adam AdamW Adamax Ftrl Lamb Lion LossScaleOptimizer Nadam RMSprop SGD",
    "keras.optimizers.schedules": "CosineDecay ExponentialDecay InverseTimeDecay PiecewiseConstantDecay PolynomialDecay",
    "keras.initializers": "Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity LecunNormal LecunUniform Ones "
                          "Orthogonal RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros",
    "keras.regularizers": "L1 L1L2 L2",
    "keras.constraints": "MaxNorm MinMaxNorm NonNeg UnitNorm"}


def predict(model, x):
    return [np.asarray(y) for y in keras.tree.flatten(model(x if len(x) > 1 else x[0], training=False))]


def train(model, x, y, steps):
    for _ in range(steps):
        model.train_on_batch(x if len(x) > 1 else x[0], y if len(y) > 1 else y[0])


def write_files():
    out = Writer("keras_files", f"keras {keras.__version__}")
    folder = pathlib.Path(__file__).with_name("keras_files")
    folder.mkdir(exist_ok=True)
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    for name in FILES:
        keras.utils.set_random_seed(7)
        model, x, y = MODELS[name]()
        x, y = ([a if a.dtype == "int32" else a.astype("float32").astype("float64") for a in some] for some in (x, y))
        train(model, x, y, 3)
        model.save(folder / f"{name}.keras")
        values = {"x": x, "y": y, "before": predict(model, x)}
        train(model, x, y, 5)
        values["after"] = predict(model, x)
        for what, arrays in values.items():
            for i, array in enumerate(arrays):
                out.add(f"{name}/{what}{i}", array)
    out.save()


def write_configs():
    out = Writer("keras_configs", f"keras {keras.__version__}", "generate_keras_files.py")
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    for module, names in CLASSES.items():
        owner = keras
        for part in module.split(".")[1:]:
            owner = getattr(owner, part)
        for name in names.split():
            described = keras.saving.serialize_keras_object(getattr(owner, name)(*REQUIRED.get(name, [])))
            out.add(f"{module}.{name}", json.dumps(described))
    out.save()


write_configs()
write_files()

"""Writes keras_signatures.txt: argument order and defaults of Keras classes."""

import inspect
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras  # noqa: E402

GROUPS = {
    "layers": "InputLayer Dense Embedding Conv2D MaxPooling2D AveragePooling2D GlobalAveragePooling2D "
    "GlobalMaxPooling2D Flatten Reshape Dropout BatchNormalization Activation "
    "Concatenate Add ReLU LeakyReLU Softmax ELU",
    "initializers": "Zeros Ones Constant RandomUniform RandomNormal TruncatedNormal "
    "VarianceScaling GlorotUniform GlorotNormal HeUniform HeNormal LecunUniform LecunNormal "
    "Orthogonal",
    "losses": "SparseCategoricalCrossentropy CategoricalCrossentropy "
    "BinaryCrossentropy MeanSquaredError",
    "metrics": "Accuracy BinaryAccuracy CategoricalAccuracy SparseCategoricalAccuracy Mean Sum "
    "MeanSquaredError SparseCategoricalCrossentropy CategoricalCrossentropy "
    "BinaryCrossentropy",
    "optimizers": "SGD Adam",
    "callbacks": "Callback EarlyStopping CSVLogger TerminateOnNaN ProgbarLogger History "
    "LambdaCallback",
}
FUNCTIONS = {
    "keras.Input": keras.Input,
    "keras.Model.compile": keras.Model.compile,
    "keras.Model.fit": keras.Model.fit,
    "keras.Model.evaluate": keras.Model.evaluate,
    "keras.Model.predict": keras.Model.predict,
    "keras.Model.train_on_batch": keras.Model.train_on_batch,
    "keras.Model.test_on_batch": keras.Model.test_on_batch,
    "keras.Model.predict_on_batch": keras.Model.predict_on_batch,
    "keras.Model.summary": keras.Model.summary,
    "keras.Sequential": keras.Sequential.__init__,
    "keras.layers.Layer": keras.layers.Layer.__init__,
    "keras.layers.Layer.add_weight": keras.layers.Layer.add_weight,
    "keras.optimizers.Optimizer": keras.optimizers.Optimizer.__init__,
    "keras.utils.to_categorical": keras.utils.to_categorical,
    "keras.utils.set_random_seed": keras.utils.set_random_seed,
}


def show(name, function):
    parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    lines = [name]
    for p in parameters:
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        default = "" if p.default is p.empty else f" = {p.default!r}"
        lines.append(f"    {star}{p.name}{default}")
    return lines


def main():
    lines = [
        f"# Keras {keras.__version__}: arguments in order, with defaults. "
        "Made by generate_signatures.py.",
        "",
    ]
    for group, names in GROUPS.items():
        module = getattr(keras, group)
        for name in names.split():
            lines += show(f"keras.{group}.{name}", getattr(module, name).__init__) + [""]
    for name, function in FUNCTIONS.items():
        lines += show(name, function) + [""]
    activations = sorted(
        n
        for n in dir(keras.activations)
        if inspect.isfunction(getattr(keras.activations, n))
        and n not in ("get", "serialize", "deserialize")
    )
    for name in activations:
        lines += show(f"keras.activations.{name}", getattr(keras.activations, name)) + [""]
    # The base classes take more keyword arguments than a subclass shows (**kwargs):
    lines += show(
        "keras.layers.Layer (keyword arguments of every layer)", keras.layers.Layer.__init__
    )
    path = pathlib.Path(__file__).with_name("keras_signatures.txt")
    path.write_text("\n".join(lines).rstrip() + "\n")


if __name__ == "__main__":
    main()

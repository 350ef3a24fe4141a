"""Writes keras_signatures.txt and tensorflow_signatures.txt: what Keras, tf.data and tf.distribute offer
and with which arguments, in order, with defaults. docs/reference.md is made with them.

One line for each class, function or method, and `alias = name` for other names of the same thing.
"""

import ast
import inspect
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

KERAS_FAMILIES = {
    "keras.layers": keras.layers,
    "keras.losses": keras.losses,
    "keras.metrics": keras.metrics,
    "keras.optimizers": keras.optimizers,
    "keras.optimizers.schedules": keras.optimizers.schedules,
    "keras.callbacks": keras.callbacks,
    "keras.initializers": keras.initializers,
    "keras.regularizers": keras.regularizers,
    "keras.constraints": keras.constraints,
}
KERAS_FUNCTIONS = {
    "keras.Input": keras.Input,
    "keras.Model": keras.src.models.functional.Functional.__init__,  # Model(inputs, outputs)
    "keras.Sequential": keras.Sequential.__init__,
    "keras.layers.Layer.add_weight": keras.layers.Layer.add_weight,
    "keras.config.dtype_policy": keras.config.dtype_policy,
    "keras.config.set_dtype_policy": keras.config.set_dtype_policy,
    "keras.utils.clear_session": keras.utils.clear_session,
    "keras.utils.set_random_seed": keras.utils.set_random_seed,
    "keras.utils.to_categorical": keras.utils.to_categorical,
}
TENSORFLOW_FAMILIES = {
    "tf.distribute": tf.distribute,
    "tf.distribute.experimental": tf.distribute.experimental,
    "tf.distribute.cluster_resolver": tf.distribute.cluster_resolver,
}
TENSORFLOW_NAMES = {
    "tf.data.FixedLengthRecordDataset": tf.data.FixedLengthRecordDataset,
    "tf.data.TFRecordDataset": tf.data.TFRecordDataset,
    "tf.data.TextLineDataset": tf.data.TextLineDataset,
    "tf.data.experimental.CsvDataset": tf.data.experimental.CsvDataset,
    "tf.data.experimental.SqlDataset": tf.data.experimental.SqlDataset,
    "tf.io.FixedLenFeature": tf.io.FixedLenFeature,
    "tf.io.TFRecordWriter": tf.io.TFRecordWriter,
    "tf.nn.compute_average_loss": tf.nn.compute_average_loss,
    "tf.nn.scale_regularization_loss": tf.nn.scale_regularization_loss,
}
METHODS = {
    "keras.Model": (
        keras.Model,
        "compile evaluate export fit get_layer load_weights predict predict_on_batch quantize save "
        "save_weights summary test_on_batch to_json train_on_batch",
    ),
    "tf.data.Dataset": (tf.data.Dataset, ""),
    "tf.distribute.Strategy": (
        tf.distribute.Strategy,  # which also has methods left over from TensorFlow 1
        "distribute_datasets_from_function experimental_distribute_dataset "
        "experimental_distribute_values_from_function experimental_local_results gather reduce run "
        "scope",
    ),
    "tf.distribute.ReplicaContext": (tf.distribute.ReplicaContext, ""),
}


def shown_default(value):
    """The default as a literal or a dotted name; `...` for what has neither."""
    if value is None or isinstance(value, (bool, int, float, str, tuple, list)):
        return repr(value)
    text = f"tf.{value.name}" if isinstance(value, tf.DType) else repr(value)
    try:
        ast.parse(text, mode="eval")
    except SyntaxError:
        return "..."
    return text


def signature(name, function):
    shown = []
    for p in inspect.signature(function).parameters.values():
        if p.name in ("self", "cls"):
            continue
        star = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        default = "" if p.default is p.empty else f"={shown_default(p.default)}"
        shown.append(f"{star}{p.name}{default}")
    return f"{name}({', '.join(shown)})"


def public(owner):
    return sorted(n for n in dir(owner) if not n.startswith("_"))


def classes(family, module):
    """The classes of a module: the first name is the class's own where it has one of them."""
    names = {}
    for name in public(module):
        thing = getattr(module, name)
        if inspect.isclass(thing):
            names.setdefault(thing, []).append(name)
    lines = []
    for thing, known in names.items():
        known.sort(key=lambda name: (name.lower() != thing.__name__.lower(), name))
        # Some classes have only what `object` has.
        maker = thing.__new__ if thing.__init__ is object.__init__ else thing.__init__
        lines.append(signature(f"{family}.{known[0]}", maker))
        lines += [f"{family}.{other} = {family}.{known[0]}" for other in known[1:]]
    return sorted(lines, key=str.lower)


def methods(name):
    owner, named = METHODS[name]
    own = [
        n
        for n in public(owner)
        if callable(getattr(owner, n)) and not inspect.isclass(getattr(owner, n))
    ]
    return [
        signature(f"{name}.{method}", getattr(owner, method)) for method in named.split() or own
    ]


def activations():
    skipped = ("get", "serialize", "deserialize")
    return [
        signature(f"keras.activations.{name}", getattr(keras.activations, name))
        for name in public(keras.activations)
        if inspect.isfunction(getattr(keras.activations, name)) and name not in skipped
    ]


def write(path, title, groups):
    lines = [f"# {title}. Made by generate_signatures.py."]
    for group in groups:
        lines += ["", *group]
    pathlib.Path(__file__).with_name(path).write_text("\n".join(lines) + "\n")


def main():
    functions = [signature(name, function) for name, function in KERAS_FUNCTIONS.items()]
    write(
        "keras_signatures.txt",
        f"Keras {keras.__version__}",
        [functions, methods("keras.Model"), activations()]
        + [classes(family, module) for family, module in KERAS_FAMILIES.items()],
    )
    write(
        "tensorflow_signatures.txt",
        f"TensorFlow {tf.__version__}",
        [methods(name) for name in METHODS if name.startswith("tf.")]
        + [[signature(name, thing) for name, thing in TENSORFLOW_NAMES.items()]]
        + [classes(family, module) for family, module in TENSORFLOW_FAMILIES.items()],
    )


if __name__ == "__main__":
    main()

"""Random models and data for random_models.py, as descriptions in JSON. A new layer is a line in
LAYERS: what it takes, and its arguments."""

import math

import numpy as np

from models import keras_side
from models.keras_side import keras

ACTIVATIONS = [None, "celu", "elu", "exponential", "gelu", "glu", "hard_shrink", "hard_sigmoid", "hard_silu",
               "hard_swish", "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish",
               "relu", "relu6", "selu", "sigmoid", "silu", "soft_shrink", "softmax", "softplus", "softsign",
               "sparse_plus", "sparse_sigmoid", "sparsemax", "squareplus", "swish", "tanh", "tanh_shrink"]
MOST_ELEMENTS = 400  # of one row of a tensor


def some(r, config, **chances):
    """config with those of `chances`, functions, that luck takes."""
    config.update({name: make() for name, make in chances.items() if r.random() < 0.25})
    return config


def regularizer(r):
    kind, size = r.choice(["L1", "L2", "L1L2"]), round(r.uniform(0.001, 0.1), 3)
    return {"class": kind, "config": {one: size for one in (["l1", "l2"] if kind == "L1L2" else [kind.lower()])}}


def activation(r, channels, also=()):
    return r.choice([a for a in ACTIVATIONS + list(also) if a and (a != "glu" or channels % 2 == 0)])


def weighted(r, config, channels):
    """The arguments that Dense and Conv2D share."""
    penalty = lambda: regularizer(r)  # noqa: E731
    if r.random() < 0.7:
        config["activation"] = activation(r, channels)
    return some(r, config, use_bias=lambda: False, kernel_regularizer=penalty, bias_regularizer=penalty,
                activity_regularizer=penalty, trainable=lambda: r.random() < 0.5)


def dense(r, shape):
    units = r.randint(1, 6)
    return weighted(r, {"units": units}, units)


def conv2d(r, shape):
    groups = r.choice([g for g in (1, 1, 2, 3) if shape[2] % g == 0])
    filters = groups * r.randint(1, 3)
    config = {"filters": filters, "groups": groups, "padding": r.choice(["valid", "same"]),
              "kernel_size": [r.randint(1, min(3, shape[0])), r.randint(1, min(3, shape[1]))]}
    if r.random() < 0.4:
        config["strides"] = [2, 2] if r.random() < 0.7 else [1, 1]
    elif config["padding"] == "same":
        config["dilation_rate"] = r.choice([1, 2])
    return weighted(r, config, filters)


def pooling2d(r, shape):
    same = r.random() < 0.5
    most = [s + 1 if same else s for s in shape[:2]]
    config = {"pool_size": [r.randint(1, min(3, m)) for m in most], "padding": "same" if same else "valid"}
    return some(r, config, strides=lambda: [r.randint(1, 2)] * 2)


def batch_normalization(r, shape):
    return some(r, {"synchronized": True, "momentum": 0.9}, center=lambda: False, scale=lambda: False,
                epsilon=lambda: 0.01, trainable=lambda: False, gamma_regularizer=lambda: regularizer(r),
                axis=lambda: r.randint(1, len(shape)))


def embedding(r, shape):
    return some(r, {"input_dim": 9, "output_dim": r.randint(1, 4)},
                embeddings_regularizer=lambda: regularizer(r))


def reshape(r, shape):
    size = math.prod(shape)
    divisor = r.choice([d for d in range(1, size + 1) if size % d == 0])
    return {"target_shape": r.choice([[size], [divisor, -1], [divisor, size // divisor]])}


def sequential(r, shape):
    layers = [{"class": "Dense", "config": dense(r, shape)} for _ in range(r.randint(1, 3))]
    return some(r, {"layers": layers}, trainable=lambda: False)


def is_image(shape):
    return len(shape) == 3


def anything(shape):
    return True


LAYERS = {
    "Dense": (anything, dense),
    "Conv2D": (is_image, conv2d),
    "MaxPooling2D": (is_image, pooling2d),
    "AveragePooling2D": (is_image, pooling2d),
    "GlobalMaxPooling2D": (is_image, lambda r, s: some(r, {}, keepdims=lambda: True)),
    "GlobalAveragePooling2D": (is_image, lambda r, s: some(r, {}, keepdims=lambda: True)),
    "BatchNormalization": (anything, batch_normalization),
    "Activation": (anything, lambda r, s: {"activation": activation(r, s[-1])}),
    "Flatten": (anything, lambda r, s: {}),
    "Reshape": (anything, reshape),
    "Rescaling": (anything, lambda r, s: some(r, {"scale": 0.5}, offset=lambda: 0.25)),
    "Dropout": (anything, lambda r, s: {"rate": 0.5}),
    "Sequential": (anything, sequential),
}


class Graph:
    """A functional model that grows; Keras says the shapes."""

    def __init__(self, r):
        self.r, self.layers, self.calls, self.inputs, self.tensors = r, {}, [], [], {}
        self.built = {}

    def shape(self, tensor):
        return tuple(self.tensors[tensor].shape[1:])

    def add_input(self, shape, dtype):
        name = f"x{len(self.inputs)}"
        self.inputs.append({"name": name, "shape": list(shape), "dtype": dtype})
        self.tensors[name] = keras.Input(shape, dtype=dtype, name=name)
        return name

    def call(self, layer, inputs):
        given = [self.tensors[one] for one in inputs]
        result = self.built[layer](given[0] if len(given) == 1 else given)
        output = f"t{len(self.calls)}"
        self.calls.append({"layer": layer, "inputs": inputs, "output": output})
        self.tensors[output] = result
        return output

    def add(self, cls, config, inputs):
        name = f"l{len(self.layers)}"
        self.layers[name] = {"class": cls, "config": {"name": name, **config}}
        self.built[name] = keras_side.build(self.layers[name])
        return self.call(name, inputs)

    def grow(self):
        """One more call: of a new layer, of one that is there, or of one that joins two tensors."""
        r = self.r
        tensor = r.choice([t for t in self.tensors if "int" not in self.tensors[t].dtype])
        shape = self.shape(tensor)
        equal = [t for t in self.tensors if self.shape(t) == shape and "int" not in self.tensors[t].dtype]
        shared = [c["layer"] for c in self.calls if len(c["inputs"]) == 1
                  and self.shape(c["inputs"][0]) == shape and self.layers[c["layer"]]["class"] != "Embedding"]
        if r.random() < 0.15 and shared:
            return self.call(r.choice(shared), [tensor])
        if r.random() < 0.2:
            fits = [t for t in self.tensors if broadcast(self.shape(t), shape) and "int" not in self.tensors[t].dtype]
            return self.add("Add", {}, [tensor, r.choice(fits)])
        if r.random() < 0.2:
            return self.add("Concatenate", some(r, {}, axis=lambda: r.randint(1, len(shape))),
                            [tensor, r.choice(equal)])
        cls = r.choice([c for c, (takes, _) in LAYERS.items() if takes(shape)])
        return self.add(cls, LAYERS[cls][1](r, shape), [tensor])

    def describe(self, outputs):
        """Without what no output depends on."""
        needed, calls = set(outputs), []
        for call in reversed(self.calls):
            if call["output"] in needed:
                needed.update(call["inputs"])
                calls.insert(0, call)
        used = {call["layer"] for call in calls}
        return {"inputs": [i for i in self.inputs if i["name"] in needed], "calls": calls,
                "layers": {name: layer for name, layer in self.layers.items() if name in used},
                "outputs": outputs}


def broadcast(a, b):
    short, long = sorted((a, b), key=len)
    short = (1,) * (len(long) - len(short)) + tuple(short)
    return all(i == j or 1 in (i, j) for i, j in zip(short, long))


def tensor(values, dtype="float32"):
    values = np.asarray(values, dtype)
    return {"shape": list(values.shape), "dtype": dtype, "values": values.reshape(-1).tolist()}


def head(r, graph, name, shape):
    """Layers that end in an output for one loss: (output, loss, labels(rows), metrics)."""
    kind = r.choice(["MeanSquaredError", "BinaryCrossentropy", "CategoricalCrossentropy",
                     "SparseCategoricalCrossentropy"])
    config = {"reduction": r.choice(["sum_over_batch_size", "sum_over_batch_size", "sum", "mean",
                                     "mean_with_sample_weight"])}
    categorical = kind.endswith("CategoricalCrossentropy")
    units = r.randint(2, 4) if categorical else r.randint(1, 3)
    last = {"units": units}
    if kind != "MeanSquaredError":
        config["from_logits"] = r.random() < 0.5
        if not config["from_logits"]:
            last["activation"] = "softmax" if categorical else "sigmoid"
    if kind in ("BinaryCrossentropy", "CategoricalCrossentropy") and r.random() < 0.3:
        config["label_smoothing"] = 0.1
    if kind == "SparseCategoricalCrossentropy" and r.random() < 0.3:
        config["ignore_class"] = r.choice([0, 255, -1])
    output = graph.add("Dense", last, [name])
    shape = graph.shape(output)
    n = np.random.default_rng(r.randrange(2 ** 32))

    def labels(rows):
        if kind == "MeanSquaredError":
            return tensor(n.standard_normal((rows, *shape[:-1], 1 if n.random() < 0.2 else shape[-1])))
        if kind == "BinaryCrossentropy":
            return tensor(n.integers(0, 2, (rows, *shape)))
        numbers = n.integers(0, units, (rows, *shape[:-1]))
        if kind == "CategoricalCrossentropy":
            return tensor(np.eye(units)[numbers])
        if "ignore_class" in config:
            numbers[n.random(numbers.shape) < 0.3] = config["ignore_class"]
        return tensor(numbers, "int32")

    metrics = {"MeanSquaredError": ["mse", "MSE"],
               "BinaryCrossentropy": ["accuracy", "binary_accuracy", "mse", "BinaryAccuracy"],
               "CategoricalCrossentropy": ["accuracy", "categorical_accuracy", "mse"],
               "SparseCategoricalCrossentropy": ["acc", "sparse_categorical_accuracy"]}[kind]
    return output, {"class": kind, "config": config}, labels, metrics


def schedule(r):
    rate = round(r.uniform(0.005, 0.05), 4)
    kind = r.choice(["ExponentialDecay", "InverseTimeDecay", "PiecewiseConstantDecay", "PolynomialDecay",
                     "CosineDecay"])
    config = {"initial_learning_rate": rate, "decay_steps": r.randint(1, 5)}
    if kind in ("ExponentialDecay", "InverseTimeDecay"):
        config = some(r, {**config, "decay_rate": 0.8}, staircase=lambda: True)
    elif kind == "PiecewiseConstantDecay":
        config = {"boundaries": [1, 3], "values": [rate, rate / 2, rate / 4]}
    elif kind == "PolynomialDecay":
        config = some(r, config, power=lambda: 2.0, cycle=lambda: True)
    elif r.random() < 0.5:
        config.update(warmup_target=rate * 2, warmup_steps=2)
    return {"class": kind, "config": config}


def optimizer(r):
    config = {"learning_rate": schedule(r) if r.random() < 0.3 else round(r.uniform(0.005, 0.05), 4)}
    kind = r.choice(["SGD", "Adam"])
    if kind == "SGD":
        some(r, config, momentum=lambda: 0.9, nesterov=lambda: True)
    else:  # with a small epsilon Adam makes a step of a rounding error
        some(r, {**config, "epsilon": 1e-3}, beta_1=lambda: 0.8, beta_2=lambda: 0.99, amsgrad=lambda: True)
        config["epsilon"] = 1e-3
    some(r, config, weight_decay=lambda: 0.01, gradient_accumulation_steps=lambda: r.randint(2, 3))
    if r.random() < 0.3:
        config[r.choice(["clipnorm", "clipvalue", "global_clipnorm"])] = 0.1
    return {"class": kind, "config": config}


def initial_weights(model, n):
    weights = []
    for variable in model.weights:
        value = n.standard_normal(variable.shape) * 0.5
        if "variance" in variable.name:
            value = n.uniform(0.5, 2, variable.shape)
        elif "gamma" in variable.name:
            value = 1 + 0.3 * value
        weights.append(tensor(value))
    return weights


def random_case(r):
    """(case, Keras' model with the case's weights)."""
    n = np.random.default_rng(r.randrange(2 ** 32))
    graph = Graph(r)
    for _ in range(r.choice([1, 1, 2])):
        kind = r.choice(["vector", "vector", "image", "sequence", "ids"])
        if kind == "ids":
            ids = graph.add_input((r.randint(1, 4),), "int32")
            graph.add("Embedding", embedding(r, graph.shape(ids)), [ids])
        else:
            rank = {"vector": 1, "sequence": 2, "image": 3}[kind]
            graph.add_input(tuple(r.randint(1, 6) for _ in range(rank)), "float32")
    for _ in range(r.randint(0, 6)):
        made = graph.grow()
        if math.prod(graph.shape(made)) > MOST_ELEMENTS:
            graph.tensors.pop(made)
            graph.calls.pop()
    heads = []
    for _ in range(r.choice([1, 1, 1, 2, 3])):
        name = r.choice([t for t in list(graph.tensors)[-3:] if "int" not in graph.tensors[t].dtype]
                        or [graph.calls[-1]["output"]])
        if len(graph.shape(name)) > 1 and r.random() < 0.6:
            name = graph.add("Flatten", {}, [name])
        heads.append(head(r, graph, name, graph.shape(name)))
    model_description = graph.describe([output for output, *_ in heads])
    classes = {layer["class"] for layer in model_description["layers"].values()}

    batch_size, batches = r.randint(3, 6), r.randint(1, 3)
    rows = batch_size * batches + (r.choice([0, 3]) if batch_size > 3 else 0)
    data = {"x": [], "x_val": [], "y": [labels(rows) for *_, labels, _ in heads],
            "y_val": [labels(7) for *_, labels, _ in heads]}
    for one in model_description["inputs"]:
        for part, count in (("x", rows), ("x_val", 7)):
            shape = (count, *one["shape"])
            ids = one["dtype"] == "int32"
            data[part].append(tensor(n.integers(0, 9, shape), "int32") if ids else tensor(n.standard_normal(shape)))
    # Dropout's masks are not Keras': such a model is not trained.
    fit = {"batch_size": batch_size, "epochs": 0 if "Dropout" in classes else r.randint(1, 3)}
    compiled = {"optimizer": optimizer(r), "losses": [loss for _, loss, *_ in heads],
                "metrics": [r.sample(metrics, r.randint(0, 2)) for *_, metrics in heads]}
    some(r, compiled, steps_per_execution=lambda: 2)
    if len(heads) > 1:
        some(r, compiled, loss_weights=lambda: [round(r.uniform(0.2, 2), 2) for _ in heads])
    if r.random() < 0.3:
        data["sample_weight"] = [tensor(n.uniform(0, 2, rows)) for _ in heads]
        compiled["weighted_metrics"] = [r.sample(metrics, 1) for *_, metrics in heads]
    elif len(heads) == 1 and "Sparse" in compiled["losses"][0]["class"] and r.random() < 0.5:
        fit["class_weight"] = {"0": 2.0, "1": 0.5}
    case = {"model": model_description, "compile": compiled, "fit": fit, "data": data}
    keras.backend.clear_session()
    model = keras_side.build_model(model_description)
    case["weights"] = initial_weights(model, n)
    model.set_weights([keras_side.array(one) for one in case["weights"]])
    return case, model

"""Writes models.txt and summary_*.txt: what fit, evaluate and predict give for tiny models.

models.txt: data/{x,y,x_val,y_val,weight,weight_val}: 11 rows, batch size 4 (so the last batch has
3), validation 5 rows. start/*: the weights a model starts from. A case fit/<name> holds what it is
compiled with, the logs of 3 epochs (one array per log, in Keras' order: `logs`), the evaluation,
and the weights after training, in get_weights() order: weight0, weight1, ... No shuffling.
on_batch/train: [loss, accuracy] that train_on_batch returns for the three batches.
Losses are weighted by the rows of each batch, those of the outputs too: on TensorFlow Keras does
not know their number while it traces, and takes means over batches for kind_loss and size_loss.
summary_*.txt: the table that summary() prints.
"""

import os

os.environ["KERAS_BACKEND"] = "jax"
os.environ["COLUMNS"] = "80"
import jax  # noqa: E402
import keras  # noqa: E402
import numpy as np  # noqa: E402

from golden import Writer, rng  # noqa: E402

L = keras.layers
random = rng()


def normal(*shape):
    return random.normal(size=shape).round(3).astype(np.float32)


x, y = normal(11, 6), random.integers(0, 4, size=11).astype(np.int32)
x_val, y_val = normal(5, 6), random.integers(0, 4, size=5).astype(np.int32)
weight = random.choice(np.array([0.5, 1, 2], np.float32), size=11)
weight_val = random.choice(np.array([0.5, 1, 2], np.float32), size=5)
CLASS_WEIGHT = {0: 1.0, 1: 2.0, 2: 0.5, 3: 3.0}


def mlp(last=None):
    return keras.Sequential(
        [keras.Input((6,)), L.Dense(5, activation="relu"), L.Dense(4, activation=last)]
    )


def set_start(model, start):
    model.set_weights([w.copy() for w in start])
    return model


def record(out, name, model, arguments, history, evaluation, predictions):
    group = f"fit/{name}"
    for key, value in arguments.items():
        out.add(f"{group}/{key}", value)
    out.add(f"{group}/logs", " ".join(history.history))
    for key, values in history.history.items():
        out.add(f"{group}/{key}", np.array(values))
    out.add(f"{group}/evaluate_logs", " ".join(evaluation))
    out.add(f"{group}/evaluate", np.array(list(evaluation.values())))
    for i, p in enumerate(predictions if isinstance(predictions, list) else [predictions]):
        out.add(f"{group}/predict{i}", p)
    for i, w in enumerate(model.get_weights()):
        out.add(f"{group}/weight{i}", w)


def fit(
    out,
    name,
    model,
    optimizer,
    loss,
    fit_arguments=None,
    compile_arguments=None,
    validation=(x_val, y_val),
    targets=y,
    describe=None,
):
    model.compile(
        optimizer=optimizer, loss=loss, **(compile_arguments or {"metrics": ["accuracy"]})
    )
    history = model.fit(
        x,
        targets,
        batch_size=4,
        epochs=3,
        shuffle=False,
        verbose=0,
        validation_data=validation,
        **(fit_arguments or {}),
    )
    evaluation = model.evaluate(
        *validation[:2],
        batch_size=4,
        verbose=0,
        return_dict=True,
        sample_weight=validation[2] if len(validation) > 2 else None,
    )
    record(out, name, model, describe, history, evaluation, model.predict(x_val, verbose=0))


def fits(out):
    first = mlp()
    start = [normal(*w.shape) for w in first.get_weights()]
    out.case(
        "data",
        x=x,
        y=y,
        x_val=x_val,
        y_val=y_val,
        weight=weight,
        weight_val=weight_val,
        class_weight=np.array([CLASS_WEIGHT[i] for i in range(4)]),
    )
    for i, w in enumerate(start):
        out.add(f"start/weight{i}", w)
    logits = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    sgd, adam = (lambda: keras.optimizers.SGD(0.1)), (lambda: keras.optimizers.Adam(0.05))
    described = "mlp 6-5(relu)-4, SparseCategoricalCrossentropy(from_logits), "
    fit(
        out,
        "sgd",
        set_start(first, start),
        sgd(),
        logits,
        describe=dict(what=described + "SGD(0.1)"),
    )
    fit(
        out,
        "adam",
        set_start(mlp(), start),
        adam(),
        logits,
        describe=dict(what=described + "Adam(0.05)"),
    )
    fit(
        out,
        "sgd_sample_weight",
        set_start(mlp(), start),
        sgd(),
        logits,
        dict(sample_weight=weight),
        dict(metrics=["accuracy"], weighted_metrics=["accuracy"]),
        (x_val, y_val, weight_val),
        describe=dict(
            what=described + "SGD(0.1), sample_weight = data/weight in fit and data/weight_val "
            "in validation; metrics and weighted_metrics accuracy"
        ),
    )
    fit(
        out,
        "sgd_class_weight",
        set_start(mlp(), start),
        sgd(),
        logits,
        dict(class_weight=CLASS_WEIGHT),
        describe=dict(what=described + "SGD(0.1), class_weight"),
    )
    fit(
        out,
        "sgd_accumulation",
        set_start(mlp(), start),
        keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
        logits,
        describe=dict(
            what=described + "SGD(0.1, gradient_accumulation_steps=2): 3 batches an epoch"
        ),
    )
    fit(
        out,
        "softmax_string_loss",
        set_start(mlp("softmax"), start),
        sgd(),
        "sparse_categorical_crossentropy",
        describe=dict(what="mlp 6-5(relu)-4(softmax), 'sparse_categorical_crossentropy', SGD(0.1)"),
    )
    one_hot = keras.utils.to_categorical(y, 4), keras.utils.to_categorical(y_val, 4)
    fit(
        out,
        "softmax_one_hot",
        set_start(mlp("softmax"), start),
        sgd(),
        "categorical_crossentropy",
        validation=(x_val, one_hot[1]),
        targets=one_hot[0],
        describe=dict(
            what="mlp 6-5(relu)-4(softmax), 'categorical_crossentropy' of one-hot y, SGD(0.1)"
        ),
    )
    two_outputs(out)
    batches(out, start, logits)


def two_outputs(out):
    """Two named outputs with loss weights and metrics of their own."""
    inputs = keras.Input((6,), name="features")
    hidden = L.Dense(5, activation="tanh", name="hidden")(inputs)
    model = keras.Model(inputs, [L.Dense(4, name="kind")(hidden), L.Dense(1, name="size")(hidden)])
    start = [normal(*w.shape) for w in model.get_weights()]
    for i, w in enumerate(start):
        out.add(f"start_two_outputs/weight{i}", w)
    size, size_val = normal(11, 1), normal(5, 1)
    out.case("data", size=size, size_val=size_val)
    set_start(model, start)
    fit(
        out,
        "two_outputs",
        model,
        keras.optimizers.SGD(0.05),
        [keras.losses.SparseCategoricalCrossentropy(from_logits=True), "mse"],
        None,
        dict(loss_weights=[1.0, 0.5], metrics=[["accuracy"], ["mse"]]),
        (x_val, [y_val, size_val]),
        [y, size],
        describe=dict(
            what="features 6 -> hidden 5(tanh) -> kind 4 (SparseCategoricalCrossentropy from "
            "logits, accuracy), size 1 ('mse', 'mse'); loss_weights 1, 0.5; SGD(0.05)"
        ),
    )


def batches(out, start, loss):
    """What train_on_batch returns for each batch, then test_on_batch for one."""
    model = set_start(mlp(), start)
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss, metrics=["accuracy"])
    seen = [model.train_on_batch(x[b : b + 4], y[b : b + 4]) for b in (0, 4, 8)]
    out.add("on_batch/train", np.array(seen, np.float32))
    out.add("on_batch/test_after", np.array(model.test_on_batch(x_val, y_val), np.float32))


def summaries(out):
    keras.utils.clear_session()
    cnn = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            L.Conv2D(32, 3, padding="same", activation="relu"),
            L.MaxPooling2D(),
            L.Conv2D(64, 3, padding="same", activation="relu"),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dense(128, activation="relu"),
            L.Dense(10),
        ],
        name="cnn",
    )
    keras.utils.clear_session()
    plain = keras.Sequential(
        [
            keras.Input((28, 28)),
            L.Flatten(),
            L.Dense(128, activation="relu"),
            L.Dropout(0.2),
            L.Dense(10),
        ]
    )
    plain.compile("adam", "mse")
    plain.train_on_batch(np.zeros((2, 28, 28)), np.zeros((2, 10)))
    keras.utils.clear_session()
    a, b = keras.Input((8,), name="a"), keras.Input((4,), name="b")
    shared = L.Dense(6, activation="relu", name="shared_layer_with_quite_a_long_name")
    joined = L.Concatenate(name="join")([shared(a), L.Dense(6)(b)])
    normed = L.BatchNormalization()(joined)
    functional = keras.Model([a, b], L.Add(name="sum")([normed, joined]), name="two_towers")
    keras.utils.clear_session()
    frozen = keras.Sequential(
        [keras.Input((5,)), L.Dense(3), L.BatchNormalization(), L.Dense(2)], name="frozen"
    )
    frozen.layers[0].trainable = False
    keras.utils.clear_session()
    unbuilt = keras.Sequential([L.Dense(3), L.Dense(2)], name="unbuilt")
    for name, model in dict(
        cnn=cnn, trained=plain, functional=functional, frozen=frozen, unbuilt=unbuilt
    ).items():
        lines = []
        model.summary(line_length=80, print_fn=lambda s, line_break=True: lines.append(s))
        out.path.with_name(f"summary_{name}.txt").write_text("\n".join(lines) + "\n")


def main():
    out = Writer("models", f"Keras {keras.__version__} on JAX {jax.__version__}, CPU")
    fits(out)
    summaries(out)
    out.save()


if __name__ == "__main__":
    main()

"""TensorFlow: training as a tf.function, with and without XLA, one or many steps a call."""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
THREADS = int(sys.argv[2])
if THREADS == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false " + os.environ.get(
        "XLA_FLAGS", ""
    )

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import common  # noqa: E402

tf.config.threading.set_intra_op_parallelism_threads(THREADS)
tf.config.threading.set_inter_op_parallelism_threads(1)
STEPS = 50


def initial_weights(case):
    shapes = [(n, m) for n, m in zip(case.layers, case.layers[1:])]
    if not case.layers:
        shapes = [(3, 3, 1, 32), (3, 3, 32, 64), (7 * 7 * 64, 128), (128, 10)]
    random = np.random.default_rng(1)
    weights = []
    for shape in shapes:
        limit = (6 / (int(np.prod(shape[:-2])) * (shape[-2] + shape[-1]))) ** 0.5
        weights.append(tf.Variable(random.uniform(-limit, limit, shape).astype(np.float32)))
        weights.append(tf.Variable(tf.zeros(shape[-1])))
    return weights


def loss_of(case, weights, x, y):
    pairs = list(zip(weights[::2], weights[1::2]))
    if not case.layers:
        for kernel, bias in pairs[:2]:
            x = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias))
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        x = tf.reshape(x, [case.batch, -1])
        pairs = pairs[2:]
    for kernel, bias in pairs[:-1]:
        x = tf.nn.relu(tf.nn.bias_add(x @ kernel, bias))
        if case.dropout:
            x = tf.nn.dropout(x, case.dropout)
    logits = tf.nn.bias_add(x @ pairs[-1][0], pairs[-1][1])
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))


def update(case, weights, slots, step, gradients):
    if case.optimizer == "sgd":
        for w, v, g in zip(weights, slots, gradients):
            v.assign(0.9 * v + g)
            w.assign_sub(0.01 * v)
        return
    step.assign_add(1.0)
    b1, b2 = tf.constant(0.9) ** step, tf.constant(0.999) ** step
    for w, m, v, g in zip(weights, slots, slots[len(weights) :], gradients):
        tf.raw_ops.ResourceApplyAdam(
            var=w.handle, m=m.handle, v=v.handle, beta1_power=b1, beta2_power=b2, lr=1e-3,
            beta1=0.9, beta2=0.999, epsilon=1e-7, grad=g,
        )  # fmt: skip


def variant(case, x, y, batches, xla, many):
    weights = initial_weights(case)
    slots = [
        tf.Variable(tf.zeros_like(w)) for w in weights * (2 if case.optimizer == "adam" else 1)
    ]
    step = tf.Variable(0.0)
    n = STEPS if many else 1

    def one(index):
        xb, yb = (x, y) if case.fixed_batch else (tf.gather(x, index), tf.gather(y, index))
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(weights)
            loss = loss_of(case, weights, xb, yb)
        update(case, weights, slots, step, tape.gradient(loss, weights))
        return loss

    def loop(indices):
        loss = tf.zeros(())
        for i in tf.range(n):
            loss = one(indices[i])
        return loss

    call = tf.function(loop if many else one, jit_compile=xla)

    def advance():
        index = np.zeros((n, 1), np.int32)
        if batches:
            index = batches.next(n).astype(np.int32).reshape(n, case.batch)
        return n, call(tf.constant(index if many else index[0]))

    return advance


def make_variants(case, threads):
    images, labels = common.load(case)
    batches = None if case.fixed_batch else common.Batches(len(images), case.batch)
    x, y = (
        tf.Variable(images, trainable=False),
        tf.Variable(labels.astype(np.int32), trainable=False),
    )
    kinds = {
        "xla_step": dict(xla=True, many=False),
        "graph_step": dict(xla=False, many=False),
        "graph_steps": dict(xla=False, many=True),
    }
    if case.layers:  # inside a loop, XLA's convolutions on the CPU are ten times slower
        kinds["xla_steps"] = dict(xla=True, many=True)
    return {name: variant(case, x, y, batches, **kind) for name, kind in kinds.items()}


if __name__ == "__main__":
    common.serve("tensorflow", make_variants)

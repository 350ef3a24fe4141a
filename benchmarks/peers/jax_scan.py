"""JAX: one jitted step with donated state, or many steps in one call by lax.scan."""

import os
import sys

THREADS = int(sys.argv[2])
if THREADS == 1:
    os.environ["XLA_FLAGS"] = (
        "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1 "
        + os.environ.get("XLA_FLAGS", "")
    )

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402

import common  # noqa: E402

SCAN_STEPS = 50


def initial_weights(case, key):
    """Kernels and biases; Glorot uniform as Keras has it."""
    shapes = [(n, m) for n, m in zip(case.layers, case.layers[1:])]
    if not case.layers:
        shapes = [(3, 3, 1, 32), (3, 3, 32, 64), (7 * 7 * 64, 128), (128, 10)]
    weights = []
    for shape, k in zip(shapes, jax.random.split(key, len(shapes))):
        field = int(np.prod(shape[:-2]))
        limit = (6 / (field * (shape[-2] + shape[-1]))) ** 0.5
        weights.append(
            (jax.random.uniform(k, shape, minval=-limit, maxval=limit), jnp.zeros(shape[-1]))
        )
    return weights


def pool(x):
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def pool_by_reshape(x):
    n, h, w, c = x.shape
    return x.reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))


def loss_of(case, weights, x, y, key, pooling):
    if not case.layers:
        for kernel, bias in weights[:2]:
            x = jax.lax.conv_general_dilated(
                x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = pooling(jax.nn.relu(x + bias))
        x = x.reshape(len(x), -1)
    dense = weights if case.layers else weights[2:]
    for kernel, bias in dense[:-1]:
        x = jax.nn.relu(x @ kernel + bias)
        if case.dropout:
            keep = jax.random.bernoulli(key, 1 - case.dropout, x.shape)
            x = jnp.where(keep, x / (1 - case.dropout), 0)
    logits = x @ dense[-1][0] + dense[-1][1]
    picked = jnp.take_along_axis(logits, y[:, None], 1)[:, 0]
    return (jax.nn.logsumexp(logits, axis=1) - picked).mean()


def update(case, state, gradients):
    weights, slots, step = state["weights"], state["slots"], state["step"] + 1
    tree = jax.tree_util.tree_map
    if case.optimizer == "sgd":
        slots = (tree(lambda v, g: 0.9 * v + g, slots[0], gradients),)
        weights = tree(lambda w, v: w - 0.01 * v, weights, slots[0])
    else:
        t = step.astype(jnp.float32)
        rate = 1e-3 * jnp.sqrt(1 - 0.999**t) / (1 - 0.9**t)
        m = tree(lambda m, g: m + 0.1 * (g - m), slots[0], gradients)
        v = tree(lambda v, g: v + 0.001 * (g * g - v), slots[1], gradients)
        weights = tree(lambda w, m, v: w - rate * m / (jnp.sqrt(v) + 1e-7), weights, m, v)
        slots = (m, v)
    return {**state, "weights": weights, "slots": slots, "step": step}


def variant(case, x, y, batches, scan, pooling=pool, impl="threefry2x32"):
    weights = initial_weights(case, jax.random.key(1))
    zeros = lambda: jax.tree_util.tree_map(jnp.zeros_like, weights)  # noqa: E731
    state = {
        "weights": weights,
        "slots": (zeros(),) if case.optimizer == "sgd" else (zeros(), zeros()),
        "step": jnp.int32(0),
        "key": jax.random.key(2, impl=impl),
    }

    def step(state, x, y, index):
        if not case.fixed_batch:
            x, y = x[index], y[index]
        key, used = jax.random.split(state["key"]) if case.dropout else (state["key"], None)
        loss, gradients = jax.value_and_grad(lambda w: loss_of(case, w, x, y, used, pooling))(
            state["weights"]
        )
        return update(case, {**state, "key": key}, gradients), loss

    def many(state, x, y, indices):
        return jax.lax.scan(lambda s, i: step(s, x, y, i), state, indices)

    call = jax.jit(many if scan else step, donate_argnums=0)
    n = SCAN_STEPS if scan else 1

    def advance():
        nonlocal state
        index = np.zeros((n, 1), np.int32)
        if batches:
            index = batches.next(n).astype(np.int32).reshape(n, case.batch)
        state, loss = call(state, x, y, index if scan else index[0])
        return n, loss[-1] if scan else loss

    return advance


def make_variants(case, threads):
    images, labels = common.load(case)
    batches = None if case.fixed_batch else common.Batches(len(images), case.batch)
    x, y = jnp.asarray(images), jnp.asarray(labels, jnp.int32)
    kinds = {"step": dict(scan=False)}
    # Inside a loop, XLA's convolutions on the CPU are 30 times slower.
    if case.layers or jax.default_backend() != "cpu":
        kinds["scan"] = dict(scan=True)
    if case.dropout:
        kinds["scan_rbg"] = dict(scan=True, impl="rbg")
    if not case.layers:
        kinds["step_reshape_pool"] = dict(scan=False, pooling=pool_by_reshape)
    return {name: variant(case, x, y, batches, **kind) for name, kind in kinds.items()}


if __name__ == "__main__":
    common.serve("jax", make_variants)

"""Writes ops.txt, and ops_image.txt for convolution, pooling and batch norm: values and
gradients of ops from PyTorch, computed in float64.

A case <op>/<name> holds the inputs (x, or a and b, ...), the arguments, the output y, dy and the
gradients of sum(y * dy): dx (or da, db, ...). Images are NHWC, convolution kernels HWIO. `same`
pads as TensorFlow does: the total is
max((ceil(n / stride) - 1) * stride + (k - 1) * dilation + 1 - n, 0), half of it (rounded down) in
front.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

from golden import Writer, rng

random = rng(7)
torch.set_default_dtype(torch.float64)


def normal(*shape):
    """Short values that float32 holds exactly, in float64."""
    return random.normal(size=shape).round(3).astype(np.float32).astype(np.float64)


def record(out, name, inputs, function, **arguments):
    """inputs: {"x": array, ...} in the order of the function's arguments; only floating ones get a
    gradient."""
    tensors = {
        n: torch.tensor(v, requires_grad=np.issubdtype(np.asarray(v).dtype, np.floating))
        for n, v in inputs.items()
    }
    for key, value in arguments.items():
        out.add(f"{name}/{key}", value if isinstance(value, str) else np.array(value))
    for n, v in inputs.items():
        out.add(f"{name}/{n}", v)
    y = function(*tensors.values())
    out.add(f"{name}/y", y.detach().numpy())
    wanted = {n: t for n, t in tensors.items() if t.requires_grad}
    if not (y.requires_grad and wanted):
        return
    dy = normal(*y.shape)
    out.add(f"{name}/dy", dy)
    gradients = torch.autograd.grad((y * torch.tensor(dy)).sum(), list(wanted.values()))
    for n, g in zip(wanted, gradients):
        out.add(f"{name}/d{n}", g.numpy())


def unary(out):
    everywhere = {
        "neg": lambda x: -x,
        "abs": torch.abs,
        "exp": torch.exp,
        "square": torch.square,
        "tanh": torch.tanh,
        "sigmoid": torch.sigmoid,
        "relu": F.relu,
        "relu6": F.relu6,
        "softplus": F.softplus,
        "softsign": F.softsign,
        "elu": F.elu,
        "selu": F.selu,
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "silu": F.silu,
        "mish": F.mish,
        "leaky_relu_0.2": lambda x: F.leaky_relu(x, 0.2),
        "hard_sigmoid": F.hardsigmoid,
        "sin": torch.sin,
        "cos": torch.cos,
        "erf": torch.erf,
        "expm1": torch.expm1,
        "sign": torch.sign,
        "floor": torch.floor,
        "ceil": torch.ceil,
        "round": torch.round,
    }
    positive = {
        "log": torch.log,
        "sqrt": torch.sqrt,
        "rsqrt": torch.rsqrt,
        "log1p": torch.log1p,
        "reciprocal": torch.reciprocal,
    }
    wide = np.concatenate([normal(4, 5) * 3, [[-30, -9, -0.1, 7, 30]]]).round(3)
    for name, f in everywhere.items():
        record(
            out,
            f"unary/{name}",
            {"x": normal(4, 5) if name in ("exp", "expm1", "square") else wide},
            f,
        )
    for name, f in positive.items():
        record(
            out,
            f"unary/{name}",
            {"x": (np.abs(normal(3, 7)) + 0.01).astype(np.float32).astype(np.float64)},
            f,
        )


def binary(out):
    shapes = {
        "same": ((3, 5), (3, 5)),
        "row": ((3, 5), (5,)),
        "column": ((3, 5), (3, 1)),
        "both": ((4, 1, 3), (2, 1)),
        "scalar": ((2, 3), ()),
        "left": ((7,), (2, 7)),
    }
    functions = {
        "add": torch.add,
        "sub": torch.sub,
        "mul": torch.mul,
        "div": torch.div,
        "maximum": torch.maximum,
        "minimum": torch.minimum,
    }
    for name, f in functions.items():
        for label, (a, b) in shapes.items():
            divisor = normal(*b)
            divisor = np.where(np.abs(divisor) < 0.1, 0.5, divisor)
            record(out, f"{name}/{label}", {"a": normal(*a), "b": divisor}, f)
    record(out, "pow/positive_base", {"a": np.abs(normal(3, 5)) + 0.5, "b": normal(5)}, torch.pow)
    for name in ["eq", "ne", "lt", "le", "gt", "ge"]:
        record(
            out,
            f"compare/{name}",
            {"a": random.integers(0, 3, size=(3, 5)), "b": random.integers(0, 3, size=(5,))},
            getattr(torch, name),
        )
    condition = random.integers(0, 2, size=(3, 1)).astype(bool)
    record(
        out,
        "select/broadcast",
        {"condition": condition, "a": normal(3, 5), "b": normal(5)},
        lambda condition, a, b: torch.where(condition, a, b),
    )


def matmul(out):
    for name, a, b, ta, tb in [
        ("plain", (5, 7), (7, 3), 0, 0),
        ("transpose_a", (7, 5), (7, 3), 1, 0),
        ("transpose_b", (5, 7), (3, 7), 0, 1),
        ("transpose_both", (7, 5), (3, 7), 1, 1),
        ("batched", (4, 3, 5), (4, 5, 2), 0, 0),
        ("batched_transpose_b", (2, 3, 5), (2, 4, 5), 0, 1),
        ("batched_transpose_a", (2, 5, 3), (2, 5, 4), 1, 0),
        ("broadcast_batch", (2, 3, 4, 5), (3, 5, 2), 0, 0),
        ("rank3_by_rank2", (2, 3, 5), (5, 4), 0, 0),
        ("one_row", (1, 17), (17, 33), 0, 0),
        ("one_column", (19, 17), (17, 1), 0, 0),
        ("odd_33", (33, 17), (17, 31), 0, 0),
    ]:
        record(
            out,
            f"matmul/{name}",
            {"a": normal(*a), "b": normal(*b)},
            lambda a, b: (a.mT if ta else a) @ (b.mT if tb else b),
            transpose_a=bool(ta),
            transpose_b=bool(tb),
        )


def reductions(out):
    functions = {
        "sum": lambda x, axis, keep: x.sum(axis, keepdim=keep),
        "mean": lambda x, axis, keep: x.mean(axis, keepdim=keep),
        "max": lambda x, axis, keep: torch.amax(x, axis, keepdim=keep),
        "min": lambda x, axis, keep: torch.amin(x, axis, keepdim=keep),
    }
    for name, f in functions.items():
        for label, axis, keep in [
            ("all", (0, 1, 2), False),
            ("last", (2,), False),
            ("first_keepdims", (0,), True),
            ("outer", (0, 2), False),
        ]:
            record(
                out,
                f"reduce_{name}/{label}",
                {"x": normal(3, 4, 5)},
                lambda x: f(x, axis, keep),
                axis=axis,
                keepdims=keep,
            )
    record(
        out, "reduce_prod/last", {"x": normal(3, 4)}, lambda x: x.prod(1), axis=(1,), keepdims=False
    )
    tied = np.array([[1, 3, 3, 0], [2, 2, 1, 2], [0, -1, -1, 5]], np.float64)
    for axis in [0, 1]:
        record(
            out,
            f"argmax/axis{axis}",
            {"x": tied},
            lambda x: torch.from_numpy(np.argmax(x.detach().numpy(), axis)),
            axis=axis,
        )


def shapes(out):
    record(
        out,
        "transpose/rank3",
        {"x": normal(2, 3, 4)},
        lambda x: x.permute(2, 0, 1),
        permutation=(2, 0, 1),
    )
    record(
        out,
        "transpose/nhwc_to_nchw",
        {"x": normal(2, 3, 4, 5)},
        lambda x: x.permute(0, 3, 1, 2),
        permutation=(0, 3, 1, 2),
    )
    record(
        out,
        "concat/axis1",
        {"a": normal(2, 3, 2), "b": normal(2, 1, 2), "c": normal(2, 4, 2)},
        lambda a, b, c: torch.cat([a, b, c], 1),
        axis=1,
    )
    record(
        out,
        "concat/axis_last",
        {"a": normal(3, 2), "b": normal(3, 5)},
        lambda a, b: torch.cat([a, b], -1),
        axis=-1,
    )
    record(
        out, "slice/middle", {"x": normal(5, 6)}, lambda x: x[1:4, 2:6], begin=(1, 2), size=(3, 4)
    )
    record(
        out,
        "pad/constant",
        {"x": normal(2, 3)},
        lambda x: F.pad(x, (2, 0, 0, 1), value=0.5),
        before=(0, 2),
        after=(1, 0),
        value=0.5,
    )
    indices = np.array([[0, 2], [2, 4], [1, 2]])
    record(
        out, "gather/rows", {"x": normal(5, 3), "indices": indices}, lambda x, indices: x[indices]
    )
    record(
        out,
        "gather/axis1",
        {"x": normal(3, 5, 2), "indices": np.array([4, 0, 4])},
        lambda x, indices: x.index_select(1, indices),
        axis=1,
    )
    record(
        out,
        "one_hot/depth4",
        {"indices": np.array([[1, 3], [0, 1]])},
        lambda indices: F.one_hot(indices, 4).to(torch.float32),
        depth=4,
    )


def softmax(out):
    for label, x in [
        ("plain", normal(4, 7)),
        ("large", normal(3, 5) * 300),
        ("rank3", normal(2, 3, 5)),
        ("one_class", normal(3, 1)),
    ]:
        record(out, f"softmax/{label}", {"x": x}, lambda x: F.softmax(x, -1))
        record(out, f"log_softmax/{label}", {"x": x}, lambda x: F.log_softmax(x, -1))
    for label, n, k in [("plain", 7, 10), ("one_row", 1, 3), ("wide", 3, 67)]:
        labels = random.integers(0, k, size=n)
        record(
            out,
            f"sparse_softmax_cross_entropy/{label}",
            {"logits": normal(n, k) * 3, "labels": labels},
            lambda logits, labels: F.cross_entropy(logits, labels, reduction="none"),
        )
        target = (
            F.softmax(torch.tensor(normal(n, k)), -1).numpy().astype(np.float32).astype(np.float64)
        )
        record(
            out,
            f"softmax_cross_entropy/{label}",
            {"logits": normal(n, k) * 3, "labels": target},
            lambda logits, labels: -(labels * F.log_softmax(logits, -1)).sum(-1),
        )
    labels = random.integers(0, 2, size=(4, 3)).astype(np.float64)
    logits = normal(4, 3) * 4
    logits[0] = [60, -60, 0]
    record(
        out,
        "sigmoid_cross_entropy/plain",
        {"logits": logits, "labels": labels},
        lambda logits, labels: F.binary_cross_entropy_with_logits(logits, labels, reduction="none"),
    )


def same_padding(size, kernel, stride, dilation):
    """For each spatial axis: padding before and after."""
    pads = []
    for n, k, s, d in zip(size, kernel, stride, dilation):
        total = max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
        pads.append((total // 2, total - total // 2))
    return pads


def pad_nchw(x, pads, value=0.0):
    (top, bottom), (left, right) = pads
    return F.pad(x, (left, right, top, bottom), value=value)


def conv2d(out):
    cases = {
        "valid": ((2, 6, 5, 3), (3, 3, 3, 4), {}),
        "same": ((2, 5, 6, 3), (3, 3, 3, 4), dict(padding="same")),
        "same_even_kernel": ((1, 5, 6, 2), (2, 4, 2, 3), dict(padding="same")),
        "same_stride2": ((2, 7, 6, 3), (3, 3, 3, 2), dict(padding="same", strides=(2, 2))),
        "same_stride32": ((1, 8, 7, 2), (5, 3, 2, 3), dict(padding="same", strides=(3, 2))),
        "valid_stride2": ((2, 7, 6, 3), (3, 2, 3, 2), dict(strides=(2, 2))),
        "valid_dilation2": ((1, 8, 7, 2), (3, 3, 2, 3), dict(dilations=(2, 2))),
        "same_dilation21": ((1, 6, 7, 2), (3, 3, 2, 3), dict(padding="same", dilations=(2, 1))),
        "groups2": ((2, 5, 5, 4), (3, 3, 2, 6), dict(groups=2)),
        "groups2_same_stride2": (
            (1, 6, 5, 4),
            (3, 3, 2, 2),
            dict(groups=2, padding="same", strides=(2, 2)),
        ),
        "depthwise": ((1, 5, 6, 3), (3, 3, 1, 3), dict(groups=3, padding="same")),
        "kernel1": ((2, 4, 3, 5), (1, 1, 5, 2), {}),
        "one_input_channel": ((1, 9, 8, 1), (3, 3, 1, 8), dict(padding="same")),
        "channels17": ((1, 4, 4, 17), (2, 2, 17, 5), {}),
    }
    for name, (x, kernel, options) in cases.items():
        o = dict(strides=(1, 1), dilations=(1, 1), groups=1, padding="valid", **{})
        o.update(options)

        def f(x, kernel):
            x, w = x.permute(0, 3, 1, 2), kernel.permute(3, 2, 0, 1)
            if o["padding"] == "same":
                x = pad_nchw(
                    x, same_padding(x.shape[2:], w.shape[2:], o["strides"], o["dilations"])
                )
            return F.conv2d(x, w, None, o["strides"], 0, o["dilations"], o["groups"]).permute(
                0, 2, 3, 1
            )

        record(out, f"conv2d/{name}", {"x": normal(*x), "kernel": normal(*kernel)}, f, **o)


def pooling(out):
    def pool(kind, x, size, strides, padding):
        x = x.permute(0, 3, 1, 2)
        pads = (
            same_padding(x.shape[2:], size, strides, (1, 1))
            if padding == "same"
            else ((0, 0), (0, 0))
        )
        if kind == "max":
            y = F.max_pool2d(pad_nchw(x, pads, -math.inf), size, strides)
        else:  # the mean over the elements that are really there
            counts = F.avg_pool2d(pad_nchw(torch.ones_like(x), pads), size, strides)
            y = F.avg_pool2d(pad_nchw(x, pads), size, strides) / counts
        return y.permute(0, 2, 3, 1)

    for kind in ["max", "average"]:
        for name, shape, size, strides, padding in [
            ("valid", (2, 6, 5, 3), (2, 2), (2, 2), "valid"),
            ("same", (2, 5, 7, 3), (2, 2), (2, 2), "same"),
            ("overlap", (1, 7, 6, 2), (3, 3), (2, 2), "valid"),
            ("overlap_same", (1, 6, 7, 2), (3, 2), (1, 2), "same"),
            ("stride_over_size", (1, 7, 8, 17), (2, 2), (3, 3), "same"),
        ]:
            record(
                out,
                f"{kind}_pool/{name}",
                {"x": normal(*shape)},
                lambda x: pool(kind, x, size, strides, padding),
                pool_size=size,
                strides=strides,
                padding=padding,
            )
    tied = random.integers(0, 2, size=(1, 4, 4, 2)).astype(np.float64)
    record(
        out,
        "max_pool/ties_first_wins",
        {"x": tied},
        lambda x: pool("max", x, (2, 2), (2, 2), "valid"),
        pool_size=(2, 2),
        strides=(2, 2),
        padding="valid",
    )
    record(out, "global_average_pool/plain", {"x": normal(2, 3, 5, 4)}, lambda x: x.mean((1, 2)))
    record(out, "global_max_pool/plain", {"x": normal(2, 3, 5, 4)}, lambda x: torch.amax(x, (1, 2)))


def batch_norm(out):
    """Training: y and gradients, mean and biased variance of the batch."""
    for name, shape, epsilon in [
        ("rank2", (5, 3), 1e-3),
        ("rank4", (2, 3, 4, 5), 1e-2),
        ("channels17", (3, 2, 2, 17), 1e-3),
    ]:
        axes = tuple(range(len(shape) - 1))
        x, gamma, beta = normal(*shape) * 2 + 1, normal(shape[-1]), normal(shape[-1])

        def f(x, gamma, beta):
            mean, variance = x.mean(axes), x.var(axes, unbiased=False)
            return (x - mean) / torch.sqrt(variance + epsilon) * gamma + beta

        record(
            out, f"batch_norm/{name}", {"x": x, "gamma": gamma, "beta": beta}, f, epsilon=epsilon
        )
        out.case(f"batch_norm/{name}", mean=x.mean(axes), variance=x.var(axes))


def main():
    made_by = f"PyTorch {torch.__version__.split('+')[0]}, CPU, float64"
    for topic, parts in {
        "ops": (unary, binary, matmul, reductions, shapes, softmax),
        "ops_image": (conv2d, pooling, batch_norm),
    }.items():
        out = Writer(topic, made_by, script="generate_ops.py")
        for part in parts:
            part(out)
        out.save()


if __name__ == "__main__":
    main()

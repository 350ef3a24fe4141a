"""PyTorch on a GPU: eager with fused optimizers, the whole step as one CUDA graph, torch.compile.

Usage: torch_gpu.py CASE THREADS [LABEL], as ../protocol.md says; a LABEL alone is measured. Batches are
gathered on the host and copied through pinned memory, as Cohort does; "resident" variants gather on the
GPU, which holds all data. f32 is exact unless COHORT_TF32=1, for both sides.
"""

import os
import pathlib
import sys

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "peers"))
import common  # noqa: E402
import torch_eager  # noqa: E402

GPU = torch.device("cuda:0")
PARAMETERS = 4 << 20


def allow_tf32(allowed):
    torch.backends.cuda.matmul.allow_tf32 = allowed
    torch.backends.cudnn.allow_tf32 = allowed


class Feeder:
    """Puts the next batch into fixed tensors on the GPU, where a captured step reads it."""

    def __init__(self, case, resident):
        x, y = (torch.from_numpy(a.copy()) for a in common.load(case))
        if not case.layers:
            x = x.reshape(-1, 1, 28, 28)
        place = (lambda t: t.to(GPU)) if resident else (lambda t: t)
        self.x, self.y, self.resident = place(x), place(y), resident
        self.batches = None if case.fixed_batch else common.Batches(len(x), case.batch)
        self.input = x[: case.batch].to(GPU).contiguous()
        self.labels = y[: case.batch].to(GPU)
        # Two pinned slots: one is filled while the other is copied.
        self.slots = [(x[: case.batch].pin_memory(), y[: case.batch].pin_memory(), torch.cuda.Event())
                      for _ in range(2)]
        self.turn = 0

    def next(self):
        if self.batches is None:
            return
        index = torch.from_numpy(self.batches.next())
        if self.resident:
            index = index.pin_memory().to(GPU, non_blocking=True)
            torch.index_select(self.x, 0, index, out=self.input)
            torch.index_select(self.y, 0, index, out=self.labels)
            return
        x, y, free = self.slots[self.turn]
        self.turn = 1 - self.turn
        free.synchronize()
        torch.index_select(self.x, 0, index, out=x)
        torch.index_select(self.y, 0, index, out=y)
        self.input.copy_(x, non_blocking=True)
        self.labels.copy_(y, non_blocking=True)
        free.record()


def make_step(case, channels_last, compiled):
    model = torch_eager.model_of(case).to(GPU)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch_eager.optimizer_of(case, model, fused=True, **(
        {"capturable": True} if case.optimizer == "adam" else {}))
    loss_of = lambda x, y: F.cross_entropy(model(x), y)  # noqa: E731
    if compiled:
        loss_of = torch.compile(loss_of, mode=compiled)

    def step(x, y):
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(x, y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def variant(case, resident=False, channels_last=False, compiled=None, graph=False):
    feeder = Feeder(case, resident)
    step = make_step(case, channels_last, compiled)
    if graph:
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(5):
                step(feeder.input, feeder.labels)
        torch.cuda.current_stream().wait_stream(side)
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            static_loss = step(feeder.input, feeder.labels)

    def advance():
        feeder.next()
        if graph:
            captured.replay()
            return 1, static_loss
        return 1, step(feeder.input, feeder.labels).clone()

    return advance


def adam_update():
    """The update alone, of 4 M parameters."""
    parameter = torch.nn.Parameter(torch.ones(PARAMETERS, device=GPU))
    parameter.grad = torch.full_like(parameter, 0.5)
    optimizer = torch.optim.Adam([parameter], lr=1e-3, fused=True, capturable=True)
    return optimizer.step, lambda: parameter[0].detach()


def adam_copy():
    """As many bytes as that update reads and writes, 28 for each parameter, copied: the memory's limit."""
    source = torch.ones(7 * PARAMETERS // 2, device=GPU)
    target = torch.empty_like(source)
    return lambda: target.copy_(source), lambda: target[0]


def adam_variant(parts, graph):
    step, result = parts()
    for _ in range(5):
        step()
    if graph:
        captured = torch.cuda.CUDAGraph()
        with torch.cuda.graph(captured):
            step()

    def advance():
        captured.replay() if graph else step()
        return 1, result()

    return advance


def variants_of(case, threads):
    torch_eager.set_up(threads)
    allow_tf32(os.environ.get("COHORT_TF32") == "1")
    if case.name == "adam_4m":
        makers = {
            "eager": lambda: adam_variant(adam_update, False),
            "graph": lambda: adam_variant(adam_update, True),
            "copy": lambda: adam_variant(adam_copy, True),
        }
    else:
        layouts = [False] if case.layers else [False, True]
        makers = {}
        for last in layouts:
            for resident in [False, True]:
                end = ("_nhwc" if last else "") + ("_resident" if resident else "")
                options = {"channels_last": last, "resident": resident}
                makers["eager" + end] = lambda o=options: variant(case, **o)
                makers["graph" + end] = lambda o=options: variant(case, graph=True, **o)
                makers["compile_graph" + end] = lambda o=options: variant(
                    case, graph=True, compiled="max-autotune-no-cudagraphs", **o)
    wanted = sys.argv[3:] or list(makers)
    if not set(wanted) <= set(makers):
        sys.exit(f"torch_gpu: got {' '.join(wanted)}; want some of {' '.join(makers)}")
    made = {}
    for label in wanted:
        try:
            made[label] = makers[label]()
        except Exception as error:  # a variant that this version refuses
            print(f"# torch_gpu {label}: {type(error).__name__}: {str(error)[:200]}", flush=True)
    return made


if __name__ == "__main__":
    common.CASES["adam_4m"] = common.Case("adam_4m", 0)
    common.serve("torch_gpu", variants_of)

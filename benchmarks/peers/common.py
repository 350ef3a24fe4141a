"""What every peer shares: the cases, the data, and the protocol of ../protocol.md.

A peer makes one or more variants of a case (other optimizer kernels, layouts, steps per call); the
fastest in a short trial is the one that is measured.
"""

import dataclasses
import gzip
import math
import os
import pathlib
import sys
import time

import numpy as np

EPOCH_SEED = 1
TRIAL_ROUNDS = 5
CPU_TIME = os.environ.get("COHORT_BENCH_CLOCK") == "cpu"


@dataclasses.dataclass(frozen=True)
class Case:
    """One row of the speed table. Hidden layers have relu; the loss is the mean cross-entropy."""

    name: str
    batch: int
    layers: tuple = ()  # widths of a dense network; empty: the convolutional one
    dropout: float = 0.0
    optimizer: str = "adam"  # adam: rate 1e-3; sgd: rate 0.01, momentum 0.9
    fixed_batch: bool = False  # always the same rows, instead of a gather from shuffled data


CASES = {
    case.name: case
    for case in [
        Case("mlp_b32", 32, (784, 128, 10), dropout=0.2),
        Case("mlp_b256", 256, (784, 128, 10), dropout=0.2),
        Case("small_sgd", 32, (64, 64, 64, 10), optimizer="sgd", fixed_batch=True),
        Case("small_adam", 32, (64, 64, 64, 10), fixed_batch=True),
        Case("cnn_b64", 64),
    ]
}


def read_idx(name):
    folder = pathlib.Path(os.environ.get("COHORT_DATA_DIR", "/usr/share/datasets/fashion-mnist"))
    data = gzip.decompress((folder / f"{name}-ubyte.gz").read_bytes())
    rank = data[3]
    dims = np.frombuffer(data, ">u4", rank, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(dims)


def load(case, split="train"):
    """Images as float32 in [0, 1], [rows, 784] or [rows, 28, 28, 1], and labels as int64."""
    if case.fixed_batch:
        random = np.random.default_rng(0)
        x = random.normal(size=(case.batch, case.layers[0])).astype(np.float32)
        return x, random.integers(0, case.layers[-1], size=case.batch)
    x = read_idx(f"{split}-images-idx3").astype(np.float32) / 255
    y = read_idx(f"{split}-labels-idx1").astype(np.int64)
    return x.reshape(len(x), 784) if case.layers else x[..., None], y


class Batches:
    """Row indices of batch after batch, reshuffled each epoch; the uneven rest is dropped."""

    def __init__(self, rows, batch):
        self.random = np.random.default_rng(EPOCH_SEED)
        self.rows, self.batch, self.at = rows, batch, 0
        self.order = self.random.permutation(rows)

    def next(self, batches=1):
        """[batches * batch] indices, in int64."""
        wanted = self.batch * batches
        if self.at + wanted > self.rows:
            self.order, self.at = self.random.permutation(self.rows), 0
        self.at += wanted
        return self.order[self.at - wanted : self.at]


def run_block(advance, seconds, sync_every=64):
    """Runs for about `seconds`: (steps, µs a step, first loss, last loss).

    advance() does some steps and returns (steps, loss), where float(loss) waits for the steps.
    """
    steps, calls, first = 0, 0, None
    clock = time.process_time if CPU_TIME else time.perf_counter
    begin, began = clock(), time.perf_counter()
    while True:
        n, loss = advance()
        steps += n
        calls += 1
        first = loss if first is None else first
        if calls % sync_every == 0:
            float(loss)
        if time.perf_counter() - began >= seconds:
            break
    last = float(loss)
    elapsed = clock() - begin
    return steps, elapsed / steps * 1e6, float(first), last


def serve(peer, make_variants):
    """make_variants(case, threads) gives {label: advance}. Command line: CASE THREADS [LABEL]."""
    case, threads = CASES[sys.argv[1]], int(sys.argv[2])
    variants = make_variants(case, threads)
    if len(sys.argv) > 3:
        variants = {sys.argv[3]: variants[sys.argv[3]]}
    for label in list(variants):
        try:
            run_block(variants[label], 0.2)
        except Exception as error:  # a variant that this version refuses
            print(f"# {peer} {label}: {type(error).__name__}: {str(error)[:200]}", flush=True)
            del variants[label]
    print("# trial", flush=True)
    rounds = TRIAL_ROUNDS if len(variants) > 1 else 1
    times = {label: math.inf for label in variants}
    for label in list(variants) * rounds:
        times[label] = min(times[label], run_block(variants[label], 0.2, sync_every=16)[1])
    for label, us in times.items():
        print(f"# {peer} {case.name} {threads} {label}: {us:.1f} us", flush=True)
    best = min(times, key=times.get)
    print(f"ready {peer} {best}", flush=True)
    for number, line in enumerate(sys.stdin):
        words = line.split()
        if not words or words[0] != "go":
            break
        _, us, first, last = run_block(variants[best], float(words[1]))
        print(f"{case.name} {threads} {number} {us:.3f} {first:.4f} {last:.4f}", flush=True)

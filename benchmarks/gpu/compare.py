#!/usr/bin/env python3
"""Cohort beside PyTorch and JAX on the first GPU: one line per case, programs taking turns block by block.

Usage: benchmarks/gpu/compare.py [--peers LABELS] [case...]    cases: mlp_b32 mlp_b256 cnn_b64 adam_4m
LABELS, with commas between them, are variants of torch_gpu.py, each a program of its own: eager, graph,
compile_graph, each also with _nhwc (cnn_b64), _resident or both; for adam_4m eager, graph and copy (the
bytes that the update moves, copied); or jax: one jitted step or 50 in one call, all data on the GPU.
Without --peers: the plain ones, and one program with the fastest of all.
Environment: COHORT_BUILD (build/gpu-host), COHORT_BENCH_ROUNDS (7), COHORT_BENCH_SECONDS of a block (1),
COHORT_DATA_DIR, COHORT_TF32 (1: f32 products on tensor cores, on all sides), COHORT_PYTHON (python3 with
PyTorch and JAX), COHORT_LIBRARY_PATH (LD_LIBRARY_PATH of Cohort's programs alone). Prints the hardware and the date
first: keep the whole output. Fails where a program of Cohort's did not run to its end.
"""

import argparse
import datetime
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("COHORT_BUILD", HERE.parent.parent / "build" / "gpu-host"))
ROUNDS = int(os.environ.get("COHORT_BENCH_ROUNDS", 7))
SECONDS = os.environ.get("COHORT_BENCH_SECONDS", "1")
CASES = ["mlp_b32", "mlp_b256", "cnn_b64", "adam_4m"]
TF32 = os.environ.get("COHORT_TF32") == "1"
# JAX takes TensorFloat-32 unless it is told otherwise, and nearly all of the card's memory.
JAX = {"JAX_PLATFORMS": "cuda", "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
       "JAX_DEFAULT_MATMUL_PRECISION": "tensorfloat32" if TF32 else "highest"}


class Running:
    """A program that begins at once; of use when it has said that it is ready, as ../protocol.md says."""

    def __init__(self, command, environment):
        self.command = command
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "COHORT_DEVICE": "gpu", **environment})
        self.times, self.loss, self.name = [], "", None

    def await_ready(self):
        for line in self.process.stdout:
            if line.startswith("#"):
                print(line, end="", file=sys.stderr)
            if line.startswith("ready"):
                self.name = " ".join(line.split()[1:])
                return
        raise RuntimeError(f"ended with {self.process.wait()} before it was ready")

    def block(self):
        self.process.stdin.write(f"go {SECONDS}\n")
        self.process.stdin.flush()
        words = self.process.stdout.readline().split()
        if len(words) != 6:
            raise RuntimeError(f"got {words}; want six words")
        self.times.append(float(words[3]))
        self.loss = words[5]

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def summary(self):
        middle = statistics.median(self.times)
        return f"{self.name} {middle:.1f} us [{min(self.times):.1f}-{max(self.times):.1f}] loss {self.loss}"


def programs(case, peers):
    """The commands of a case with what their environments have beside ours; Cohort's is the first."""
    ours = "gpu_adam" if case == "adam_4m" else "train_steps"
    paths = os.environ.get("COHORT_LIBRARY_PATH")
    yield [str(BUILD / "benchmarks" / ours), case, "1"], {"LD_LIBRARY_PATH": paths} if paths else {}
    python = os.environ.get("COHORT_PYTHON", "python3")
    variants = [["eager"], ["graph"]] + ([["copy"]] if case == "adam_4m" else
                                             [["compile_graph"], ["jax"], []])
    for labels in [[peer] for peer in peers] or variants:
        if labels == ["jax"]:
            yield [python, str(HERE.parent / "peers" / "jax_scan.py"), case, "1"], JAX
        else:
            yield [python, str(HERE / "torch_gpu.py"), case, "1"] + labels, {}


def complain(command, error):
    print(f"# {' '.join(pathlib.Path(word).name for word in command)}: {error}", flush=True)


def compare(case, peers):
    """False where Cohort's program did not run to its end."""
    everything, running, failed = list(programs(case, peers)), [], []
    for command, environment in everything:  # side by side: most of it is imports and compilation
        try:
            running.append(Running(command, environment))
        except OSError as error:
            complain(command, error)
            failed.append(command)
    for program in list(running):
        try:
            program.await_ready()
        except RuntimeError as error:
            complain(program.command, error)
            failed.append(program.command)
            running.remove(program)
    for turn in range(ROUNDS):
        at = turn % max(1, len(running))
        for program in running[at:] + running[:at]:
            try:
                program.block()
            except (RuntimeError, OSError) as error:
                complain(program.command, error)
                failed.append(program.command)
                running.remove(program)
    for program in running:
        program.end()
        ratio = statistics.median(program.times) / statistics.median(running[0].times)
        print(f"{case}: {program.summary()} ({ratio:.2f} of {running[0].name.split()[0]})", flush=True)
    return everything[0][0] not in failed


def name_machine():
    query = ["nvidia-smi", "--query-gpu=name,driver_version,clocks.max.sm", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"card unknown ({error})"


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--peers", type=lambda labels: labels.split(","), default=[])
    parser.add_argument("cases", nargs="*", default=CASES)
    arguments = parser.parse_args()
    for case in arguments.cases:
        if case not in CASES:
            parser.error(f"got case {case}; want {' '.join(CASES)}")
    machine = name_machine()
    print(f"# {datetime.date.today()} {machine} TF32 {'on' if TF32 else 'off'}", flush=True)
    done = [compare(case, arguments.peers) for case in arguments.cases]
    sys.exit(0 if all(done) else 1)


if __name__ == "__main__":
    main()

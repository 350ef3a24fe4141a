#!/usr/bin/env python3
"""Cohort beside PyTorch on the first GPU: one line per case, programs taking turns block by block.

Usage: benchmarks/gpu/compare.py [case...]    cases: mlp_b32 mlp_b256 cnn_b64 adam_4m
Environment: COHORT_BUILD (build/gpu-host), COHORT_BENCH_ROUNDS (7), COHORT_BENCH_SECONDS of a block (1),
COHORT_DATA_DIR, COHORT_TF32 (1: f32 products on tensor cores, on both sides), COHORT_PYTHON (python3 with
PyTorch). Prints the hardware and the date first: keep the whole output.
"""

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


class Running:
    """A program that has said that it is ready, as ../protocol.md says."""

    def __init__(self, command):
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "COHORT_DEVICE": "gpu"})
        self.times, self.loss, self.name = [], "", None
        for line in self.process.stdout:
            if line.startswith("#"):
                print(line, end="", file=sys.stderr)
            if line.startswith("ready"):
                self.name = " ".join(line.split()[1:])
                return
        raise RuntimeError(f"{command[0]} ended with {self.process.wait()} before it was ready")

    def block(self):
        self.process.stdin.write(f"go {SECONDS}\n")
        self.process.stdin.flush()
        words = self.process.stdout.readline().split()
        self.times.append(float(words[3]))
        self.loss = words[5]

    def end(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def summary(self):
        middle = statistics.median(self.times)
        return f"{self.name} {middle:.1f} us [{min(self.times):.1f}-{max(self.times):.1f}] loss {self.loss}"


def commands(case):
    ours = "gpu_adam" if case == "adam_4m" else "train_steps"
    python = os.environ.get("COHORT_PYTHON", "python3")
    peer = [python, str(HERE / "torch_gpu.py"), case, "1"]
    host = [["eager"], ["graph"]] if case == "adam_4m" else [["eager"], ["graph"], ["compile_graph"], []]
    return [[str(BUILD / "benchmarks" / ours), case, "1"]] + [peer + labels for labels in host]


def compare(case):
    running = []
    for command in commands(case):
        try:
            running.append(Running(command))
        except (RuntimeError, OSError) as error:
            print(f"# {case}: {' '.join(command[:3])}: {error}", flush=True)
    for turn in range(ROUNDS):
        at = turn % max(1, len(running))
        for program in running[at:] + running[:at]:
            program.block()
    for program in running:
        program.end()
        ratio = statistics.median(program.times) / statistics.median(running[0].times)
        print(f"{case}: {program.summary()} ({ratio:.2f} of {running[0].name.split()[0]})", flush=True)


def main():
    query = ["nvidia-smi", "--query-gpu=name,driver_version,clocks.max.sm", "--format=csv,noheader"]
    machine = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    tf32 = os.environ.get("COHORT_TF32") == "1"
    print(f"# {datetime.date.today()} {machine} TF32 {'on' if tf32 else 'off'}", flush=True)
    for case in sys.argv[1:] or CASES:
        compare(case)


if __name__ == "__main__":
    main()

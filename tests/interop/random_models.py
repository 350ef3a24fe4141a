#!/usr/bin/env python3
"""Random models train as in Keras: on one device and on two replicas, losses, metrics, weights and
predictions are Keras' own.

    tests/interop/random_models.py [cases] [seed] [PROGRAM]        (100, 1, build/release/tests/random_models)

The models are made of everything there is (models/cases.py). Makes a virtual environment with Keras and
TensorFlow where there is none. A case is made from seed and number alone; CASE=7 runs only number 7, and
prints it.
"""

import json
import math
import os
import pathlib
import random
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TOLERANCE = 1e-4  # of |want| + 1: float32, a few steps


def restart_with_keras():
    venv = pathlib.Path(os.environ.get("COHORT_PEERS_VENV", ROOT / ".venv-peers")) / "venv-tensorflow"
    python = venv / "bin" / "python"
    if not python.exists():
        print(f"making {venv} with Keras and TensorFlow", flush=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "tensorflow-cpu", "keras"], check=True)
    if pathlib.Path(sys.prefix).resolve() == venv.resolve():
        sys.exit(f"random_models: {venv} lacks Keras or TensorFlow; remove it to have it made again")
    os.execv(python, [str(python)] + sys.argv)


try:
    import keras  # noqa: F401
    import tensorflow  # noqa: F401
except ImportError:
    restart_with_keras()

sys.path.insert(0, str(HERE))
from models import cases, keras_side  # noqa: E402


def largest_difference(got, want, path=""):
    """(how far beyond |want| + 1, where) between two results of the same structure."""
    if isinstance(want, dict):
        if got.keys() != want.keys():
            return math.inf, f"{path}: names {sorted(got)}; want {sorted(want)}"
        return max((largest_difference(got[k], want[k], f"{path}/{k}") for k in want), default=(0, path))
    if isinstance(want, list):
        if len(got) != len(want):
            return math.inf, f"{path}: {len(got)} values; want {len(want)}"
        return max((largest_difference(g, w, f"{path}[{i}]") for i, (g, w) in enumerate(zip(got, want))),
                   default=(0, path))
    got = math.nan if got is None else got
    if math.isnan(got) or math.isnan(want) or math.isinf(want):
        same = got == want or (math.isnan(got) and math.isnan(want))
        return (0 if same else math.inf), f"{path}: {got}; want {want}"
    return abs(got - want) / (1 + abs(want)), f"{path}: {got:.7g}; want {want:.7g}"


def summary_of(case):
    classes = [case["model"]["layers"][call["layer"]]["class"] for call in case["model"]["calls"]]
    losses = [loss["class"] for loss in case["compile"]["losses"]]
    return f"{' '.join(classes)} -> {', '.join(losses)}; {case['compile']['optimizer']['class']}"


def compare(number, case, want, ours):
    """Says what differs; returns whether something does."""
    differs = False
    for where, got in ours.items():
        if "error" in got:
            far, what = (0 if "error" in want else math.inf), got["error"]
        elif "error" in want:
            far, what = math.inf, "trained; Keras: " + want["error"]
        else:
            far, what = largest_difference(got, want)
        if far > TOLERANCE:
            differs = True
            print(f"case {number} on {where} ({summary_of(case)})\n  {what}", flush=True)
    return differs


def main():
    count, seed = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 100), (2, 1)))
    program = sys.argv[3] if len(sys.argv) > 3 else ROOT / "build/release/tests/random_models"
    numbers = [int(os.environ["CASE"])] if "CASE" in os.environ else range(count)
    keras_side.mend_keras()
    ours = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    differences = refused = 0
    for number in numbers:
        case, model = cases.random_case(random.Random(f"{seed} {number}"))
        if "CASE" in os.environ:
            print(json.dumps({k: case[k] for k in ("model", "compile", "fit")}, indent=1))
        ours.stdin.write(json.dumps(case) + "\n")
        ours.stdin.flush()
        try:
            want = keras_side.train(model, case)
        except Exception as error:  # whatever it throws, it refuses
            want, refused = {"error": str(error)[:300]}, refused + 1
        answer = ours.stdout.readline()
        if not answer:
            sys.exit(f"random_models: {program} ended in case {number}")
        differences += compare(number, case, want, json.loads(answer))
    ours.stdin.close()
    print(f"Keras {keras_side.keras.__version__}: {len(numbers)} models, {differences} differ, {refused} refused by Keras")
    sys.exit(differences > 0 or ours.wait() != 0)


if __name__ == "__main__":
    main()

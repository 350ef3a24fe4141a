#!/usr/bin/env python3
"""Random pipelines give the elements that TensorFlow's give: rebatching, sharding, interleaving.

    tests/interop/sequences.py build/release/tests/pipelines [cases]       (peer.py finds TensorFlow)
"""

import pathlib
import random
import subprocess
import sys
import tempfile

import peer

tf = peer.tensorflow()
from tensorflow.python.data.experimental.ops import distribute  # noqa: E402

PROGRAM = sys.argv[1]
CASES = int(sys.argv[2]) if len(sys.argv) > 2 else 300
ERRORS = {tf.errors.InvalidArgumentError: "InvalidArgument", tf.errors.NotFoundError: "NotFound"}


def spread(dataset, k, cycle, block):
    return dataset.interleave(lambda e: tf.data.Dataset.from_tensors(e).repeat(e % k), cycle, block)


def auto(dataset, policy, workers, index):
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = getattr(
        tf.data.experimental.AutoShardPolicy, policy)
    return distribute._AutoShardDataset(dataset.with_options(options), workers, index)


def apply(dataset, words):
    step, rest = words[0], words[1:]
    if step in ("range", "lines", "rebatch", "auto"):
        if step == "range":
            return tf.data.Dataset.range(int(rest[0]))
        if step == "lines":
            lines = tf.data.TextLineDataset(rest[0].split(","))
            return lines.map(lambda t: tf.strings.to_number(t, tf.int64))
        if step == "rebatch":
            sizes = [int(size) for size in rest[0].split(",")]
            return dataset.rebatch(sizes, drop_remainder=len(rest) > 1)
        return auto(dataset, rest[0], int(rest[1]), int(rest[2]))
    if step == "batch":
        return dataset.batch(int(rest[0]), drop_remainder=len(rest) > 1)
    n = [int(number) for number in rest]
    if step == "sizes":
        return dataset.rebatch(distribute.batch_sizes_for_worker(*n))
    if step == "legacy":
        return distribute._LegacyRebatchDataset(dataset, n[0])
    if step == "spread":
        return spread(dataset, *n)
    return getattr(dataset, step)(*n)


def run(line):
    try:
        dataset = None
        for step in line.split(" | "):
            dataset = apply(dataset, step.split())
        return "".join("[" + ",".join(str(v) for v in e.reshape(-1)) + "]"
                       for e in dataset.as_numpy_iterator())
    except tuple(ERRORS) as error:
        return "error " + ERRORS[type(error)]


def some_case(r, files):
    source = f"range {r.randint(0, 40)}"
    if r.random() < 0.4:
        source = "lines " + ",".join(files[:r.randint(1, len(files))])
    steps = [source]
    for _ in range(r.randint(0, 2)):
        steps.append(r.choice([f"take {r.randint(0, 30)}", f"skip {r.randint(0, 9)}",
                               f"repeat {r.randint(0, 2)}", "cache", f"prefetch {r.randint(1, 3)}",
                               f"spread {r.randint(1, 4)} {r.randint(1, 4)} {r.randint(1, 3)}"]))
    if r.random() < 0.8:
        size = r.randint(1, 9)
        steps.append(f"batch {size}" + r.choice(["", "", " drop"]))
        workers, replicas = r.randint(1, 4), r.randint(1, 3)
        sizes = [r.randint(0, 4) for _ in range(r.randint(1, 5))] + [r.randint(1, 4)]
        steps.append(r.choice([
            f"legacy {r.randint(1, 5)}", f"sizes {size} {workers} {replicas} {r.randrange(workers)}",
            "rebatch " + ",".join(map(str, sizes)) + r.choice(["", " drop"]), "unbatch", "take 5"]))
    if r.random() < 0.7:
        workers, policies = r.randint(1, 4), ["OFF"]
        if not steps[-1].startswith(("sizes", "rebatch")):  # TensorFlow rewrites these as it shards
            policies += ["DATA"] if source.startswith("lines") else ["DATA", "AUTO"]
        # With fewer files than workers TensorFlow refuses on the workers that have one, and it shards
        # lines instead of files under an interleave of something else.
        if source.count(",") + 1 >= workers and source.startswith("lines") and "spread" not in str(steps):
            policies += ["FILE", "FILE"]
        steps.append(f"auto {r.choice(policies)} {workers} {r.randrange(workers)}")
    return " | ".join(steps)


with tempfile.TemporaryDirectory() as folder:
    r = random.Random(11)
    files = []
    for f in range(5):
        files.append(f"{folder}/{f}.txt")
        pathlib.Path(files[-1]).write_text("".join(f"{100 * f + i}\n" for i in range(r.randint(0, 9))))
    cases = [some_case(r, files) for _ in range(CASES)]
    ours = subprocess.run([PROGRAM, "run"], input="\n".join(cases) + "\n", text=True, check=True,
                          capture_output=True).stdout.splitlines()
    differences = 0
    for case, got in zip(cases, ours, strict=True):
        want = run(case)
        # Fewer elements than workers: TensorFlow refuses on the workers that have one, Cohort on all.
        if got == "error InvalidArgument" and want == "" and ("DATA" in case or "AUTO" in case):
            continue
        # What an interleave gives is not known where its input is empty: Cohort says so.
        if got == "error FailedPrecondition" and "spread" in case and want == "":
            continue
        if got != want:
            differences += 1
            print(f"{case}\n  Cohort      {got}\n  TensorFlow  {want}")
    print(f"{CASES} pipelines, {differences} differ")
    sys.exit(differences > 0)

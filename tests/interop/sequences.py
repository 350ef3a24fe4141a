#!/usr/bin/env python3
"""Random pipelines give the elements that TensorFlow's give: rebatching, sharding, interleaving,
and the steps that a strategy's replicas take of them, in one process and in several.

    tests/interop/sequences.py build/release/tests/pipelines [cases] [seed]     (peer.py finds TensorFlow)
"""

import pathlib
import random
import subprocess
import sys
import tempfile

import peer

tf = peer.tensorflow()
from tensorflow.python.data.experimental.ops import distribute  # noqa: E402
from tensorflow.python.distribute import input_lib  # noqa: E402

PROGRAM = sys.argv[1]
CASES = int(sys.argv[2]) if len(sys.argv) > 2 else 300
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 11
ERRORS = {tf.errors.InvalidArgumentError: "InvalidArgument", tf.errors.NotFoundError: "NotFound"}


def spread(dataset, k, cycle, block):
    return dataset.interleave(lambda e: tf.data.Dataset.from_tensors(e).repeat(e % k), cycle, block)


def with_policy(dataset, policy):
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = getattr(
        tf.data.experimental.AutoShardPolicy, policy)
    return dataset.with_options(options)


def auto(dataset, policy, workers, index):
    return distribute._AutoShardDataset(with_policy(dataset, policy), workers, index)


def text_of(values):
    return "[" + ",".join(str(v) for v in values.numpy().reshape(-1)) + "]"


STRATEGIES = {}


def mirrored(replicas):
    if replicas not in STRATEGIES:
        STRATEGIES[replicas] = (tf.distribute.OneDeviceStrategy("CPU:0") if replicas == 1 else
                                tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)]))
    return STRATEGIES[replicas]


def steps_of_one(make, replicas):
    strategy = mirrored(replicas)
    for element in strategy.experimental_distribute_dataset(make()):
        yield "".join(map(text_of, strategy.experimental_local_results(element)))


def steps_of_many(make, workers, replicas):
    """TensorFlow's share of each worker, of a dataset that make() gives it. Where several workers are, its iterator hands out dummies
    of 0 rows until none has data (input_lib._enable_get_next_as_optional)."""
    devices = input_lib.InputWorkers([("/cpu:0", [f"/cpu:{i}" for i in range(replicas)])])
    shares = []
    for worker in range(workers):
        context = tf.distribute.InputContext(workers, worker, workers * replicas)
        shares.append(iter(input_lib.DistributedDataset(
            devices, mirrored(2), dataset=make(), num_replicas_in_sync=workers * replicas,
            input_context=context)._cloned_datasets[0]))
    while True:
        step = [[next(share, None) for _ in range(replicas)] for share in shares]
        if all(element is None for elements in step for element in elements):
            return
        yield " ".join("".join("[]" if e is None else text_of(e) for e in elements)
                       for elements in step)


def distribute_steps(make, workers, replicas):
    steps = (steps_of_one(make, replicas) if workers == 1 else
             steps_of_many(make, workers, replicas))
    return "".join(step + ";" for step in steps)


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
    if step == "concat":
        other = tf.data.Dataset.range(int(rest[0]))
        return dataset.concatenate(other.batch(int(rest[1]), drop_remainder=len(rest) > 2))
    if step == "double":
        return dataset.map(lambda e: 2 * e)
    if step == "even":
        return dataset.filter(lambda e: tf.reduce_sum(e) % 2 == 0)
    n = [int(number) for number in rest]
    if step == "sizes":
        return dataset.rebatch(distribute.batch_sizes_for_worker(*n))
    if step == "legacy":
        return distribute._LegacyRebatchDataset(dataset, n[0])
    if step == "spread":
        return spread(dataset, *n)
    return getattr(dataset, step)(*n)


def build(steps):
    dataset = None
    for step in steps:
        dataset = apply(dataset, step.split())
    return dataset


def run(line):
    try:
        *steps, last = line.split(" | ")
        words = last.split()
        if words[0] != "distribute":
            return "".join(map(text_of, build(steps + [last])))
        return distribute_steps(lambda: with_policy(build(steps), words[1]), *map(int, words[2:]))
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


def some_distribution(r, files):
    """A pipeline of batches and how many share it."""
    source = f"range {r.randint(0, 60)}"
    if r.random() < 0.5:
        source = "lines " + ",".join(files[:r.randint(1, len(files))])
    steps = [source]
    if r.random() < 0.4:
        steps.append(r.choice([f"take {r.randint(0, 30)}", f"skip {r.randint(0, 9)}",
                               f"repeat {r.randint(0, 2)}", "cache", "double", "even"]))
    size, drop = r.randint(1, 9), r.choice(["", " drop"])
    steps.append(f"batch {size}{drop}")
    for _ in range(r.randint(0, 2)):
        steps.append(r.choice([
            "double", "double", "even", "cache", f"prefetch {r.randint(1, 3)}",
            f"take {r.randint(0, 8)}", f"skip {r.randint(0, 3)}", f"repeat {r.randint(1, 3)}",
            f"shard 2 {r.randint(0, 1)}"]))
    workers, policies = r.choice([1, 1, 2, 3, 4]), ["OFF", "DATA"]
    if source.startswith("range"):
        policies += ["AUTO"]
        if r.random() < 0.2:
            steps.append(f"concat {r.randint(0, 20)} {r.choice([size, 4])}" + r.choice(["", drop]))
    elif source.count(",") + 1 >= workers:  # otherwise TensorFlow refuses
        policies += ["FILE", "FILE", "AUTO"]
    return " | ".join(steps + [f"distribute {r.choice(policies)} {workers} {r.randint(1, 4)}"])


with tempfile.TemporaryDirectory() as folder:
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration() for _ in range(4)])
    r = random.Random(SEED)
    files = []
    for f in range(5):
        files.append(f"{folder}/{f}.txt")
        pathlib.Path(files[-1]).write_text("".join(f"{100 * f + i}\n" for i in range(r.randint(0, 9))))
    cases = [some_case(r, files) for _ in range(CASES)]
    cases += [some_distribution(r, files) for _ in range(CASES // 3)]
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
    print(f"{len(cases)} pipelines, {differences} differ")
    sys.exit(differences > 0)

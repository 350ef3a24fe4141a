"""Starts the programs of each case, lets them run in turn, and prints one line per case."""

import dataclasses
import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROUNDS = int(os.environ.get("COHORT_BENCH_ROUNDS", 7))
SECONDS = float(os.environ.get("COHORT_BENCH_SECONDS", 1))
VENV = pathlib.Path(os.environ["COHORT_PEERS_VENV"])
NICE = int(os.environ.get("COHORT_BENCH_NICE", 0))
MKL_ISA = VENV / "libmkl_isa.so"
HUGE = ":".join(
    [
        "glibc.malloc.hugetlb=1",
        "glibc.malloc.mmap_threshold=1073741824",
        "glibc.malloc.trim_threshold=4294967296",
    ]
)
# Case and threads, with the least ratio to the best eager peer.
BARS = {
    "mlp_b32:1": 4.0,
    "mlp_b256:1": 2.1,
    "small_sgd:1": 8.0,
    "small_adam:1": 12.0,
    "cnn_b64:1": 1.7,
    "cnn_b64:2": 1.9,
}
# Case and workers of one thread each: the least scaling over one worker, and ratio to DDP.
WORKER_BARS = {"mlp_b32@2": (1.6, 12.0), "cnn_b64@2": (1.85, 1.0)}


@dataclasses.dataclass
class Program:
    name: str
    command: list
    compiled: bool = True
    environment: dict = dataclasses.field(default_factory=dict)


def peer(name, venv, script, **more):
    python = VENV / f"venv-{venv}" / "bin" / "python"
    return Program(name, [str(python), str(HERE / "peers" / script)], **more)


def programs():
    mkl = {"LD_PRELOAD": str(MKL_ISA)}
    everything = [
        Program("cohort", [os.environ["COHORT_TRAIN_STEPS"]]),
        peer("torch_eager", "torch", "torch_eager.py", compiled=False),
        peer("torch_eager_avx512", "torch", "torch_eager.py", compiled=False, environment=mkl),
        peer("torch_compile", "torch", "torch_compile.py"),
        peer("torch_compile_avx512", "torch", "torch_compile.py", environment=mkl),
        peer("tensorflow", "tensorflow", "tensorflow_function.py"),
        peer("jax", "jax", "jax_scan.py"),
    ]
    chosen = os.environ.get("COHORT_BENCH_PROGRAMS", "").split()
    found = [p for p in everything if not chosen or p.name in chosen]
    for p in [p for p in found if not pathlib.Path(p.command[0]).exists()]:
        print(f"# {p.name}: no {p.command[0]}: left out", flush=True)
    return [p for p in found if pathlib.Path(p.command[0]).exists()]


class Running:
    """One program of one case: started, then asked for blocks. Has the last processors, or those
    before the last `leave`."""

    def __init__(self, program, case, threads, leave=0):
        self.program, self.floor, self.blocks, self.losses = program, None, [], []
        processors = sorted(os.sched_getaffinity(0), reverse=True)[leave : leave + threads]
        environment = {
            **os.environ,
            "TORCHINDUCTOR_CACHE_DIR": str(VENV / "inductor"),
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
            **program.environment,
        }
        if program.name != "cohort":
            environment["GLIBC_TUNABLES"] = HUGE
        self.process = subprocess.Popen(
            program.command + [case, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, processors),
        )
        self.variant = self.wait_until_ready()

    def wait_until_ready(self):
        for line in self.process.stdout:
            words = line.split()
            if words == ["#", "trial"]:
                self.prioritise(NICE)
            elif words[:1] == ["#"]:
                print(line, end="", file=sys.stderr, flush=True)
            elif words[:1] == ["floor"]:
                self.floor = [float(w) for w in words[1:4]]
            elif words[:1] == ["ready"]:
                self.prioritise(0)
                return words[2] if len(words) > 2 else ""
        raise RuntimeError(
            f"{self.program.name} ended with {self.process.wait()} before it was ready"
        )

    def prioritise(self, nice):
        """Of all threads, against other work: the scheduler weighs sessions, then tasks in them."""
        if NICE:
            for thread in os.listdir(f"/proc/{self.process.pid}/task"):
                os.setpriority(os.PRIO_PROCESS, int(thread), nice)
            group = pathlib.Path(f"/proc/{self.process.pid}/autogroup")
            if group.exists():
                group.write_text(str(nice))

    def block(self):
        self.begin_block()
        self.end_block()

    def begin_block(self):
        self.prioritise(NICE)
        print(f"go {SECONDS}", file=self.process.stdin, flush=True)

    def end_block(self):
        words = self.process.stdout.readline().split()
        self.prioritise(0)
        if len(words) != 6:
            raise RuntimeError(f"{self.program.name}: got {words}; want six words")
        self.blocks.append(float(words[3]))
        self.losses.append((float(words[4]), float(words[5])))

    def stop(self):
        self.process.stdin.close()
        self.process.wait()

    @property
    def median(self):
        return statistics.median(self.blocks)

    def describe(self):
        variant = f"[{self.variant}]" if self.variant else ""
        low, high = min(self.blocks), max(self.blocks)
        return f"{self.program.name}{variant} {self.median:.1f} ({low:.1f}-{high:.1f})"


def start(programs, case, threads):
    running = []
    for program in programs:
        try:
            running.append(Running(program, case, threads))
        except RuntimeError as error:
            print(f"# {error}", flush=True)
    return running


def ratios(label, ours, peers):
    """Our speed against the fastest eager and the fastest compiled peer, and against the floor."""
    texts = []
    for kind, compiled in (("eager", False), ("compiled", True)):
        rivals = [p for p in peers if p.program.compiled == compiled]
        if rivals:
            ratio = min(p.median for p in rivals) / ours.median
            bar = 1.0 if compiled else BARS.get(label, 1.0)
            verdict = "met" if ratio >= bar else "MISSED"
            texts.append(f"{ratio:.2f}x best {kind} (bar {bar:g}x {verdict})")
    if ours.floor:
        us, gflops, gbytes = ours.floor
        limits = f"{gflops:.0f} GFLOP/s, {gbytes:.1f} GB/s"
        texts.append(f"floor {us:.1f} at {limits}: {ours.median / us:.2f}x of it")
    return texts


def compare(programs, label):
    case, _, threads = label.partition(":")
    running = start(programs, case, int(threads))
    for number in range(ROUNDS):
        turn = number % max(len(running), 1)
        for program in running[turn:] + running[:turn]:
            program.block()
    for program in running:
        program.stop()
    ours = [p for p in running if p.program.name == "cohort"]
    peers = [p for p in running if p.program.name != "cohort"]
    parts = [p.describe() for p in ours + sorted(peers, key=lambda p: p.median)]
    if ours:
        parts += ratios(label, ours[0], peers)
    print(
        f"{case} {threads} thread{'s' if threads != '1' else ''}, us: " + "; ".join(parts),
        flush=True,
    )
    for p in running:
        first, last = p.losses[0][0], p.losses[-1][1]
        print(f"# {p.program.name}: loss {first:.3f} -> {last:.3f}", file=sys.stderr, flush=True)


def compare_workers(label):
    """Workers of one job, each with the case's batch, beside one alone, as many that have nothing to
    do with each other, and DDP."""
    case, _, count = label.partition("@")
    ours = [os.environ["COHORT_TRAIN_STEPS"]]
    workers = {"COHORT_BENCH_WORKERS": count}
    together = Running(Program("cohort", ours, environment=workers), case, int(count))
    alone = Running(Program("cohort", ours), case, 1)
    apart = [Running(Program("cohort", ours), case, 1, leave=i) for i in range(int(count))]
    ddp = Running(peer("torch_ddp", "torch", "torch_ddp.py"), case, int(count))
    for number in range(ROUNDS):
        turn = number % 4
        running = [[together], [alone], apart, [ddp]]
        for programs in running[turn:] + running[:turn]:
            for program in programs:
                program.begin_block()
            for program in programs:
                program.end_block()
    for program in (together, alone, *apart, ddp):
        program.stop()
    scaling = int(count) * alone.median / together.median
    ceiling = sum(alone.median / program.median for program in apart)
    ratio = ddp.median / together.median
    scaling_bar, ratio_bar = WORKER_BARS[label]
    verdict = lambda value, bar: f"bar {bar:g}x {'met' if value >= bar else 'MISSED'}"
    print(
        f"{case} {count} workers, us: {together.describe()}; one worker alone {alone.describe()}; "
        f"{ddp.describe()}; {scaling:.2f}x the samples of one ({verdict(scaling, scaling_bar)}; "
        f"{count} programs apart {ceiling:.2f}x); "
        f"{ratio:.2f}x DDP ({verdict(ratio, ratio_bar)})",
        flush=True,
    )


def main():
    labels = [a if ":" in a or "@" in a else a + ":1" for a in sys.argv[1:]]
    labels = labels or [*BARS, *WORKER_BARS]
    for label in labels:
        if label not in BARS and label not in WORKER_BARS:
            known = " ".join([*BARS, *WORKER_BARS])
            sys.exit(f"compare.sh: got case {label}; want one of {known}")
    if not MKL_ISA.exists():
        source = HERE / "peers" / "mkl_isa.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", MKL_ISA, source], check=True)
    chosen = programs()
    load = os.getloadavg()[0]
    if load > 0.5:
        print(f"# load average {load:.1f}: other programs are running; times are not to be trusted")
    for label in labels:
        compare_workers(label) if "@" in label else compare(chosen, label)


if __name__ == "__main__":
    main()

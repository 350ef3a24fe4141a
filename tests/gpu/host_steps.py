"""The steps of run_on_host.sh, which describes them."""

import collections
import concurrent.futures
import csv
import datetime
import glob
import gzip
import importlib.util
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TESTS = ROOT / "tests" / "test_gpu"
FAILED = ROOT / "results" / "failed"  # names of the first call's failed tests, for the second
ALONE = ["GpuDeviceTest.TheArenaTakesWhatThePoolKeeps"]  # takes all memory of the card
# What compute-sanitizer and ncu say where they may not look into the device.
REFUSED = "^==.*([Dd]evice not supported|LibraryNotLoaded|ERR_NVGPUCTRPERM|Failed to (initialize|connect)|No kernels).*"


class Skip(Exception):
    """The step cannot be done here."""


class Fail(Exception):
    """The step was done and shows a defect, or could not be done though it should."""


def cuda_folders():
    """Where CUDA's libraries may be: Python's wheels, then toolkits."""
    wheels = importlib.util.find_spec("nvidia")
    for folder in wheels.submodule_search_locations if wheels else []:
        yield from sorted(glob.glob(f"{folder}/*/lib"))
    toolkit = os.environ.get("CUDA_HOME", "/usr/local/cuda")
    yield from [f"{toolkit}/lib64", f"{toolkit}/lib", "/usr/local/nvidia/lib64"]


def tool(name):
    folders = [os.environ.get("CUDA_HOME", "/usr/local/cuda") + "/bin", *glob.glob("/opt/nvidia/nsight-compute/*")]
    path = shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))
    if not path:
        raise Skip(f"no {name} here")
    return path


def first(pattern, text, default=""):
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(0) if found else default


def tail(text, lines=4):
    return text.strip().splitlines()[-lines:]


def outcome(status):
    return ["its time was over"] if status is None else [f"exit status {status}"]


class Call:
    def __init__(self, seconds):
        self.begin, self.seconds = time.monotonic(), seconds
        self.logs = pathlib.Path(tempfile.mkdtemp())
        self.verdict, self.failed, self.stopped = [], False, None
        self.running = set()
        folders = [str(ROOT / "lib"), *cuda_folders(), os.environ.get("LD_LIBRARY_PATH", "")]
        self.library_path = os.pathsep.join(filter(None, folders))

    def elapsed(self):
        return time.monotonic() - self.begin

    def step(self, name, limit, work):
        """Does it: work(call) gives lines for the verdict, or raises Skip or Fail. False where it failed."""
        begin, left = self.elapsed(), self.seconds - self.elapsed()
        self.end_of_step = time.monotonic() + min(limit, left)
        try:
            if self.stopped:
                raise Skip(self.stopped)
            if left < 8:
                self.failed = True
                raise Skip(f"no time left of {self.seconds:.0f} s")
            print(f"[{begin:3.0f} s] {name}: at most {min(limit, left):.0f} s", flush=True)
            word, lines = "passed", work(self)
        except Skip as reason:
            word, lines = "skipped", reason.args
        except Fail as reason:
            word, lines, self.failed = "FAILED", reason.args, True
        except Exception as error:  # the other steps are not given up for one
            traceback.print_exc()
            word, lines, self.failed = "FAILED", [f"{type(error).__name__}: {error}"], True
        title = f"{name} ({self.elapsed() - begin:.0f} s)"
        lines = [line.strip()[:140] for line in lines]
        if len(lines) == 1:
            title += ": " + lines.pop()
        report = [f"{word:8}{title}"] + [f"          {line}" for line in lines]
        self.verdict += report
        print(f"[{self.elapsed():3.0f} s] " + "\n".join(report), flush=True)
        return word != "FAILED"

    def run(self, log, command, limit=1000, ours=True, **environment):
        """Its exit status, None where its time was over, and its output, which is kept as `log`."""
        path = self.logs / log
        path.parent.mkdir(exist_ok=True)
        if ours:
            environment["LD_LIBRARY_PATH"] = self.library_path
        with open(path, "w") as output:
            process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, env={**os.environ, **environment})
            self.running.add(process)
            try:
                status = process.wait(max(1, min(limit, self.end_of_step - time.monotonic())))
            except subprocess.TimeoutExpired:
                status = None
            finally:
                end(process)
                self.running.discard(process)
        return status, path.read_text(errors="replace")

    def finish(self, part):
        now = datetime.datetime.now(datetime.timezone.utc)
        head = f"== verdict of the {part} call, {now:%F %H:%M} UTC, {machine()}, {self.elapsed():.0f} s"
        (self.logs / "verdict").write_text("\n".join([head, *self.verdict]) + "\n")
        out = pathlib.Path(os.environ.get("OUT", ROOT / "results"))
        out.mkdir(parents=True, exist_ok=True)
        archive = out / f"gpu_{part}.tar.gz"
        with tarfile.open(archive, "w:gz") as packed:
            packed.add(self.logs, arcname=f"gpu_{part}")
        shutil.rmtree(self.logs)
        print("\n".join([head, *self.verdict[:57]]))
        if len(self.verdict) > 57:
            print(f"... and {len(self.verdict) - 57} lines in the archive")
        print(f"logs: {archive}", flush=True)


def end(process, signals=(signal.SIGTERM, signal.SIGKILL)):
    """Ends the program and all that it started: politely, then not."""
    for number in signals:
        try:
            os.killpg(process.pid, number)
            process.wait(5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass


def machine():
    """What the driver's own program says of cards and driver."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=8).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        answer = f"nvidia-smi: {error}"
    return "; ".join(answer.split("\n")[:8]).strip("; ")


# --- both calls ------------------------------------------------------------------------------------------------------


def probe(call):
    """Libraries, module, and memory that comes back from the device."""
    _, libraries = call.run("libraries", ["ldd", TESTS, ROOT / "lib" / "libcohort_cuda.so"])
    missing = sorted({line.strip() for line in libraries.splitlines() if "not found" in line})
    if missing:
        raise Fail(*missing[:6])
    cases = ["ModuleTest.*", "GpuDeviceTest.NewMemoryIsZeroAndAligned", "GpuDeviceTest.CopiesOfEverySizeComeBack"]
    status, output = call.run("probe", [TESTS, "--gtest_filter=" + ":".join(cases)])
    absent = first("needs a GPU; here: .*", output)
    if absent:
        raise Fail(absent, machine())
    if status != 0 or "OK ] GpuDeviceTest" not in output:
        raise Fail(*outcome(status), *tail(output))
    _, torch = call.run("torch", ["python3", "-c", "import torch; print('PyTorch', torch.__version__)"], ours=False)
    return [machine(), *tail(torch, 1)]


def sanitized(call, kind, tests):
    command = [tool("compute-sanitizer"), "--tool", kind, "--error-exitcode", "9", "--print-limit", "20"]
    status, output = call.run(kind, [*command, TESTS, f"--gtest_filter={tests}"], COHORT_RECORD="0")
    refused = first(REFUSED, output)
    if refused:
        raise Skip(f"compute-sanitizer: {refused}")
    summary = first(".*SUMMARY: .*", output)
    if status != 0 or not summary:
        found = re.findall(r"^========= (?:Error|Invalid|Race|Potential).*|^\[  FAILED.*", output, re.MULTILINE)
        raise Fail(*outcome(status), summary, *(found[:3] or tail(output)))
    return [summary]


# --- the first call --------------------------------------------------------------------------------------------------


def all_tests(call):
    """Each in a process of its own, so that a broken context ends one test alone; several at once, where that goes."""
    chosen = os.environ.get("COHORT_HOST_TESTS", "*")
    _, listed = call.run("list", [TESTS, "--gtest_list_tests", f"--gtest_filter={chosen}"])
    names, suite = [], ""
    for line in listed.splitlines():
        if line.startswith("  "):
            names.append(suite + line.split()[0])
        else:
            suite = line.split()[0] if "." in line else ""
    if not names:
        raise Fail(f"no test matches {chosen}", *tail(listed))

    def one(name):
        if time.monotonic() + 2 > call.end_of_step:
            return name, "not started", ""
        log = "tests/" + name.replace("/", "_")
        status, output = call.run(log, [TESTS, f"--gtest_filter={name}"], limit=40)
        if status == 0:
            reason = first(r"(?<=: Skipped\n).*", output)
            return name, "skipped" if reason else "passed", reason
        return name, "failed", first(r"(?<=: Failure\n).*", output) or (outcome(status) + tail(output, 1))[0]

    at_once = max(1, min(8, (os.cpu_count() or 1) // 2))  # a context on the card each
    results = [one(name) for name in names if name in ALONE]
    with concurrent.futures.ThreadPoolExecutor(at_once) as threads:
        results += threads.map(one, [name for name in names if name not in ALONE])
    count = collections.Counter(word for _, word, _ in results)
    lines = [", ".join(f"{number} {word}" for word, number in sorted(count.items()))]
    reasons = collections.Counter(reason for _, word, reason in results if word == "skipped")
    lines += [f"{number} skipped: {reason}" for reason, number in reasons.most_common(4)]
    failed = [(name, reason) for name, word, reason in results if word == "failed"]
    FAILED.parent.mkdir(exist_ok=True)
    FAILED.write_text("".join(name + "\n" for name, _ in failed))
    lines += [f"{name}: {reason}" for name, reason in failed[:15]]
    if len(failed) > 15:
        lines.append(f"and {len(failed) - 15} more")
    if failed or count["not started"] or any(reason.startswith("needs a GPU;") for reason in reasons):
        raise Fail(*lines)
    return lines


def workspaces(call):
    """Every workspace that cuBLASLt is given begins at a multiple of 256."""
    status, text = call.run("workspaces", [TESTS, "--gtest_filter=GpuTrainingTest.*"],
                            CUBLASLT_LOG_LEVEL="5", CUBLASLT_LOG_FILE=f"{call.logs}/cublaslt.%i")
    text += "".join(log.read_text(errors="replace") for log in call.logs.glob("cublaslt*"))
    begins = [int(address, 16) for address in re.findall("workspace=0x([0-9a-f]+)", text, re.IGNORECASE)]
    odd = [begin for begin in begins if begin % 256]
    lines = [f"{len(begins)} workspaces logged, {len(odd)} at no multiple of 256"]
    if status != 0 or not begins or odd:
        raise Fail(*lines, *outcome(status), *[hex(begin) for begin in odd[:3]])
    return lines


def memcheck(call):
    return sanitized(call, "memcheck", "GpuTrainingTest.AnMlpWithAdam")


def adam(call):
    needs(call, "torch")
    lines = compare(call, "graph,copy", "adam_4m")
    copy = first(r"(?<=torch_gpu copy ).*", "\n".join(lines))
    ratio = first(r"(?<=\()[0-9.]+(?= of cohort)", copy)
    if not ratio:
        raise Fail(*lines, "no copy to compare with")
    met = "met" if float(ratio) >= 0.85 else "MISSED"
    return lines + [f"Adam moves its bytes at {ratio} of a copy's speed; bar 0.85 {met}"]


# --- the second call -------------------------------------------------------------------------------------------------


def again(tests):
    """What failed: kernel by kernel, then as it failed."""

    def work(call):
        names = tests or (FAILED.read_text().split() if FAILED.exists() else [])
        if not names:
            raise Skip("no test is named, and none is known to have failed")
        command = [TESTS, "--gtest_filter=" + ":".join(names)]
        apart, _ = call.run("again_apart", command, CUDA_LAUNCH_BLOCKING="1", COHORT_RECORD="0")
        status, output = call.run("again", command)
        lines = re.findall(r"^\[  (?:PASSED|SKIPPED|FAILED) .*", output, re.MULTILINE)
        lines = list(dict.fromkeys(lines))[:15] + (["each kernel waited for: the same"] if apart else [])
        if status != 0 or "needs a GPU;" in output:
            raise Fail(*outcome(status), *lines)
        return lines

    return work


def racecheck(call):
    return sanitized(call, "racecheck", "GpuReduceTest.*:GpuNormTest.*:GpuSoftmaxTest.*")


def images(folder):
    """The benchmarks' 60000 images: the bundle's 10000, six times over."""
    for kind, header in [("images-idx3", 16), ("labels-idx1", 8)]:
        target = folder / f"train-{kind}-ubyte.gz"
        if not target.exists():
            data = gzip.decompress((folder / f"t10k-{kind}-ubyte.gz").read_bytes())
            begin = data[:4] + struct.pack(">I", 60000) + data[8:header]
            unfinished = folder / "unfinished"
            unfinished.write_bytes(gzip.compress(begin + data[header:] * 6, 0))
            unfinished.rename(target)


def needs(call, module):
    python = os.environ.get("COHORT_PYTHON", "python3")
    status, output = call.run(module, [python, "-c", f"import {module}; print({module}.__version__)"], ours=False)
    if status != 0:
        raise Skip(f"no {module} to compare with: " + (tail(output, 1) or outcome(status))[0])


def compare(call, peers, *cases):
    """Cohort beside these peers, as benchmarks/gpu/compare.py names them."""
    if "adam_4m" not in cases:
        images(ROOT / "data")
    status, output = call.run(
        "compare_" + "_".join(cases), ["python3", ROOT / "benchmarks" / "gpu" / "compare.py", "--peers", peers, *cases],
        ours=False, COHORT_BUILD=str(ROOT), COHORT_DATA_DIR=str(ROOT / "data"), COHORT_BENCH_ROUNDS="5",
        COHORT_BENCH_SECONDS="0.4", COHORT_LIBRARY_PATH=call.library_path)
    programs = "|".join([*cases, r"\S+ (?:torch_gpu|jax_scan)\.py", "torch_gpu", "jax", "gpu_adam", "train_steps"])
    wanted = rf"^(?:# )?(?:{programs})\b.*|^\w+Error: .*|^ +what\(\).*|.*cannot be recorded.*"
    lines = list(dict.fromkeys(re.findall(wanted, output, re.MULTILINE)))
    if status != 0 or any("cannot be recorded" in line for line in lines):
        raise Fail(*outcome(status), *(lines or tail(output)))
    return lines


def compiled(case):
    def work(call):
        needs(call, "torch")
        return compare(call, "compile_graph", case)

    return work


def with_jax(call):
    needs(call, "jax")
    return compare(call, "jax", "mlp_b32", "mlp_b256", "cnn_b64")


def profile(call):
    """Where the time of a step goes: kernel by kernel, so that its sum is more than a recorded step's."""
    images(ROOT / "data")
    metric = "gpu__time_duration.sum"
    command = [tool("ncu"), "--clock-control", "none", "--cache-control", "none", "--metrics", metric, "--csv"]
    status, output = call.run("profile", [*command, "-c", "300", ROOT / "benchmarks" / "train_steps", "cnn_b64", "1"],
                              COHORT_DEVICE="gpu", COHORT_RECORD="0", COHORT_DATA_DIR=str(ROOT / "data"))
    refused = first(REFUSED, output)
    if refused:
        raise Skip(f"ncu: {refused}")
    rows = [row for row in csv.reader(line for line in output.splitlines() if line.startswith('"'))]
    if status != 0 or len(rows) < 2:
        raise Fail(*outcome(status), *tail(output))
    name, unit, value = (rows[0].index(f"Metric {word}") for word in ["Name", "Unit", "Value"])
    kernel, scale = rows[0].index("Kernel Name"), {"ns": 1e-3, "us": 1, "ms": 1e3}
    taken = [(row[kernel], float(row[value].replace(",", "")) * scale[row[unit]]) for row in rows[1:]
             if row[name] == metric]
    updates = [at for at, (kernel_name, _) in enumerate(taken) if "adam_kernel" in kernel_name]
    if len(updates) < 2:
        raise Fail(f"{len(updates)} updates among {len(taken)} kernels; want two, and so a whole step")
    step = taken[updates[-2]:updates[-1]]
    (call.logs / "profile_step").write_text("".join(f"{us:8.1f} {kernel_name}\n" for kernel_name, us in step))
    slowest = sorted(step, key=lambda each: -each[1])[:5]
    return [f"a step of cnn_b64: {len(step)} kernels, {sum(us for _, us in step):.0f} us",
            *(f"{us:.1f} us {kernel_name[:100]}" for kernel_name, us in slowest)]


STEPS = {
    "first": lambda tests: [("tests", 105, all_tests), ("workspaces", 25, workspaces), ("memcheck", 60, memcheck),
                            ("adam", 35, adam)],
    "second": lambda tests: [
        ("again", 40, again(tests)), ("racecheck", 50, racecheck),
        ("mlp", 60, lambda call: compare(call, "graph", "mlp_b32", "mlp_b256")),
        ("cnn", 40, lambda call: compare(call, "graph,graph_nhwc", "cnn_b64")), ("profile", 25, profile),
        ("jax", 75, with_jax),
        ("mlp compiled", 75, compiled("mlp_b32")), ("cnn compiled", 75, compiled("cnn_b64"))],
}  # fmt: skip


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in STEPS or (sys.argv[1] == "first" and len(sys.argv) > 2):
        sys.exit("usage: run_on_host.sh first | second [TEST...]")
    part = sys.argv[1]
    call = Call(float(os.environ.get("COHORT_HOST_SECONDS", 220)))

    def stop(*_):
        call.end_of_step = 0
        for process in list(call.running):
            end(process, [signal.SIGKILL])
        sys.exit("run_on_host.sh: ended by a signal")

    signal.signal(signal.SIGTERM, stop)
    try:
        if not call.step("probe", 35, probe) and os.environ.get("COHORT_HOST_FORCE") != "1":
            call.stopped = "the probe failed"
        for name, limit, work in STEPS[part](sys.argv[2:]):
            call.step(name, limit, work)
    finally:
        call.finish(part)
    sys.exit(1 if call.failed else 0)


if __name__ == "__main__":
    main()

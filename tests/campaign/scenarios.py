"""What the campaign does to jobs, and what it then expects: the promises of docs/distributed.md.

A scenario is a function (trial) that starts a job with trial.start(...), disturbs it and checks
promises with trial.expect(...). It draws everything random from trial.random."""

import os
import signal
import socket
import time

from network import Hosts

# Promised times, with what a busy machine may take on top.
AT_ONCE, BY_HEARTBEAT, STARTUP, HEALTHY = 10, 20, 30, 60
WAYS = ["jobid", "ports", "launch", "mpirun"]
FAULTS = ["callback", "callback_error", "map", "map_error", "map_memory", "truncated", "main",
          "return", "exit", "thread", "full_disk"]
WITHOUT_TEXT = {"map_memory": "bad_alloc", "return": "", "exit": "", "full_disk": "/dev/full",
                "truncated": "truncated.tfrecord"}


def expect_healthy(trial, job, seconds=HEALTHY):
    """It ends well, all with the same weights, and nobody was warned of anything."""
    late = job.wait(seconds)
    trial.expect(not late, f"processes {late} have not ended in {seconds} s")
    codes = [process.popen.poll() for process in job.processes]
    trial.expect(all(code == 0 for code in codes), f"a healthy job ended with {codes}")
    lines = [line for line in job.text().splitlines() if "weights: " in line]
    weights = {line.split("weights: ")[1] for line in lines}
    trial.expect(len(lines) == job.size and len(weights) == 1,
                 f"{len(lines)} of {job.size} workers told weights, {len(weights)} different ones")
    trial.expect("warning: " not in job.text(), "a healthy job warned")


def expect_named(trial, job, victim, seconds, text="", named=None):
    """Every survivor ends in time with an error that names a culprit and holds its text."""
    named = named or [victim]
    late = job.wait(seconds, without=[victim] if job.each else [])
    trial.expect(not late, f"processes {late} have not ended {seconds} s after the fault")
    if not job.each:
        trial.expect(job.processes[0].popen.poll() != 0, f"the {job.way} of a failed job ended with 0")
        trial.expect(text in job.text(), f"the output does not hold \"{text}\"")
        if job.way == "launch":
            told = [line for line in job.text().splitlines() if line.startswith("cohort-launch:")]
            trial.expect(any(f"worker {victim}" in line for line in told),
                         f"the launcher does not name worker {victim}: {told[:3]}")
        return
    for rank, process in enumerate(job.processes):
        if rank == victim or rank in late:
            continue
        code, error = process.popen.poll(), process.value("error")
        trial.expect(code == 3, f"worker {rank} ended with {code}; want 3, an error")
        names = [f"/job:worker/task:{other}" for other in named]
        trial.expect(error is not None and any(name in error for name in names),
                     f"worker {rank} names not {' or '.join(names)}: {error}")
        trial.expect(error is None or text in error, f"worker {rank} tells not \"{text}\": {error}")


def expect_nothing_left(trial, job, may_leave=False):
    """`may_leave`: the leader could not clear up its address."""
    left = []
    for _ in range(30):
        left = [item for item in job.remains() if not (may_leave and item.startswith("file"))]
        if not left:
            return
        time.sleep(0.1)
    trial.expect(False, f"left behind: {left}")


def begin(trial, job):
    """Lets the job come as far as chance wants; True when it trains."""
    if trial.random.random() < 0.25:
        time.sleep(trial.random.uniform(0, 0.5))
        return False
    trial.expect(job.wait_for_steps(), f"no step was made: {job.text()[-300:]}")
    time.sleep(trial.random.uniform(0, 1))
    return True


def kill(trial):
    """A worker dies by a signal."""
    way = trial.random.choice(WAYS)
    job = trial.start(way, trial.random.choice([2, 3, 4]), ["--seconds", 100, "--startup", 15])
    victim = trial.random.randrange(job.size)
    number = trial.random.choice([signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM])
    trains = begin(trial, job)
    if not trains and not job.each:
        trial.expect(job.wait_for_steps(), "no step was made")
    trial.told(f"{way} of {job.size}, {number.name} to worker {victim}, "
               + ("training" if trains else "starting"))
    job.signal(victim, number)
    expect_named(trial, job, victim, AT_ONCE if trains else STARTUP)
    # mpirun and the launcher end the leader by a signal when another worker has died.
    expect_nothing_left(trial, job, may_leave=victim == 0 or not job.each)


def stand_still(trial):
    """A worker is stopped, and goes on when the others have given it up."""
    job = trial.start(trial.random.choice(["jobid", "ports"]), trial.random.choice([2, 3]),
                      ["--seconds", 100])
    victim = trial.random.randrange(job.size)
    trial.expect(job.wait_for_steps(), "no step was made")
    trial.told(f"{job.way} of {job.size}, worker {victim} stopped")
    job.signal(victim, signal.SIGSTOP)
    expect_named(trial, job, victim, BY_HEARTBEAT)
    job.signal(victim, signal.SIGCONT)
    trial.expect(not job.wait(AT_ONCE), "the stopped worker does not end when it goes on")
    expect_nothing_left(trial, job)


def suspend(trial):
    """All workers are stopped for a while, as by Ctrl-Z: nobody is to be declared dead."""
    job = trial.start(trial.random.choice(WAYS[:3]), trial.random.choice([2, 3]), ["--seconds", 4])
    trial.expect(job.wait_for_steps(), "no step was made")
    seconds = trial.random.uniform(1, 8)
    trial.told(f"{job.way} of {job.size}, suspended for {seconds:.1f} s")
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for rank in range(job.size):
            job.signal(rank, number)
        if number == signal.SIGSTOP:
            time.sleep(seconds)
    expect_healthy(trial, job)
    expect_nothing_left(trial, job)


def fault(trial):
    """A worker fails by itself: in its data, its callbacks, its main."""
    name = trial.random.choice(FAULTS)
    way = trial.random.choice(WAYS[:3])
    size = trial.random.choice([2, 3])
    victim = 0 if name == "full_disk" else trial.random.randrange(size)
    trial.told(f"{way} of {size}, {name} in worker {victim}")
    job = trial.start(way, size, ["--seconds", 100, "--fault", name, "--victim", victim])
    trial.expect(job.wait_for_steps() or True, "")
    text = WITHOUT_TEXT.get(name, f"fault of the campaign of worker {victim}")
    # A thread of the user's that throws, or an end of main before fit, tells the cluster no text.
    foreign = "" if name in ("thread", "main") and job.each else text
    if name == "return" and not job.each:
        job.wait(BY_HEARTBEAT)
        trial.expect(job.processes[0].popen.poll() not in (None, 0), "nobody missed the worker")
    else:
        expect_named(trial, job, victim, BY_HEARTBEAT, text=foreign)
    trial.expect(not job.wait(AT_ONCE), "the faulty worker has not ended")
    expect_nothing_left(trial, job)


def limits(trial):
    """A worker, or all, have few descriptors, little memory or small files: the job trains, or it
    ends soon with an error."""
    what, amount = trial.random.choice(
        [("n", trial.random.choice([12, 20, 28, 40, 64, 256])),
         ("v", trial.random.choice([400_000, 700_000, 2_000_000, 8_000_000])),
         ("f", trial.random.choice([0, 1000, 1_000_000]))])
    size = trial.random.choice([2, 3])
    ranks = range(size) if trial.random.random() < 0.5 else [trial.random.randrange(size)]
    trial.told(f"ulimit -{what} {amount} for workers {list(ranks)} of {size}")
    job = trial.start("jobid", size, ["--seconds", 1, "--startup", 15],
                      limits={rank: f"-{what} {amount}" for rank in ranks})
    late = job.wait(STARTUP)
    trial.expect(not late, f"processes {late} have not ended in {STARTUP} s")
    for rank, process in enumerate(job.processes):
        code = process.popen.poll()
        # What the loader, the shell or the C++ runtime need themselves is not ours to report.
        if rank in ranks and code not in (0, 3) and not process.value("rank"):
            continue
        trial.expect(code == 0 or (code == 3 and process.value("error")) or rank in late,
                     f"worker {rank} ended with {code} and no error: {process.text()[-200:]}")
    expect_nothing_left(trial, job, may_leave=True)


def strangers(trial):
    """Others connect to the ports of a job on this host: idle, with rubbish, many at once."""
    job = trial.start("ports", trial.random.choice([2, 3]), ["--seconds", 6])
    trial.expect(job.wait_for_steps(), "no step was made")
    ports = listening([job.pid(rank) for rank in range(job.size)])
    trial.told(f"strangers at {len(ports)} ports of {job.size} workers")
    trial.expect(bool(ports), "nobody listens")
    open_ones = []
    for _ in range(100):
        try:
            client = socket.create_connection(("127.0.0.1", trial.random.choice(ports)), timeout=1)
            open_ones.append(client)
            if trial.random.random() < 0.5:
                client.sendall(trial.random.randbytes(trial.random.choice([1, 100, 10_000])))
        except OSError:
            pass  # refused or dropped: good
    expect_healthy(trial, job)
    for client in open_ones:
        client.close()


def listening(pids):
    """Loopback ports of processes of this host."""
    sockets = set()
    for pid in pids:
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                sockets.add(os.readlink(f"/proc/{pid}/fd/{name}"))
            except OSError:
                pass
    ports = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/net/{table}") as file:
            for line in file.read().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                    ports.add(int(words[1].split(":")[1], 16))
    return sorted(ports)


def cut(trial):
    """A link goes down for good, one way or both, of one host or between two."""
    size = trial.random.choice([2, 3])
    victim = trial.random.randrange(size)
    how = trial.random.choice(["cut", "one way", "pair"] if size == 3 else ["cut", "one way"])
    trial.told(f"{how} at host {victim} of {size}")
    with Hosts(size) as hosts:
        job = trial.start("hosts", size, ["--seconds", 100], hosts=hosts)
        trial.expect(job.wait_for_steps(), "no step was made")
        other = (victim + 1) % size
        if how == "cut":
            hosts.cut(victim)
        else:
            hosts.drop(victim, sources=[other])
        if how == "pair":
            hosts.drop(other, sources=[victim])
        late = job.wait(BY_HEARTBEAT)
        trial.expect(not late, f"workers {late} have not ended in {BY_HEARTBEAT} s")
        for rank, process in enumerate(job.processes):
            error = process.value("error") or ""
            trial.expect("/job:worker/task:" in error, f"worker {rank} names nobody: {error}")
        job.clear()


def heal(trial):
    """A link is down, from the first time to the last, for less than 2 s, or loses packets: the job
    goes on. TCP waits twice as long before each try, and so finds up to as late again that the link
    is back, and the liveness clock is 5 s."""
    size = trial.random.choice([2, 3])
    victim = trial.random.randrange(size)
    how = trial.random.choice(["once", "flapping", "loss"])
    seconds = trial.random.uniform(0.2, 2)
    trial.told(f"{how} at host {victim} of {size}, {seconds:.1f} s")
    with Hosts(size) as hosts:
        job = trial.start("hosts", size, ["--seconds", 6], hosts=hosts)
        trial.expect(job.wait_for_steps(), "no step was made")
        if how == "loss":
            hosts.drop(victim, percent=10)
        for _ in range({"once": 1, "flapping": 2, "loss": 0}[how]):
            hosts.cut(victim)
            time.sleep(seconds if how == "once" else 0.4)
            hosts.heal(victim)
            time.sleep(0.5)
        expect_healthy(trial, job)
        job.clear()


def slow(trial):
    """A healthy job on a link that needs seconds for its model."""
    megabits = trial.random.choice([5, 20, 100, 400])
    seconds = trial.random.choice([0.5, 2, 4, 8, 14])
    units = trial.random.choice([250, 500, 1000])
    between = max(1, min(60, round(megabits * 1e6 / 8 * seconds / (4 * units * units))))
    timeout = trial.random.choice([10, 600])
    ideal = between * 4 * units * units * 8 / (megabits * 1e6)
    trial.told(f"{between} times {units} x {units} weights at {megabits} Mbit/s: {ideal:.1f} s, "
               f"timeout {timeout} s")
    with Hosts(2) as hosts:
        hosts.shape(megabits)
        job = trial.start("hosts", 2, ["--seconds", 0, "--layers", between + 1, "--units", units,
                                       "--timeout", timeout], hosts=hosts)
        expect_healthy(trial, job, seconds=HEALTHY + 6 * ideal)
        job.clear()


ON_ONE_HOST = [kill, stand_still, suspend, fault, limits, strangers]
ON_HOSTS = [cut, heal, slow]

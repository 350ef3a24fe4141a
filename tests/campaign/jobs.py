"""Jobs of campaign workers: how they are started, watched and cleared away."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field


@dataclass
class Programs:
    worker: str
    launcher: str = ""
    mpirun: str = ""


@dataclass
class Process:
    """One process that a job was started with: a worker, or the launcher of all."""
    popen: subprocess.Popen
    log: str

    def text(self):
        with open(self.log, errors="replace") as file:
            return file.read()

    def ended(self):
        return self.popen.poll() is not None

    def value(self, name):
        """The rest of the last line `name: …`."""
        lines = re.findall(rf"^(?:\[[^]]*\] )?{name}: (.*)$", self.text(), re.MULTILINE)
        return lines[-1] if lines else None


@dataclass
class Job:
    """`way`: "jobid" and "ports" (TF_CONFIG on this host), "launch", "mpirun", "hosts" (TF_CONFIG,
    a network namespace each). `limits`: what `ulimit` is told before a worker, by rank; of "jobid"
    and "ports"."""
    programs: Programs
    folder: str
    way: str
    size: int
    arguments: list
    hosts: object = None
    limits: dict = field(default_factory=dict)
    processes: list = field(default_factory=list)

    def start(self):
        os.makedirs(self.runtime, mode=0o700)
        command = [self.programs.worker] + [str(a) for a in self.arguments]
        if self.way == "launch":
            self._spawn([self.programs.launcher, "-n", str(self.size)] + command, {})
        elif self.way == "mpirun":
            self._spawn([self.programs.mpirun, "--allow-run-as-root", "--oversubscribe", "-np",
                         str(self.size)] + command, {})
        else:
            addresses = self._addresses()
            for rank in range(self.size):
                self._spawn(self._limited(rank, command), self._task(addresses, rank),
                            self.hosts.prefix(rank) if self.hosts else [])
        return self

    @property
    def runtime(self):
        return os.path.join(self.folder, "runtime")

    @property
    def each(self):
        """Whether every worker is a process of its own here."""
        return self.way not in ("launch", "mpirun")

    def _addresses(self):
        if self.hosts:
            return [f"{self.hosts.address(rank)}:2222" for rank in range(self.size)]
        if self.way == "jobid":
            return ["127.0.0.1:0"] * self.size
        sockets = [socket.socket() for _ in range(self.size)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        ports = [s.getsockname()[1] for s in sockets]
        for s in sockets:
            s.close()
        return [f"127.0.0.1:{port}" for port in ports]

    def _task(self, addresses, rank):
        task = {"TF_CONFIG": json.dumps({"cluster": {"worker": addresses},
                                         "task": {"type": "worker", "index": rank}})}
        if self.way == "jobid":
            task["COHORT_JOB_ID"] = os.path.basename(self.folder)
        return task

    def _limited(self, rank, command):
        if rank not in self.limits:
            return command
        return ["bash", "-c", f'ulimit {self.limits[rank]} && exec "$@"', "limited"] + command

    def _spawn(self, command, environment, prefix=()):
        log = os.path.join(self.folder, f"{len(self.processes)}.log")
        variables = {**os.environ, **environment, "XDG_RUNTIME_DIR": self.runtime,
                     "CAMPAIGN_TRIAL": self.folder}
        with open(log, "w") as output:
            popen = subprocess.Popen([*prefix, *command], env=variables, cwd=self.folder,
                                     stdin=subprocess.DEVNULL, stdout=output,
                                     stderr=subprocess.STDOUT, start_new_session=True)
        self.processes.append(Process(popen, log))

    def text(self):
        return "".join(process.text() for process in self.processes)

    def pid(self, rank):
        """Of a worker; None while it has not told its own."""
        if self.each:
            return self.processes[rank].popen.pid
        found = re.search(rf"rank: {rank} process (\d+)", self.text())
        return int(found[1]) if found else None

    def signal(self, rank, number):
        """False when the worker has ended."""
        pid = self.pid(rank)
        try:
            if pid is None or (self.each and self.processes[rank].ended()):
                return False
            os.kill(pid, number)
            return True
        except ProcessLookupError:
            return False

    def wait_for_steps(self, seconds=60):
        """Until every worker has made a step; False when one has ended or time is over."""
        def made():
            if self.each:
                return all(process.value("step") for process in self.processes)
            return len(re.findall(r"step: made", self.text())) >= self.size
        return wait_until(lambda: made() or any(p.ended() for p in self.processes),
                          seconds) and made()

    def wait(self, seconds, without=()):
        """The processes that have not ended by then, by position."""
        def running():
            return [i for i, p in enumerate(self.processes) if not p.ended() and i not in without]
        wait_until(lambda: not running(), seconds)
        return running()

    def remains(self):
        """Processes and files of the job that are still there."""
        left = [f"process {pid}" for pid in self._alive()]
        return left + [f"file {name}" for name in os.listdir(self.runtime)]

    def _alive(self):
        mark = f"CAMPAIGN_TRIAL={self.folder}\0".encode()
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    if mark in file.read() + b"\0":
                        yield int(name)
            except OSError:
                pass  # ended, or another user's

    def clear(self):
        for pid in self._alive():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        for process in self.processes:
            process.popen.wait()


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= end:
            return False
        time.sleep(0.02)
    return True

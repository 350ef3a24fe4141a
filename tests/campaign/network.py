"""Hosts that only a network connects: network namespaces on a bridge."""

import os
import subprocess


def run(command, check=True, text=None):
    result = subprocess.run(command, shell=True, capture_output=True, text=True, input=text)
    if check and result.returncode != 0:
        raise RuntimeError(f"{command}: {result.stderr.strip()}")
    return result.returncode == 0


class Hosts:
    """`with Hosts(3) as hosts`: hosts 0, 1, 2. Whatever is done to them ends with it."""

    made = 0

    def __init__(self, count):
        Hosts.made += 1
        self.count = count
        self.name = f"c{os.getpid() % 100000}x{Hosts.made % 1000}"

    @staticmethod
    def missing():
        """Why there can be none here; empty when they can be made."""
        if os.geteuid() != 0:
            return "not root"
        for program in ("ip -V", "tc -V", "nft -v"):
            if not run(program, check=False):
                return f"no {program.split()[0]} command"
        try:
            with Hosts(1):
                return ""
        except RuntimeError as error:
            return str(error)

    def __enter__(self):
        try:
            run(f"ip link add {self.name}br type bridge; ip link set {self.name}br up")
            for host in range(self.count):
                n, v = self._space(host), self._link(host)
                run(f"ip netns add {n} && ip link add {v} type veth peer name eth0 netns {n} &&"
                    f"ip link set {v} master {self.name}br up &&"
                    f"ip -n {n} addr add {self.address(host)}/24 dev eth0 &&"
                    f"ip -n {n} link set lo up && ip -n {n} link set eth0 up")
        except RuntimeError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for host in range(self.count):
            run(f"ip netns del {self._space(host)}", check=False)
        run(f"ip link del {self.name}br", check=False)

    def _space(self, host):
        return f"{self.name}n{host}"

    def _link(self, host):
        return f"{self.name}v{host}"

    def address(self, host):
        return f"10.76.5.{host + 1}"

    def prefix(self, host):
        return ["ip", "netns", "exec", self._space(host)]

    def cut(self, host):
        run(f"ip link set {self._link(host)} down")

    def heal(self, host):
        run(f"ip link set {self._link(host)} up")

    def drop(self, host, sources=(), percent=0):
        """From now on `host` loses what comes from `sources`, and a part of all that comes."""
        rules = [f"ip saddr {self.address(source)} drop;" for source in sources]
        if percent:
            rules.append(f'iifname "eth0" numgen random mod 100 < {percent} drop;')
        table = "table inet chaos {\n chain in { type filter hook input priority 0;\n" + \
            "\n".join(rules) + "\n}\n}\n"
        run(f"ip netns exec {self._space(host)} nft -f -", text=table)

    def shape(self, megabits):
        for host in range(self.count):
            run(f"ip netns exec {self._space(host)} tc qdisc add dev eth0 root tbf "
                f"rate {megabits}mbit burst 256kb latency 200ms")

#!/usr/bin/env python3
"""Compares what ptxas gave each kernel for sm_90 with the table beside this script.

registers.py [--record] --toolkit VERSION OBJECT...

Reads OBJECT.ptxas of each object (cmake/ptxas_log.sh writes them). Registers may differ by 4; bytes of
stack frame, of spills and of shared memory may not. --record writes the table anew. Exits with 77 where
the table is another toolkit's, or where nothing was compiled for sm_90.
"""
import argparse
import pathlib
import re
import subprocess
import sys

TABLE = pathlib.Path(__file__).with_name("registers.txt")
ARCHITECTURE = "sm_90"
TOLERANCE = 4
COLUMNS = ("registers", "stack", "spilled", "shared")


def demangled(names):
    result = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True)
    return result.stdout.splitlines()


def short(name):
    """The function with its template arguments, without namespaces and parameters."""
    for namespace in ("cohort::cuda::", "(anonymous namespace)::"):
        name = name.replace(namespace, "")
    name = name.removeprefix("void ")
    depth = 0
    for i, c in enumerate(name):
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0:
            return name[:i]
    return name


def number(pattern, text):
    found = re.search(pattern, text)
    return int(found.group(1)) if found else 0


def kernels_of(log, file):
    """{"file kernel": numbers} of the project's kernels in a log."""
    kernels = {}
    parts = re.split(r"Compiling entry function '(\S+)' for '(\w+)'", log)
    mangled, architectures, texts = parts[1::3], parts[2::3], parts[3::3]
    names = demangled(mangled)
    for name, architecture, text in zip(names, architectures, texts):
        if architecture != ARCHITECTURE or "cohort::" not in name or name.startswith("void cub::"):
            continue
        key = f"{file} {short(name)}"
        if key in kernels:
            sys.exit(f"registers: two kernels are called {key}")
        kernels[key] = (
            number(r"Used (\d+) registers", text),
            number(r"(\d+) bytes stack frame", text),
            number(r"(\d+) bytes spill stores", text) + number(r"(\d+) bytes spill loads", text),
            number(r"(\d+) bytes smem", text),
        )
    return kernels


def read_logs(objects):
    kernels = {}
    for name in objects:
        path = pathlib.Path(name)
        if not path.name.endswith(".cu.o"):
            continue
        log = pathlib.Path(name + ".ptxas")
        if not log.exists():
            sys.exit(f"registers: no {log}; want the log of the compilation of {path.name}")
        kernels.update(kernels_of(log.read_text(), path.name.removesuffix(".o")))
    return kernels


def record(kernels, toolkit):
    lines = [f"# CUDA {toolkit}, {ARCHITECTURE}; bytes of stack frame, of spills and of shared memory.",
             "# Written by `cmake --build build/release --target record_registers`.",
             "# " + " ".join(COLUMNS) + " file kernel"]
    lines += [" ".join(f"{n:4}" for n in numbers) + f" {key}" for key, numbers in sorted(kernels.items())]
    TABLE.write_text("\n".join(lines) + "\n")
    print(f"{TABLE}: {len(kernels)} kernels")


def read_table():
    toolkit = ""
    kernels = {}
    for line in TABLE.read_text().splitlines():
        if line.startswith("#"):
            toolkit = toolkit or number_of_toolkit(line)
            continue
        fields = line.split(maxsplit=len(COLUMNS))
        kernels[fields[-1]] = tuple(int(field) for field in fields[:-1])
    return toolkit, kernels


def number_of_toolkit(line):
    found = re.match(r"# CUDA (\S+),", line)
    return found.group(1) if found else ""


def differences(got, want):
    for key in sorted(got.keys() | want.keys()):
        if key not in want:
            yield f"{key}: is not in the table"
        elif key not in got:
            yield f"{key}: is in the table, but no kernel"
        else:
            for column, g, w in zip(COLUMNS, got[key], want[key]):
                if abs(g - w) > (TOLERANCE if column == "registers" else 0):
                    yield f"{key}: got {g} {column}; want {w}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--toolkit", required=True)
    parser.add_argument("objects", nargs="+")
    options = parser.parse_args()
    got = read_logs(options.objects)
    if not got:
        print(f"registers: nothing was compiled for {ARCHITECTURE}")
        return 77
    if options.record:
        record(got, options.toolkit)
        return 0
    toolkit, want = read_table()
    if toolkit != options.toolkit:
        print(f"registers: the table is CUDA {toolkit}'s; here is {options.toolkit}")
        return 77
    found = list(differences(got, want))
    print("\n".join(found) or f"registers: {len(got)} kernels as recorded")
    if found:
        print("Right as it is now? cmake --build build/release --target record_registers")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Python's safetensors package reads every tensor of the data files that Cohort writes.

    tests/checkpoint/safe_open.py build/release/tests/test_checkpoint build/release/launch/cohort-checkpoint

Wants a Python with safetensors and numpy; without, it says so and ends with code 77. No part of CI.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import safetensors
    from safetensors import safe_open
except ImportError as error:
    print(f"skipped: {error}; want a Python with the packages safetensors and numpy")
    sys.exit(77)

TESTS, TOOL = sys.argv[1:3]
SHAPES = {"large": ("F32", [700, 1024]), "empty": ("F32", [0, 3]), "step": ("I64", [])}
for long, short in {"float32": "F32", "float16": "F16", "bfloat16": "BF16", "float64": "F64", "int32": "I32",
                    "int64": "I64", "uint8": "U8", "int8": "I8", "bool": "BOOL"}.items():
    SHAPES["types/" + long] = (short, [3, 5])


def wanted_bytes(name, begin, size):
    i = np.arange(begin, begin + size, dtype=np.int64)
    return (i % 2 if name == "types/bool" else i * 31 % 63).astype(np.uint8).tobytes()


def element_bytes(dtype):
    return 1 if dtype in ("U8", "I8", "BOOL") else int(dtype.lstrip("BFI")) // 8


def check(name, begin, dtype, shape, data):
    want_dtype, want_shape = SHAPES[name]
    assert dtype == want_dtype, (name, dtype)
    first = begin * element_bytes(dtype)
    assert data == wanted_bytes(name, first, len(data)), name
    return len(data)


def read(path):
    """Checks each tensor of a file; name -> bytes of it that were seen."""
    seen = {}
    raw = dict(safetensors.deserialize(path.read_bytes()))
    with safe_open(path, framework="np") as file:
        names = list(file.keys())
        assert sorted(names) == sorted(raw), path
        for entry in names:
            view = file.get_slice(entry)
            dtype, shape = view.get_dtype(), list(view.get_shape())
            data = bytes(raw[entry]["data"])
            if dtype != "BF16":  # which numpy lacks
                tensor = file.get_tensor(entry)
                assert list(tensor.shape) == shape and tensor.tobytes() == data, entry
            if entry.startswith("~pad/"):
                assert dtype == "U8" and set(data) <= {0}, entry
                continue
            name, _, part = entry.partition("@")
            begin, end = map(int, part.split(":")) if part else (0, None)
            assert shape == ([end - begin] if part else SHAPES[name][1]), (entry, shape)
            seen[name] = seen.get(name, 0) + check(name, begin, dtype, shape, data)
    return seen


def read_all(paths):
    total = {}
    for path in paths:
        for name, size in read(path).items():
            total[name] = total.get(name, 0) + size
    for name, (dtype, shape) in SHAPES.items():
        assert total[name] == int(np.prod(shape, dtype=np.int64)) * element_bytes(dtype), name


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        subprocess.run([TESTS, "--gtest_filter=SavedStateTest.WritesFilesForOtherPrograms"], check=True,
                       stdout=subprocess.DEVNULL, env=dict(os.environ, COHORT_CHECKPOINT_OUT=str(folder / "d")))
        for step in ("000000000001", "000000000003"):
            read_all((folder / "d" / f"step-{step}").glob("*.safetensors"))
        index = json.loads((folder / "d/step-000000000001/model.safetensors.index.json").read_text())
        assert set(index["weight_map"]) == set(SHAPES) - {"empty"}
        for options in ([], ["--max-shard-bytes", "1000"]):
            out = folder / f"out{len(options)}"
            subprocess.run([TOOL, "convert", *options, folder / "d", out], check=True, stdout=subprocess.DEVNULL)
            read_all(out.glob("*.safetensors"))
    print(f"safetensors {safetensors.__version__} reads all of it")


main()

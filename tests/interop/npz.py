#!/usr/bin/env python3
"""NumPy reads the .npz files that Cohort writes from NumPy's: equal arrays, names and element types.

    tests/interop/npz.py build/release/tests/pipelines
"""

import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError:
    print("skipped: no NumPy")
    sys.exit(77)

random = np.random.default_rng(3)
arrays = {}
for kind in ["?", "u1", "i1", "<i4", ">i4", "<i8", "<f2", ">f2", "<f4", "<f8", ">f8"]:
    for shape in [(), (1,), (0, 3), (4, 5), (2, 3, 4), (1, 2, 1, 3)]:
        values = random.normal(size=shape) * 50
        name = f"{np.dtype(kind).name} {kind[0]} {shape}"
        arrays[name] = np.asarray(values).astype(kind)
        arrays[name + " F"] = np.asfortranarray(arrays[name])

with tempfile.TemporaryDirectory() as folder:
    for save in [np.savez, np.savez_compressed]:
        theirs, ours = pathlib.Path(folder, "theirs.npz"), pathlib.Path(folder, "ours.npz")
        save(theirs, **arrays)
        run = subprocess.run([sys.argv[1], "npz", theirs, ours], text=True, capture_output=True)
        if "without libzip" in run.stderr:
            print("skipped: " + run.stderr.strip())
            sys.exit(77)
        assert run.returncode == 0, run.stderr
        with np.load(ours) as loaded:
            assert sorted(loaded) == sorted(arrays)
            for name, want in arrays.items():
                got = loaded[name]
                assert got.dtype == want.dtype.newbyteorder("<") and got.shape == want.shape, name
                assert np.array_equal(got, want, equal_nan=want.dtype.kind == "f"), name
        print(f"{save.__name__}: {len(arrays)} arrays, all equal")

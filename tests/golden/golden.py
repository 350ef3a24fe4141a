"""Writes recorded values as lines that tests/golden/golden.h reads.

    # a comment: what made the file
    name dtype dims value value ...

dtype: f32 f64 i32 i64 bool text. dims: "2x3", or "-" for a scalar. Values in row-major order; a
floating value has as many digits as bring back the same bits. A text line holds the rest of the
line. Names are paths: "conv2d/same_stride2/dx" is field dx of case same_stride2 of conv2d.
"""

import pathlib
import zlib

import numpy as np

DTYPES = {"float32": "f32", "float64": "f64", "int32": "i32", "int64": "i64", "bool": "bool"}


def rng(seed=20240917):
    return np.random.default_rng(seed)


def rng_of(name, seed=20240917):
    """A stream of the case `name` alone: a new case changes no other's values."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


class Writer:
    def __init__(self, topic, made_by, script=None):
        self.path = pathlib.Path(__file__).with_name(topic + ".txt")
        self.lines = [f"# {made_by}; written by {script or f'generate_{topic}.py'}"]
        self.names = set()

    def comment(self, text):
        self.lines.append("# " + text)

    def _claim(self, name):
        assert name not in self.names and " " not in name, name
        self.names.add(name)

    def add(self, name, value):
        """Records an array, a number or a text. Float64 arrays are rounded to float32."""
        self._claim(name)
        if isinstance(value, str):
            self.lines.append(f"{name} text - {value}")
            return
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        dims = "x".join(str(d) for d in array.shape) or "-"
        flat = array.reshape(-1)
        if array.dtype == np.float32:
            values = " ".join(
                np.format_float_scientific(v, trim="-")
                if v and np.isfinite(v) and not 1e-3 <= abs(v) < 1e6
                else np.format_float_positional(v, trim="-")
                for v in flat
            )
        else:
            values = " ".join(str(int(v)) for v in flat)
        self.lines.append(f"{name} {DTYPES[array.dtype.name]} {dims} {values}".rstrip())

    def case(self, prefix, **fields):
        for field, value in fields.items():
            self.add(f"{prefix}/{field}", value)

    def save(self):
        self.path.write_text("\n".join(self.lines) + "\n")
        print(f"{self.path.name}: {len(self.names)} entries, {self.path.stat().st_size} bytes")

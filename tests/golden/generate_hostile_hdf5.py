"""Writes weights/*.h5 that are legal HDF5 and must be refused: data and links that lie elsewhere, and
more elements than any file has."""

import pathlib

import h5py
import numpy as np

folder = pathlib.Path(__file__).with_name("weights")


def new(name):
    return h5py.File(folder / f"{name}.h5", "w")


with new("external_link") as file:
    file["vars/0"] = h5py.ExternalLink("/etc/passwd", "/")
with new("external_data") as file:
    file.create_dataset("vars/0", (4,), "u1", external=[("/etc/passwd", 0, 4)])
with new("virtual_data") as file:
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("functional.weights.h5", "layers/dense/vars/1", (4,))
    file.create_virtual_dataset("vars/0", layout)
with new("huge") as file:
    file.create_dataset("vars/0", (1 << 30, 1 << 30), "f4", chunks=(1024, 1024))

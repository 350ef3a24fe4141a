"""Writes weights/*.h5 that are legal HDF5 and must be refused: data and links that lie elsewhere, and
more elements than any file has; and files in which a reader could lose itself."""

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
with new("soft_link") as file:
    file["vars/0"] = h5py.SoftLink("/vars/0")
with new("cycle") as file:
    file.create_group("vars")["again"] = file["/"]
with new("many_paths") as file:  # 2^40 of them, in 40 groups
    group = file
    for _ in range(40):
        below = group.create_group("a")
        group["b"] = below
        group = below
with new("deep") as file:
    file.create_group("/".join(["g"] * 70)).create_dataset("0", (4,), "f4")
with new("bomb") as file:  # 4 GB of zeros that the file does not have
    file.create_dataset("dense/dense/kernel:0", (1 << 15, 1 << 15), "f4", chunks=(256, 256), compression=9)
    file.attrs["layer_names"] = ["dense"]
    file["dense"].attrs["weight_names"] = ["dense/kernel:0"]
with new("lost_weight") as file:
    file.create_group("dense").attrs["weight_names"] = ["../../etc/kernel:0"]
    file.attrs["layer_names"] = ["dense"]

"""Writes npy/*.npy and npy/*.npz with NumPy: arrays of every element type, in both orders of axes and of
bytes, and what is refused. Element i of each, in C order, is (i * 37 % 101) - 50, as a bool or unsigned
number what NumPy makes of it."""

import pathlib

import numpy as np

folder = pathlib.Path(__file__).with_name("npy")
folder.mkdir(exist_ok=True)


def numbers(dtype, *shape):
    return ((np.arange(int(np.prod(shape))) * 37 % 101) - 50).reshape(shape).astype(dtype)


for dtype in ["bool", "u1", "i1", "<i4", "<i8", "<f2", "<f4", "<f8"]:
    np.save(folder / f"{np.dtype(dtype).name}.npy", numbers(dtype, 3, 4))
for dtype in [">f2", ">i4", ">f8"]:
    np.save(folder / f"big_{np.dtype(dtype).name}.npy", numbers(dtype, 3, 4))
np.save(folder / "fortran.npy", np.asfortranarray(numbers("<f4", 2, 3, 4)))
np.save(folder / "fortran_big.npy", np.asfortranarray(numbers(">f8", 5, 3)))
np.save(folder / "scalar.npy", np.float64(-2.5))
np.save(folder / "vector.npy", numbers("<i8", 7))
np.save(folder / "empty.npy", np.zeros((3, 0, 2), "f4"))
with open(folder / "version2.npy", "wb") as file:
    np.lib.format.write_array(file, numbers("<f4", 3, 4), version=(2, 0))
np.save(folder / "complex.npy", np.zeros(2, "c8"))
np.save(folder / "uint16.npy", np.zeros(2, "u2"))
np.save(folder / "records.npy", np.zeros(2, [("a", "f4"), ("b", "i4")]))
np.save(folder / "objects.npy", np.array([{}, None], dtype=object), allow_pickle=True)
arrays = {"weights": numbers("<f4", 3, 4), "labels": np.asfortranarray(numbers("<i8", 5, 3)), "one": np.float64(-2.5)}
np.savez(folder / "arrays.npz", **arrays)
np.savez_compressed(folder / "compressed.npz", **arrays)

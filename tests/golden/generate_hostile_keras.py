"""Writes keras_files/hostile_*.keras, small files that must be refused: what would take much memory or disk, and names
that lead out of a folder."""

import json
import pathlib
import zipfile

folder = pathlib.Path(__file__).with_name("keras_files")
METADATA = json.dumps({"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"})


def model(*layers):
    return json.dumps({"module": "keras", "class_name": "Sequential", "registered_name": None,
                       "config": {"name": "s", "layers": list(layers)}})


def layer(class_name, **config):
    return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}


INPUT = layer("InputLayer", batch_shape=[None, 2], dtype="float32", name="x")
SMALL = model(INPUT, layer("Dense", name="d", units=1))


def write(name, config, weights=b"", more=()):
    with zipfile.ZipFile(folder / f"hostile_{name}.keras", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for member, data in (("metadata.json", METADATA), ("config.json", config), ("model.weights.h5", weights), *more):
            archive.writestr(zipfile.ZipInfo(member), data, zipfile.ZIP_DEFLATED)


folder.mkdir(exist_ok=True)
write("config_bomb", " " * (40 << 20))
write("weights_bomb", SMALL, bytes(66 << 20))
write("parent_path", SMALL, more=[("../evil", "x")])
write("absolute_path", SMALL, more=[("/tmp/evil", "x")])
write("depth", "[" * 100_000)
write("huge_layer", model(INPUT, layer("Dense", name="d", units=1 << 40)))
write("huge_input", model(layer("InputLayer", batch_shape=[None, 1 << 40, 1 << 40], dtype="float32", name="x"),
                          layer("Flatten", name="f"), layer("Dense", name="d", units=1)))
write("no_hdf5", SMALL, b"no HDF5 file" * 10)
write("lambda", model(INPUT, layer("Lambda", name="l", function={"class_name": "__lambda__", "config": {"code": "4wEA"}})))

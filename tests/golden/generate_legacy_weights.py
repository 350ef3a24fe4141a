"""Writes weights/legacy_<model>.h5, files of weights from tf-keras 2 (legacy HDF5), and
legacy_weights.txt: what the models of keras_weight_models.py predict with them, <model>/y. sequential's is
a whole model's file, with an optimizer's state, functional's has its lists in pieces."""

import os
import pathlib
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import h5py  # noqa: E402
import numpy as np  # noqa: E402
import tf_keras  # noqa: E402

sys.modules["keras"] = tf_keras  # of which keras_weight_models.py makes its models
from golden import Writer, rng_of  # noqa: E402
from keras_weight_models import MODELS, predict  # noqa: E402


def cut_lists(path):
    """As tf-keras does where a list is longer than 64,512 bytes."""
    with h5py.File(path, "r+") as file:
        for group, name in [(file, "layer_names")] + [(g, "weight_names") for g in file.values()]:
            whole = group.attrs[name]
            if len(whole) > 1:
                del group.attrs[name]
                for i, text in enumerate(whole):
                    group.attrs[f"{name}{i}"] = np.array([text.encode()])


out = Writer("legacy_weights", f"tf-keras {tf_keras.__version__}")
folder = pathlib.Path(__file__).with_name("weights")
for name, make in MODELS.items():
    tf_keras.backend.clear_session()
    model = make()
    predict(model, name)
    random = rng_of(name)
    model.set_weights([abs(random.normal(size=w.shape)) / 2 for w in model.get_weights()])
    path = folder / f"legacy_{name}.h5"
    if name == "sequential":
        model.compile("adam", "mse")
        model.fit(np.ones((4, 8, 8, 2)), np.ones((4, 3)), verbose=0)
        model.save(path)
    else:
        model.save_weights(path)
    if name == "functional":
        cut_lists(path)
    out.add(f"{name}/y", predict(model, name))
out.save()

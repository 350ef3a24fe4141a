"""Writes weights/<model>.weights.h5, files of weights from Keras, weights.txt: what the models of
keras_weight_models.py predict with them, <model>/y, and weights/sharded.weights.json: sequential's weights
in several files."""

import os
import pathlib

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import keras  # noqa: E402

from golden import Writer, rng_of  # noqa: E402
from keras_weight_models import MODELS, predict  # noqa: E402

out = Writer("weights", f"keras {keras.__version__}")
folder = pathlib.Path(__file__).with_name("weights")
for name, make in MODELS.items():
    model = make()
    predict(model, name)
    random = rng_of(name)
    model.set_weights([abs(random.normal(size=w.shape)) / 2 for w in model.get_weights()])
    model.save_weights(folder / f"{name}.weights.h5")
    if name == "sequential":
        model.save_weights(folder / "sharded.weights.json", max_shard_size=550 / 2**30)
    out.add(f"{name}/y", predict(model, name))
out.save()

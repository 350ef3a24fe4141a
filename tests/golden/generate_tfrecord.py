"""Records tensorflow.tfrecord and tensorflow.tfrecord.gz: two Examples as TensorFlow writes them.

    $COHORT_PEERS_VENV/venv-tensorflow/bin/python tests/golden/generate_tfrecord.py
"""

import os
import pathlib

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf  # noqa: E402


def example(i):
    return tf.train.Example(features=tf.train.Features(feature={
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[-i])),
        "x": tf.train.Feature(float_list=tf.train.FloatList(value=[0.5 * i, 1e-3])),
        "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[bytes([i, 0, 255, 7])])),
    })).SerializeToString(deterministic=True)


here = pathlib.Path(__file__).parent
for name, compression in (("tensorflow.tfrecord", ""), ("tensorflow.tfrecord.gz", "GZIP")):
    with tf.io.TFRecordWriter(str(here / name), compression) as writer:
        for i in (1, 2):
            writer.write(example(i))
print("written with TensorFlow", tf.__version__)

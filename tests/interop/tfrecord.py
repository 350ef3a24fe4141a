#!/usr/bin/env python3
"""TensorFlow reads the TFRecord files that Cohort writes, and the other way round, Examples included.

    tests/interop/tfrecord.py build/release/tests/pipelines       (peer.py finds TensorFlow)
"""

import subprocess
import sys
import tempfile

import peer

tf = peer.tensorflow()
import numpy as np  # noqa: E402

PROGRAM = sys.argv[1]
COMPRESSIONS = ("NONE", "GZIP", "ZLIB")
COUNT = 300


def line_of(label, x, image):
    return f"{int(label)} {np.float32(x[0]):.9g} {np.float32(x[1]):.9g} {image.hex()}"


def read_by_tensorflow(path, compression):
    spec = {"label": tf.io.FixedLenFeature([], tf.int64), "x": tf.io.FixedLenFeature([2], tf.float32),
            "image": tf.io.FixedLenFeature([], tf.string)}
    for record in tf.data.TFRecordDataset(path, "" if compression == "NONE" else compression):
        example = tf.io.parse_single_example(record, spec)
        yield line_of(example["label"], example["x"].numpy(), example["image"].numpy())


def read_by_cohort(path, compression):
    return subprocess.run([PROGRAM, "read", path, compression], check=True, text=True,
                          capture_output=True).stdout.splitlines()


def written_by_tensorflow(path, compression):
    random = np.random.default_rng(7)
    with tf.io.TFRecordWriter(path, "" if compression == "NONE" else compression) as writer:
        for _ in range(COUNT):
            label = int(random.integers(-(2 ** 62), 2 ** 62))
            x = random.standard_normal(2).astype(np.float32)
            image = random.bytes(int(random.integers(0, 3000)))
            feature = {
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
                "x": tf.train.Feature(float_list=tf.train.FloatList(value=x)),
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
                "unused": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"", b"b"])),
            }
            writer.write(tf.train.Example(features=tf.train.Features(feature=feature))
                         .SerializeToString())
            yield line_of(label, x, image)


def check(what, got, want):
    if got != want:
        first = next((i for i, (g, w) in enumerate(zip(got, want)) if g != w), min(len(got), len(want)))
        sys.exit(f"{what}: {len(got)} and {len(want)} records, which differ at {first}:\n{got[first:first + 1]}\n{want[first:first + 1]}")
    print(f"{what}: {len(got)} records")


with tempfile.TemporaryDirectory() as folder:
    for compression in COMPRESSIONS:
        path = f"{folder}/cohort.{compression}"
        subprocess.run([PROGRAM, "write", path, compression, str(COUNT)], check=True)
        ours = read_by_cohort(path, compression)
        assert len(ours) == COUNT
        check(f"{compression} written by Cohort", list(read_by_tensorflow(path, compression)), ours)

        path = f"{folder}/tensorflow.{compression}"
        want = list(written_by_tensorflow(path, compression))
        check(f"{compression} written by TensorFlow", read_by_cohort(path, compression), want)

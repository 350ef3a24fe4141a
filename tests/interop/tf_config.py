#!/usr/bin/env python3
"""TensorFlow's TFConfigClusterResolver and Cohort's read the same TF_CONFIG to the same cluster:
every property, and master() in every form.

    tests/interop/tf_config.py build/release/tests/print_job       (peer.py finds TensorFlow)
"""

import json
import os
import subprocess
import sys

import peer

tf = peer.tensorflow()

C = {"ps": ["ps0:2222", "ps1:2222"],
     "worker": ["worker0:2222", "worker1:2222", "worker2:2222"]}
PS0 = {"type": "ps", "index": 0}
W1 = {"type": "worker", "index": 1}

CASES = {
    "a task of a cluster": {"cluster": C, "task": PS0},
    "session master": {"cluster": C, "task": PS0, "session_master": "sessionmaster:2222"},
    "session master alone": {"session_master": "m:1"},
    "an empty session master": {"cluster": C, "task": PS0, "session_master": ""},
    "session master null": {"cluster": C, "task": PS0, "session_master": None},
    "rpc layer": {"cluster": C, "task": PS0, "rpc_layer": "grpc"},
    "an empty rpc layer": {"cluster": C, "task": PS0, "rpc_layer": ""},
    "rpc layer null": {"cluster": C, "task": PS0, "rpc_layer": None},
    "another task": {"cluster": C, "task": {"type": "ps", "index": 1}, "rpc_layer": "grpc"},
    "a type that is a number": {
        "cluster": {"123456": ["ps0:2222", "ps1:2222"], "worker": C["worker"]},
        "task": {"type": 123456, "index": 0}},
    "an index that is a string": {"cluster": C, "task": {"type": "worker", "index": "1"}},
    "an index with a zero in front": {"cluster": C, "task": {"type": "worker", "index": "01"}},
    "nothing": {},
    "no cluster": {"task": W1},
    "an empty cluster": {"cluster": {}, "task": W1},
    "no task": {"cluster": C},
    "an empty task": {"cluster": C, "task": {}},
    "a type alone": {"cluster": C, "task": {"type": "worker"}},
    "an index alone": {"cluster": C, "task": {"index": 1}},
    "one task": {"cluster": {"worker": ["worker0:2222"]}},
    "one task of each job": {"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": PS0},
    "a chief": {"cluster": {"chief": ["c:1"], "worker": ["a:1", "b:1"]},
                "task": {"type": "chief", "index": 0}},
    "an evaluator": {"cluster": {"worker": ["a:1", "b:1"], "evaluator": ["e:1"]},
                     "task": {"type": "evaluator", "index": 0}},
    "an evaluator that is not there": {"cluster": {"worker": ["a:1", "b:1"]},
                                       "task": {"type": "evaluator", "index": 0}},
    "a sparse job": {"cluster": {"worker": {"0": "a:1", "3": "b:1"}},
                     "task": {"type": "worker", "index": 3}},
    "one task of a sparse job": {"cluster": {"worker": {"3": "a:1"}},
                                 "task": {"type": "worker", "index": 3}},
    "task 0 in an object": {"cluster": {"worker": {"0": "a:1"}},
                            "task": {"type": "worker", "index": 0}},
    "a task between those of a sparse job": {"cluster": {"worker": {"0": "a:1", "3": "b:1"}},
                                             "task": W1},
    "indices from 0 in an object": {"cluster": {"worker": {"0": "a:1", "1": "b:1"}}, "task": W1},
    "a job without tasks": {"cluster": {"worker": [], "chief": ["c:1"]},
                            "task": {"type": "chief", "index": 0}},
    "only a job without tasks": {"cluster": {"worker": []}, "task": W1},
    "a job without a name": {"cluster": {"": ["a:1", "b:1"]}, "task": {"type": "", "index": 0}},
    "IPv6": {"cluster": {"worker": ["[::1]:2222", "[fe80::1]:2222"]}, "task": W1},
    "a backslash in an address": {"cluster": {"worker": ["a\\c:1", "b:1"]}, "task": W1},
    "an empty address": {"cluster": {"worker": ["", "b:1"]}, "task": {"type": "worker", "index": 0}},
    "Kubernetes": {"cluster": {"worker": ["cohort-worker-0.default.svc:2222",
                                          "cohort-worker-1.default.svc:2222"]},
                   "task": W1, "environment": "cloud"},
    "members nobody knows": {"cluster": C, "task": dict(W1, cloud="{}"), "job": {"x": [1]}},
    "dynamic workers": {"sparseCluster": {"worker": {"1": "h1:2222"}, "ps": ["p0:2222"]},
                        "task": W1},
    "text beyond ASCII": {"cluster": {"worker": ["h\u00f6st:1", "b:1"]},
                          "task": {"type": "worker", "index": 0}},
    "a negative index": {"cluster": C, "task": {"type": "worker", "index": -1}},
    "an index beyond the job": {"cluster": C, "task": {"type": "worker", "index": 7}},
    "a type that is not there": {"cluster": C, "task": {"type": "chief", "index": 0}},
    "a type in capitals": {"cluster": C, "task": {"type": "Worker", "index": 0}},
    "a word for an index": {"cluster": C, "task": {"type": "worker", "index": "one"}},
    "null for an index": {"cluster": C, "task": {"type": "worker", "index": None}},
    "a list for an index": {"cluster": C, "task": {"type": "worker", "index": [0]}},
    "half an index": {"cluster": C, "task": {"type": "worker", "index": 1.5}},
    "true for an index": {"cluster": C, "task": {"type": "worker", "index": True}},
    "spaces around an index": {"cluster": C, "task": {"type": "worker", "index": " 1 "}},
    "null for a type": {"cluster": C, "task": {"type": None, "index": 0}},
    "a list for a type": {"cluster": C, "task": {"type": ["worker"], "index": 0}},
    "null for a task": {"cluster": C, "task": None},
    "a word for a task": {"cluster": C, "task": "worker"},
    "a list for a task": {"cluster": C, "task": ["worker", 0]},
    "null for a cluster": {"cluster": None, "task": W1},
    "a list for a cluster": {"cluster": [["worker", "a:1"]], "task": W1},
    "a number for a job": {"cluster": {"worker": 7}},
    "a word for a job": {"cluster": {"worker": "a:1"}},
    "null for a job": {"cluster": {"worker": None}},
    "a number for an address": {"cluster": {"worker": [2222, 2223]}, "task": W1},
    "null for an address": {"cluster": {"worker": ["a:1", None]}, "task": W1},
    "a word for a task's number": {"cluster": {"worker": {"one": "a:1"}}},
    "a negative number of a task": {"cluster": {"worker": {"-1": "a:1"}}},
    "one number twice": {"cluster": {"worker": {"0": "a:1", "00": "b:1"}}},
    "a number for the rpc layer": {"cluster": C, "task": PS0, "rpc_layer": 7},
    "a number for the session master": {"session_master": 7},
    "a number for the environment": {"environment": 7},
}
TEXTS = {
    "no JSON": "{",
    "words": "cluster",
    "a list": "[]",
    "null": "null",
    "a number": "7",
    "something behind the end": '{"cluster": {}} x',
    "a name twice": '{"cluster": {"worker": ["a:1"]}, "cluster": {"worker": ["b:1", "c:1"]}, '
                    '"task": {"type": "worker", "index": 0}}',
}
TEXTS |= {name: json.dumps(config) for name, config in CASES.items()}

# What differs, and why: Cohort refuses what TensorFlow takes and can only have been meant otherwise.
REFUSED = {
    "half an index": "int(1.5) is 1",
    "true for an index": "int(True) is 1",
    "spaces around an index": "int() strips",
    "null for a type": "str(None) is a name",
    "a list for a type": "str([...]) is a name",
    "a list for a task": "'type' in [...] is False",
    "a word for a task": "'type' in 'worker' is False",
    "a list": "'cluster' in [] is False",
    "a negative number of a task": "-1 is a number until somebody asks for its address",
    "one number twice": "the last one stays",
    "a number for the rpc layer": "it is handed on",
    "a number for the session master": "it is handed on",
    "a number for the environment": "it is not read",
    "a negative index": "-1 is an index until somebody asks for its address",
}


def attempt(read):
    try:
        return read()
    except Exception as error:  # whatever it throws, it refuses
        return {"error": repr(error)}


def describe_spec(spec):
    jobs = {job: {str(i): spec.task_address(job, i) for i in spec.task_indices(job)}
            for job in spec.jobs}
    return {"jobs": jobs, "text": str(spec)}


def tensorflow_reads(text):
    os.environ["TF_CONFIG"] = text
    r = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    return {"cluster_spec": attempt(lambda: describe_spec(r.cluster_spec())),
            "task_type": attempt(lambda: r.task_type),
            "task_id": attempt(lambda: r.task_id),
            "rpc_layer": attempt(lambda: r.rpc_layer),
            "environment": attempt(lambda: r.environment),
            "master()": attempt(r.master),
            "master(worker, 1)": attempt(lambda: r.master("worker", 1)),
            "master(worker)": attempt(lambda: r.master("worker")),
            "master(id 0)": attempt(lambda: r.master(task_id=0)),
            "master(test)": attempt(lambda: r.master(rpc_layer="test")),
            "master(no layer)": attempt(lambda: r.master(rpc_layer="")),
            "master(worker, 1, test)": attempt(lambda: r.master("worker", 1, "test")),
            "master(nobody, 0)": attempt(lambda: r.master("nobody", 0))}


def cohort_reads(program, text):
    done = subprocess.run([program, "--tf-config"], env=dict(os.environ, TF_CONFIG=text),
                          capture_output=True, text=True, timeout=60)
    return json.loads(done.stdout)


def refuses(value):
    return isinstance(value, dict) and "error" in value


def expected(name, theirs):
    """What Cohort is to read where TensorFlow reads `theirs`."""
    config = CASES.get(name, {})
    # TensorFlow's resolver does not look at the variable's environment, Cohort's does.
    environment = config.get("environment") or ""
    if refuses(theirs["cluster_spec"]) and name not in CASES:
        environment = theirs["cluster_spec"]
    wanted = dict(theirs, environment=environment)
    if "sparseCluster" in config:  # TensorFlow does not know TFJob's
        dense = dict(config, cluster=config["sparseCluster"])
        wanted = dict(tensorflow_reads(json.dumps(dense)), environment=environment)
    return wanted


def main():
    failures = 0
    for name, text in TEXTS.items():
        ours = cohort_reads(sys.argv[1], text)
        wanted = expected(name, tensorflow_reads(text))
        different = [key for key in wanted
                     if not (refuses(ours[key]) if refuses(wanted[key]) else ours[key] == wanted[key])
                     and not (name in REFUSED and refuses(ours[key]))]
        print(f"{'DIFFER' if different else 'ok    '} {name}")
        failures += bool(different)
        for key in different:
            print(f"  {key}: TensorFlow {json.dumps(wanted[key])}; Cohort {json.dumps(ours[key])}")
    print(f"TensorFlow {tf.__version__}: {len(TEXTS) - failures} of {len(TEXTS)} cases agree")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""TensorFlow's TFConfigClusterResolver and Cohort's read the same TF_CONFIG to the same cluster.

    $COHORT_PEERS_VENV/bin/python tests/interop/tf_config.py build/release/tests/print_job

Started with another Python it starts itself again with that of COHORT_PEERS_VENV, which has
TensorFlow. Ends with code 77 (a skip) and the reason where there is no TensorFlow.
"""

import glob
import json
import os
import subprocess
import sys

C = {"ps": ["ps0:2222", "ps1:2222"],
     "worker": ["worker0:2222", "worker1:2222", "worker2:2222"]}
PS0 = {"type": "ps", "index": 0}

# TF_CONFIG, and whether Cohort must refuse what TensorFlow takes.
CASES = {
    "a task of a cluster": {"cluster": C, "task": PS0},
    "session master": {"cluster": C, "task": PS0, "session_master": "sessionmaster:2222"},
    "rpc layer": {"cluster": C, "task": PS0, "rpc_layer": "grpc"},
    "another task": {"cluster": C, "task": {"type": "ps", "index": 1}, "rpc_layer": "grpc"},
    "a type that is a number": {
        "cluster": {"123456": ["ps0:2222", "ps1:2222"], "worker": C["worker"]},
        "task": {"type": 123456, "index": 0}},
    "an index that is a string": {"cluster": C, "task": {"type": "worker", "index": "1"}},
    "nothing": {},
    "one task": {"cluster": {"worker": ["worker0:2222"]}},
    "a chief": {"cluster": {"chief": ["c:1"], "worker": ["a:1", "b:1"]},
                "task": {"type": "chief", "index": 0}},
    "an evaluator": {"cluster": {"worker": ["a:1", "b:1"], "evaluator": ["e:1"]},
                     "task": {"type": "evaluator", "index": 0}},
    "a sparse job": {"cluster": {"worker": {"0": "a:1", "3": "b:1"}},
                     "task": {"type": "worker", "index": 3}},
    "indices from 0 in an object": {"cluster": {"worker": {"0": "a:1", "1": "b:1"}},
                                    "task": {"type": "worker", "index": 1}},
    "a job without tasks": {"cluster": {"worker": [], "chief": ["c:1"]},
                            "task": {"type": "chief", "index": 0}},
    "IPv6": {"cluster": {"worker": ["[::1]:2222", "[fe80::1]:2222"]},
             "task": {"type": "worker", "index": 1}},
    "Kubernetes": {"cluster": {"worker": ["cohort-worker-0.default.svc:2222",
                                          "cohort-worker-1.default.svc:2222"]},
                   "task": {"type": "worker", "index": 1}, "environment": "cloud"},
    "text beyond ASCII": {"cluster": {"worker": ["h\u00f6st:1", "b:1"]},
                          "task": {"type": "worker", "index": 0}},
    "a negative index": {"cluster": C, "task": {"type": "worker", "index": -1}},
    "an index beyond the job": {"cluster": C, "task": {"type": "worker", "index": 7}},
    "a type that is not there": {"cluster": C, "task": {"type": "chief", "index": 0}},
    "a word for an index": {"cluster": C, "task": {"type": "worker", "index": "one"}},
    "a number for a job": {"cluster": {"worker": 7}},
}


def tensorflow_reads(config):
    import tensorflow

    os.environ["TF_CONFIG"] = json.dumps(config)
    try:
        resolver = tensorflow.distribute.cluster_resolver.TFConfigClusterResolver()
        spec = resolver.cluster_spec()
        jobs = {job: {str(i): spec.task_address(job, i) for i in spec.task_indices(job)}
                for job in spec.jobs}
        return {"jobs": jobs, "text": str(spec), "task_type": resolver.task_type,
                "task_id": resolver.task_id, "rpc_layer": resolver.rpc_layer,
                "master": resolver.master()}
    except Exception as error:  # whatever it throws, it refuses
        return {"error": repr(error)}


def cohort_reads(program, config):
    environment = dict(os.environ, TF_CONFIG=json.dumps(config))
    done = subprocess.run([program, "--tf-config"], env=environment, capture_output=True,
                          text=True, timeout=60)
    return json.loads(done.stdout)


def restart_with_tensorflow():
    venv = os.environ.get("COHORT_PEERS_VENV", "")
    here = os.path.realpath(sys.prefix)
    for python in [venv + "/bin/python"] + glob.glob(venv + "/*tensorflow*/bin/python"):
        if venv and os.path.exists(python) and not python.startswith(here + "/"):
            os.execv(python, [python] + sys.argv)
    print("skipped: no TensorFlow; COHORT_PEERS_VENV names a virtual environment that has it")
    sys.exit(77)


def main():
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    try:
        import tensorflow
    except ImportError:
        restart_with_tensorflow()
    failures = 0
    for name, config in CASES.items():
        theirs = tensorflow_reads(config)
        ours = cohort_reads(sys.argv[1], config)
        same = "error" in ours if "error" in theirs else ours == theirs
        print(f"{'ok    ' if same else 'DIFFER'} {name}")
        if not same:
            failures += 1
            print("  TensorFlow:", json.dumps(theirs, sort_keys=True))
            print("  Cohort:    ", json.dumps(ours, sort_keys=True))
    print(f"TensorFlow {tensorflow.__version__}: {len(CASES) - failures} of {len(CASES)} cases agree")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())

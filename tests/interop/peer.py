"""TensorFlow for the scripts here. Where this Python lacks it, the script starts again with one of
COHORT_PEERS_VENV that has it, or ends with code 77 (a skip) and the reason."""

import glob
import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")


def tensorflow():
    try:
        import tensorflow
        return tensorflow
    except ImportError:
        pass
    venv = os.environ.get("COHORT_PEERS_VENV", "")
    here = os.path.realpath(sys.prefix)
    for python in [venv + "/bin/python"] + glob.glob(venv + "/*tensorflow*/bin/python"):
        if venv and os.path.exists(python) and not python.startswith(here + "/"):
            sys.stdout.flush()
            os.execv(python, [python] + sys.argv)
    print("skipped: no TensorFlow; COHORT_PEERS_VENV names a virtual environment that has it")
    sys.exit(77)

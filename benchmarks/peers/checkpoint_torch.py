"""PyTorch saves and restores as many bytes: checkpoint_torch.py CASE DIRECTORY [MIB [ROUNDS]].

Prints a line for each round, "CASE seconds". Durable: files and directories are synced. Cases:
torch_save, torch_dcp, torch_load, torch_load_mmap.
"""

import os
import shutil
import sys
import time

import torch
import torch.distributed.checkpoint as dcp

TENSORS = 16


def sync_all(directory):
    for folder, _, files in os.walk(directory):
        for path in [os.path.join(folder, name) for name in files] + [folder]:
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.close(file)


def state_of(mib):
    elements = (mib << 20) // TENSORS // 4
    return {f"tensor_{i}": torch.arange(elements, dtype=torch.float32) for i in range(TENSORS)}


def save_whole(state, directory):
    os.makedirs(directory)
    with open(f"{directory}/state.pt", "wb") as file:
        torch.save(state, file)
    sync_all(directory)


def save_distributed(state, directory):
    dcp.save(state, checkpoint_id=directory)
    sync_all(directory)


def load(state, directory, mmap):
    loaded = torch.load(f"{directory}/state.pt", mmap=mmap, weights_only=True)
    for name, tensor in state.items():
        tensor.copy_(loaded[name])


def main():
    case, directory = sys.argv[1:3]
    mib = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
    rounds = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    state = state_of(mib)
    if case in ("torch_load", "torch_load_mmap"):
        shutil.rmtree(directory, ignore_errors=True)
        save_whole(state, directory)
    for number in range(rounds + 1):
        if case in ("torch_save", "torch_dcp"):
            shutil.rmtree(directory, ignore_errors=True)
            os.sync()
        begin = time.perf_counter()
        if case == "torch_save":
            save_whole(state, directory)
        elif case == "torch_dcp":
            save_distributed(state, directory)
        elif case == "torch_load":
            load(state, directory, mmap=False)
        elif case == "torch_load_mmap":
            load(state, directory, mmap=True)
        else:
            sys.exit(f"got {case}; want torch_save, torch_dcp, torch_load or torch_load_mmap")
        if number > 0:
            print(case, f"{time.perf_counter() - begin:.6f}", flush=True)
    shutil.rmtree(directory, ignore_errors=True)


main()

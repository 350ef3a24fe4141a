"""Gloo's all_reduce between processes of this machine, as PyTorch calls it.

gloo_all_reduce.py RANKS SECONDS [BYTES...]: a line "RANKS BYTES MEDIAN_US" for each size.
"""

import os
import statistics
import sys
import tempfile
import time

import torch
import torch.distributed as dist

SIZES = [8] + [4096 * 4**i for i in range(9)]


def sample(tensor):
    begin = time.perf_counter()
    dist.all_reduce(tensor)
    return 1e6 * (time.perf_counter() - begin)


def run(rank, ranks, seconds, sizes, meeting):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=ranks)
    for size in sizes:
        tensor = torch.zeros(size // 4)
        trial = min(sample(tensor) for _ in range(3))
        count = torch.tensor([max(5.0, seconds * 1e6 / trial)])
        dist.broadcast(count, 0)  # equally many on every rank
        times = [sample(tensor) for _ in range(int(count.item()))]
        if rank == 0:
            print(ranks, size, f"{statistics.median(times):.2f}", flush=True)
    dist.barrier()
    dist.destroy_process_group()


def main():
    ranks, seconds = int(sys.argv[1]), float(sys.argv[2])
    sizes = [int(size) for size in sys.argv[3:]] or SIZES
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(
            run, (ranks, seconds, sizes, os.path.join(folder, "meeting")), nprocs=ranks
        )


if __name__ == "__main__":
    main()

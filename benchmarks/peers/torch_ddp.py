"""PyTorch's DistributedDataParallel over Gloo: one process for each thread, each with the case's batch.

The chief counts the steps of a block and tells the others how many to do; with that they are
equal everywhere, as DDP demands.
"""

import os
import socket
import sys
import time

import torch
import torch.distributed as dist
from torch import nn

import common
import torch_eager


def make_step(case, rank):
    next_batch = torch_eager.data_of(case)
    for _ in range(rank):
        next_batch()  # another place in the data
    model = nn.parallel.DistributedDataParallel(torch_eager.model_of(case))
    optimizer = torch_eager.optimizer_of(case, model, fused=True)
    cross_entropy = nn.CrossEntropyLoss()

    def step():
        x, y = next_batch()
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def train(step, steps):
    for _ in range(steps):
        loss = step()
    return float(loss)


def agree(steps):
    number = torch.tensor([steps])
    dist.broadcast(number, 0)
    return int(number)


def work(rank, size, port):
    case = common.CASES[sys.argv[1]]
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch_eager.set_up(1)
    dist.init_process_group("gloo", rank=rank, world_size=size)
    step = make_step(case, rank)
    if rank > 0:
        while (steps := agree(0)) > 0:
            train(step, steps)
        return

    def timed(steps):
        agree(steps)
        begin = time.perf_counter()
        loss = train(step, steps)
        return (time.perf_counter() - begin) / steps, loss

    timed(20)
    seconds, _ = timed(50)
    print("ready torch_ddp gloo", flush=True)
    for number, line in enumerate(sys.stdin):
        words = line.split()
        if not words or words[0] != "go":
            break
        _, first = timed(1)
        seconds, last = timed(max(1, round(float(words[1]) / seconds)))
        print(f"{case.name} {size} {number} {seconds * 1e6:.3f} {first:.4f} {last:.4f}", flush=True)
    agree(0)


def main():
    size = int(sys.argv[2])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = torch.multiprocessing.get_context("spawn")
    others = [
        context.Process(target=work, args=(rank, size, port), daemon=True)
        for rank in range(1, size)
    ]
    for other in others:
        other.start()
    work(0, size, port)
    for other in others:
        other.join()


if __name__ == "__main__":
    main()

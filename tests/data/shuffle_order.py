#!/usr/bin/env python3
"""The orders of ShuffleTest.TheOrderIsTheSameOnEveryMachineAndVersion, from the definition alone."""

M = (1 << 64) - 1


def mix(x):
    x = (x + 0x9E3779B97F4A7C15) & M
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & M
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & M
    return x ^ (x >> 31)


def shuffled(count, buffer_size, seed, epoch=0, own_seed=None, shuffles_before=0):
    key = mix(seed)
    if own_seed is not None:
        key = mix(key ^ mix(own_seed + 1))
    key = mix((key + shuffles_before) & M)
    key = mix(key ^ epoch)
    rows = iter(range(count))
    buffer = [row for _, row in zip(range(buffer_size), rows)]
    order = []
    while buffer:
        at = (mix(key ^ mix(len(order))) * len(buffer)) >> 64
        order.append(buffer[at])
        following = next(rows, None)
        if following is None:
            buffer[at] = buffer[-1]
            buffer.pop()
        else:
            buffer[at] = following
    return order


print(shuffled(8, 8, seed=42))
print(shuffled(8, 3, seed=42))
print(shuffled(8, 8, seed=42, epoch=3, own_seed=7))

"""PyTorch without a compiler."""

import torch
from torch import nn

import common


def set_up(threads):
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(1)


def model_of(case):
    if not case.layers:
        return nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )
    parts = []
    for n, m in zip(case.layers[:-2], case.layers[1:-1]):
        parts += [nn.Linear(n, m), nn.ReLU()]
        if case.dropout:
            parts.append(nn.Dropout(case.dropout))
    return nn.Sequential(*parts, nn.Linear(case.layers[-2], case.layers[-1]))


def optimizer_of(case, model, **kind):
    if case.optimizer == "sgd":
        return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, **kind)
    return torch.optim.Adam(model.parameters(), lr=1e-3, **kind)


def data_of(case):
    """The function that gives the next batch: images (NCHW where there are channels), labels."""
    x, y = (torch.from_numpy(a.copy()) for a in common.load(case))
    if not case.layers:
        x = x.reshape(-1, 1, 28, 28)
    if case.fixed_batch:
        return lambda: (x, y)
    batches = common.Batches(len(x), case.batch)

    def next_batch():
        index = torch.from_numpy(batches.next())
        return x.index_select(0, index), y.index_select(0, index)

    return next_batch


def variant(case, next_batch, channels_last=False, **kind):
    model = model_of(case)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = optimizer_of(case, model, **kind)
    cross_entropy = nn.CrossEntropyLoss()

    def advance():
        x, y = next_batch()
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return 1, loss.detach()

    return advance


def make_variants(case, threads):
    set_up(threads)
    next_batch = data_of(case)
    kinds = {"fused": dict(fused=True), "foreach": dict(foreach=True)}
    variants = {name: variant(case, next_batch, **kind) for name, kind in kinds.items()}
    if not case.layers:
        variants["channels_last"] = variant(case, next_batch, channels_last=True, fused=True)
    return variants


if __name__ == "__main__":
    common.serve("torch_eager", make_variants)

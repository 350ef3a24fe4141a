"""PyTorch with torch.compile (inductor)."""

import os

os.environ.setdefault("TORCHINDUCTOR_CPP_WRAPPER", "1")

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

import common  # noqa: E402
import torch_eager  # noqa: E402


def parts_variant(case, next_batch, **options):
    """The loss compiled with its backward; the optimizer's step compiled by itself."""
    model = torch_eager.model_of(case)
    optimizer = torch_eager.optimizer_of(case, model, foreach=True)
    loss_of = torch.compile(lambda x, y: F.cross_entropy(model(x), y), **options)
    update = torch.compile(optimizer.step, **options)

    def advance():
        x, y = next_batch()
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(x, y)
        loss.backward()
        update()
        return 1, loss.detach()

    return advance


def fused_variant(case, next_batch, channels_last=False, **options):
    """As parts_variant, with PyTorch's own fused optimizer kernel."""
    model = torch_eager.model_of(case)
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
    optimizer = torch_eager.optimizer_of(case, model, fused=True)
    loss_of = torch.compile(lambda x, y: F.cross_entropy(model(x), y), **options)

    def advance():
        x, y = next_batch()
        if channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(x, y)
        loss.backward()
        optimizer.step()
        return 1, loss.detach()

    return advance


def whole_variant(case, next_batch, **options):
    """Forward, backward and update as one graph over plain tensors, updated in place."""
    model = torch_eager.model_of(case)
    names = [n for n, _ in model.named_parameters()]
    weights = [p.detach().clone() for p in model.parameters()]
    slots = [torch.zeros_like(w) for w in weights * (2 if case.optimizer == "adam" else 1)]
    step = torch.zeros(())

    def loss_of(weights, x, y):
        return F.cross_entropy(
            torch.func.functional_call(model, dict(zip(names, weights)), (x,)), y
        )

    def train(weights, slots, step, x, y):
        gradients, loss = torch.func.grad_and_value(loss_of)(weights, x, y)
        step.add_(1)
        if case.optimizer == "sgd":
            for w, v, g in zip(weights, slots, gradients):
                v.mul_(0.9).add_(g)
                w.sub_(v, alpha=0.01)
            return loss
        rate = 1e-3 * torch.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        for w, m, v, g in zip(weights, slots, slots[len(weights) :], gradients):
            m.lerp_(g, 0.1)
            v.lerp_(g * g, 0.001)
            w.sub_(rate * m / (v.sqrt() + 1e-8))
        return loss

    compiled = torch.compile(train, fullgraph=True, **options)

    def advance():
        x, y = next_batch()
        with torch.no_grad():
            return 1, compiled(weights, slots, step, x, y)

    return advance


def make_variants(case, threads):
    torch_eager.set_up(threads)
    next_batch = torch_eager.data_of(case)
    variants = {"whole_step": whole_variant(case, next_batch)}
    if case.layers:
        variants["parts"] = parts_variant(case, next_batch)
    else:
        variants["fused_optimizer"] = fused_variant(case, next_batch)
        variants["channels_last"] = fused_variant(case, next_batch, channels_last=True)
    return variants


if __name__ == "__main__":
    common.serve("torch_compile", make_variants)

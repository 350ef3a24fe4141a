"""Trains a model of the accuracy comparison with PyTorch: MODEL BATCH EPOCHS SEED.

Adam with its defaults, PyTorch's initial weights, reshuffled each epoch, uneven last batch included.
The last line is `test accuracy: 0.8735`.
"""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "benchmarks" / "peers"))
import common  # noqa: E402
import torch  # noqa: E402
import torch_eager  # noqa: E402


def main():
    model_name, batch, epochs, seed = sys.argv[1], *map(int, sys.argv[2:5])
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", torch.get_num_threads())))
    torch.set_flush_denormal(True)
    torch.manual_seed(seed)
    case = common.CASES["mlp_b32" if model_name == "mlp" else "cnn_b64"]
    data = [torch.from_numpy(a.copy()) for s in ("train", "t10k") for a in common.load(case, s)]
    x, y, x_test, y_test = data
    if not case.layers:
        x, x_test = (images.reshape(-1, 1, 28, 28) for images in (x, x_test))
    model = torch_eager.model_of(case)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    loss_of = torch.nn.CrossEntropyLoss()
    for epoch in range(epochs):
        model.train()
        for index in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            loss = loss_of(model(x[index]), y[index])
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: last loss {loss.item():.4f}", flush=True)
    model.eval()
    with torch.no_grad():
        right = sum(
            (model(images).argmax(1) == labels).sum().item()
            for images, labels in zip(x_test.split(1000), y_test.split(1000))
        )
    print(f"test accuracy: {right / len(x_test):.4f}")


if __name__ == "__main__":
    main()

"""Trains a small convolutional net on scikit-learn's handwritten digits, and writes what the example reads.

    pip install torch onnx onnxscript scikit-learn
    python train.py [FOLDER]

FOLDER, or this one, gets `digits-torchscript.onnx` and `digits-dynamo.onnx`, the same net by both of PyTorch's exporters, each with a
symbolic batch size, and `test.npz`: the images of the test split, their labels, and PyTorch's own logits for them.

The split is that of scikit-learn's example "Recognizing hand-written digits": the first half trains, the second half, by other writers,
tests. Seeds are fixed; other versions of PyTorch or another CPU may still round otherwise and end at other weights.
"""

import pathlib
import sys

import numpy as np
import onnx
import torch
from sklearn.datasets import load_digits
from torch import nn

SEED = 7
EPOCHS = 60
BATCH = 64


def net():
    """About 50 thousand weights, most of them in two 5x5 convolutions."""

    def block(inputs, outputs, kernel):
        conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        return [conv, nn.BatchNorm2d(outputs), nn.ReLU()]

    return nn.Sequential(
        *block(1, 24, 3),
        *block(24, 32, 5),
        nn.MaxPool2d(2),
        *block(32, 32, 5),
        nn.AvgPool2d(4),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


def split():
    """Images `[N, 1, 8, 8]` from 0 to 1 and their labels: those to train with, and those to test with."""
    digits = load_digits()
    images = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None]
    labels = torch.tensor(digits.target)
    half = len(labels) // 2
    return (images[:half], labels[:half]), (images[half:], labels[half:])


def shifted(images):
    """Each image moved by at most a pixel along each axis; zeros come in."""
    padded = nn.functional.pad(images, [1, 1, 1, 1])
    down, across = torch.randint(0, 3, [2, len(images)])
    return torch.stack([image[:, r : r + 8, c : c + 8] for image, r, c in zip(padded, down, across)])


def train(model, images, labels):
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    steps = EPOCHS * ((len(labels) + BATCH - 1) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=steps)
    model.train()
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in torch.randperm(len(labels)).split(BATCH):
            loss = nn.functional.cross_entropy(model(shifted(images[batch])), labels[batch], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        print(f"epoch {epoch + 1}: loss {total / len(labels):.4f}", flush=True)
    model.eval()


def export(model, folder):
    """Writes the net by both exporters. The symbolic size is named `batch`."""
    example = torch.zeros(2, 1, 8, 8)
    names = {"input_names": ["image"], "output_names": ["logits"]}
    axes = {"image": {0: "batch"}, "logits": {0: "batch"}}
    classic = folder / "digits-torchscript.onnx"
    # The classic exporter keeps batch norms as nodes if it is told to; the other one folds them into the convolutions.
    keep = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False}
    torch.onnx.export(model, (example,), classic, dynamo=False, dynamic_axes=axes, **keep, **names)
    shapes = ({0: torch.export.Dim("batch")},)
    dynamo = folder / "digits-dynamo.onnx"
    torch.onnx.export(model, (example,), dynamo, dynamo=True, dynamic_shapes=shapes, external_data=False, **names)
    without_metadata(dynamo)


def without_metadata(path):
    """Removes what the exporter notes beside nodes: where in which file of this machine's Python each one began."""
    model = onnx.load(path)
    for node in model.graph.node:
        del node.metadata_props[:]
    for value in [*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer]:
        del value.metadata_props[:]
    onnx.save(model, path)


def main():
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parent
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    (images, labels), (test_images, test_labels) = split()
    model = net()
    print(sum(p.numel() for p in model.parameters()), "parameters")
    train(model, images, labels)
    with torch.no_grad():
        logits = model(test_images)
    right = (logits.argmax(1) == test_labels).sum().item()
    print(f"test: {right} of {len(test_labels)} right, {100 * right / len(test_labels):.2f}%")
    export(model, folder)
    np.savez_compressed(
        folder / "test.npz",
        images=test_images.numpy(),
        labels=test_labels.numpy().astype(np.uint8),
        logits=logits.numpy(),
    )


if __name__ == "__main__":
    main()

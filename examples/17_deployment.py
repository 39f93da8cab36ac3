"""Deployment: a network that reads digits becomes an ONNX file, and smaller copies of it: in 8 bits, and pruned.

onnxruntime runs the file, for any batch, to the same numbers. The 8-bit copy keeps every weight as a whole number from -127 to
127 and a factor for each output channel; as ONNX it stores just these, and a DequantizeLinear node multiplies them when it is
loaded. The pruned copy sets the smallest weights to 0 and trains the rest a little more: zeros compress well (Han et al.,
"Deep compression", 2016).

Run it: python examples/17_deployment.py   (needs the extras `demo` and `onnx`)
"""

import argparse
import copy
import gzip
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

import chainrule as cr
from chainrule import functional as F
from chainrule import layers, optim
from chainrule.data import DataLoader, digits


def build():
    """Images (N, 1, 8, 8) -> logits (N, 10)."""
    return layers.Sequential(
        layers.Conv2d(1, 16, 3, padding=1), layers.BatchNorm2d(16), layers.ReLU(), layers.MaxPool2d(2),   # -> (N, 16, 4, 4)
        layers.Conv2d(16, 32, 3, padding=1), layers.BatchNorm2d(32), layers.ReLU(), layers.MaxPool2d(2),  # -> (N, 32, 2, 2)
        layers.Flatten(),
        layers.Linear(128, 64), layers.ReLU(), layers.Dropout(0.2),
        layers.Linear(64, 10))


def train(model, data, epochs, rate, masks=None):
    """Adam with a cosine schedule. `masks`: by parameter, where it may differ from 0."""
    loader = DataLoader(data, batch_size=32, shuffle=True)
    optimizer = optim.Adam(model.parameters(), lr=rate)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    model.train()
    for _ in range(epochs):
        for images, labels in loader:
            optimizer.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()
            schedule.step()
            for parameter, mask in (masks or {}).items():
                parameter.data *= mask
    return model.eval()


def weights_of(model):
    """The matrices and kernels, by name: what takes the space. Biases and batch norm stay as they are."""
    return {name: p for name, p in model.named_parameters() if p.ndim > 1}


def quantise(weight):
    """A weight (out, ...) as int8 and the factor of each output channel (out,): weight ≈ factor · int8, 0 staying 0."""
    rows = weight.reshape(len(weight), -1)
    factor = np.maximum(np.abs(rows).max(axis=1), 1e-12) / 127
    whole = np.round(rows / factor[:, None]).astype(np.int8)
    return whole.reshape(weight.shape), factor.astype(weight.dtype)


def prune(model, share):
    """Set the smallest weights, this share of all, to 0; returns where the others are."""
    weights = weights_of(model).values()
    threshold = np.quantile(np.abs(np.concatenate([w.data.reshape(-1) for w in weights])), share)
    masks = {w: np.abs(w.data) > threshold for w in weights}
    for weight, mask in masks.items():
        weight.data *= mask
    return masks


def quantised_file(written, weights):
    """An ONNX model that stores these weights in 8 bits: a DequantizeLinear node makes each of them."""
    small = onnx.ModelProto()
    small.CopyFrom(written)
    graph = small.graph
    for place, tensor in enumerate([t for t in graph.initializer if t.name in weights]):
        whole, factor = quantise(onnx.numpy_helper.to_array(tensor))
        name = tensor.name
        graph.initializer.remove(tensor)
        graph.initializer.extend([onnx.numpy_helper.from_array(whole, f"{name}.int8"),
                                  onnx.numpy_helper.from_array(factor, f"{name}.factor")])
        graph.node.insert(place, onnx.helper.make_node("DequantizeLinear", [f"{name}.int8", f"{name}.factor"], [name], axis=0))
    onnx.checker.check_model(small, full_check=True)
    return small


def run(path, images):
    """What onnxruntime computes of a file."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: images.numpy()})[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a smoke test: a few epochs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="where to train: cpu, cuda, cuda:1")
    parser.add_argument("--out", type=Path, default=Path("out"), help="the folder for the files")
    arguments = parser.parse_args()
    cr.set_default_device(arguments.device)
    epochs, again = (2, 1) if arguments.quick else (30, 10)
    arguments.out.mkdir(parents=True, exist_ok=True)

    start = time.perf_counter()
    cr.manual_seed(arguments.seed)
    training, _ = digits(shifted=True)
    model = train(build(), training, epochs, 3e-3).cpu()  # the files are made and tried on the CPU
    cr.set_default_device("cpu")
    images, labels = digits()[1].tensors
    print(model)

    files = {name: arguments.out / f"17_{name}.onnx" for name in ("model", "8-bit", "pruned")}
    written = cr.onnx.export(model, images[:2], files["model"])
    print("operators:", ", ".join(node.op_type for node in written.graph.node))
    with cr.no_grad():
        ours = model(images).numpy()
    difference = np.abs(run(files["model"], images) - ours).max()
    print(f"{len(images)} images: onnxruntime differs from chainrule by at most {difference:.1e} "
          f"in logits up to {np.abs(ours).max():.0f}")
    assert difference < 1e-3

    onnx.save(quantised_file(written, weights_of(model)), files["8-bit"])

    pruned = copy.deepcopy(model)
    masks = prune(pruned, 0.8)
    train(pruned, training, again, 1e-3, masks)
    kept = sum(int(mask.sum()) for mask in masks.values()) / sum(mask.size for mask in masks.values())
    cr.onnx.export(pruned, images[:2], files["pruned"])

    print(f"\n{'':22} {'held out':>9} {'file':>10} {'compressed':>12}")
    for title, name in (("32-bit", "model"), ("8-bit", "8-bit"), (f"{kept:.0%} of the weights", "pruned")):
        right = (run(files[name], images).argmax(1) == labels.numpy()).mean()
        content = files[name].read_bytes()
        print(f"{title:22} {right:9.2%} {len(content) / 1024:6.1f} KiB {len(gzip.compress(content)) / 1024:8.1f} KiB")
    print(f"\nin {time.perf_counter() - start:.1f} s; the files are {', '.join(map(str, files.values()))}")


if __name__ == "__main__":
    main()

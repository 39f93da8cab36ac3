"""The demo: what it prints and writes, and that the same seed gives the same bits."""

import argparse
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.__main__ import main

for library in ("sklearn", "matplotlib", "tqdm"):
    pytest.importorskip(library)

PNG = b"\x89PNG\r\n\x1a\n"


def test_demo_writes_its_files_and_repeats_bit_by_bit(tmp_path, capsys):
    from matplotlib import image

    for out in ("a", "b", "c"):
        words = ["demo", "--model", "mlp", "--epochs", "1", "--out", str(tmp_path / out), "--seed",
                 str(int(out == "c"))]
        assert main(words) == 0
    text, err = capsys.readouterr()
    assert "1,797 handwritten digits of 8 x 8 pixels: 1,438 to learn from, 359 held out" in text
    assert "epoch 1/1   loss " in text and "held-out digits read right" in text and "What to try next:" in text
    assert "\r" not in text + err, "a progress bar was drawn although this is no terminal"
    for name in ("learning-curve.png", "predictions.png"):
        assert (tmp_path / "a" / name).read_bytes().startswith(PNG)
        pixels = image.imread(tmp_path / "a" / name)
        assert min(pixels.shape[:2]) > 300 and pixels[..., :3].std() > 0.05
    weights = [cr.load_file(tmp_path / out / "mlp.safetensors") for out in ("a", "b", "c")]
    assert sorted(weights[0]) == ["1.bias", "1.weight", "4.bias", "4.weight", "6.bias", "6.weight"]
    same = [all(np.array_equal(weights[0][n].data, other[n].data) for n in weights[0]) for other in weights[1:]]
    assert same == [True, False]
    assert (tmp_path / "a/mlp.safetensors").read_bytes() == (tmp_path / "b/mlp.safetensors").read_bytes()
    from chainrule.demo import build, probabilities

    model = build("mlp")
    model.load_state_dict(weights[0])
    _, held = cr.data.digits()
    right = (probabilities(model, held).argmax(1) == held.tensors[1].data).sum()
    assert f"{right} of 359 held-out digits read right" in text and right > 180


def test_sheet_with_nothing_wrong_and_with_much_wrong(tmp_path):
    from chainrule.demo import draw_curve, draw_digits

    images, labels = np.zeros((60, 1, 8, 8), np.float32), np.arange(60) % 10
    belief = np.eye(10)[labels]
    draw_digits(tmp_path / "right.png", images, labels, belief)
    draw_digits(tmp_path / "wrong.png", images, (labels + 1) % 10, belief)
    draw_curve(tmp_path / "curve.png", [2.0, 1.0], [0.5])
    assert all((tmp_path / f"{name}.png").read_bytes().startswith(PNG) for name in ("right", "wrong", "curve"))


def test_main_returns_0_and_progress_is_drawn_on_a_terminal(tmp_path, monkeypatch):
    from io import StringIO

    from chainrule.demo import main as demo

    class Terminal(StringIO):
        def isatty(self):
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert demo(argparse.Namespace(model="mlp", epochs=1, out=str(tmp_path / "deep" / "er"), seed=0)) == 0
    assert "step/s" in terminal.getvalue() and (tmp_path / "deep" / "er" / "mlp.safetensors").exists()

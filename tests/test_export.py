"""ONNX: the graphs give what PyTorch gives, at any size, and 8 bits lose little."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from impasto.cli import main
from impasto.fast.export import PICTURE, STYLE, Coding, Painting, quantize_kernels
from impasto.fast.files import read_painter
from impasto.fast.style_code import NUMBERS

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SIZES = [(45, 51), (64, 72), (33, 100)]


def session(graph):
    source = graph if isinstance(graph, bytes) else str(graph)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def pictures(height, width):
    generator = torch.Generator().manual_seed(height)
    return [torch.rand(1, 3, height, width, generator=generator) for _ in range(2)]


def test_the_graphs_give_what_pytorch_gives_at_any_size(exported):
    network, folder = exported
    painter, _ = read_painter(network)
    coding, painting = Coding(painter.book).eval(), Painting(painter).eval()
    style, picture = session(folder / STYLE), session(folder / PICTURE)
    for height, width in SIZES:
        photo, model = pictures(height, width)
        with torch.no_grad():
            code = coding(model)
            expected = painting(photo, code)
        (found,) = style.run(None, {"painting": model.numpy()})
        np.testing.assert_allclose(found, code.numpy(), atol=1e-3, rtol=1e-4)
        (made,) = picture.run(None, {"photo": photo.numpy(), "code": found})
        np.testing.assert_allclose(made, expected.numpy(), atol=1e-3, rtol=0)
        assert made.shape == photo.shape


def test_eight_bits_are_a_third_of_the_size_and_nearly_the_same_picture(exported):
    _, folder = exported
    photo, _ = pictures(*SIZES[0])
    code = np.zeros((1, NUMBERS), np.float32)
    code[:, -12:] = [0.5] * 3 + [0.3] * 9  # of the coarsest level, whose grade has a mean
    made = []
    for small in (False, True):
        model = onnx.load(folder / PICTURE)
        if small:
            quantize_kernels(model)
            onnx.checker.check_model(model)
        data = model.SerializeToString()
        made.append(session(data).run(None, {"photo": photo.numpy(), "code": code})[0])
    assert 3 * len(data) < (folder / PICTURE).stat().st_size
    assert 0 < np.abs(made[0] - made[1]).mean() < 0.01


def test_existing_graphs_are_kept_without_force(exported, capsys):
    network, folder = exported
    assert main(["export", str(network), "-o", str(folder)]) == 2
    assert STYLE in capsys.readouterr().err
    assert main(["export", "gone.safetensors"]) == 2

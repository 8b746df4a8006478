"""Export the network to ONNX: a graph from a painting to its code, and one from photo and code.

Both take pictures with at least 16 px per side. The caller blends codes and sets strengths between
them: ``(1 - strength) * code(photo) + strength * code(painting)``. The caller also chooses the
sizes: impasto computes codes at 384 x 384 px with grades at the size of the result, and paints at
1024 x 1024 px at most, with a little grain.
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

from impasto.encoders.vgg import VggEncoder
from impasto.encoders.weights import load_parameters
from impasto.errors import InputError
from impasto.image.files.atomic import make_folder
from impasto.image.files.result_file import ResultFile
from impasto.network.painter.model import Painter
from impasto.network.painter.style_code import LAYERS, NUMBERS, CodeBook

STYLE, PICTURE = "style.onnx", "stylize.onnx"
OPSET = 18
SMALLEST_QUANTIZED = 1024
"""Numbers in the smallest kernel that is stored with 8 bits."""
Quantize = Literal["none", "int8"]


class CodeGraph(nn.Module):
    """Computes the code [1, NUMBERS] of a painting [1, 3, H, W] in [0, 1]."""

    def __init__(self, book: CodeBook, vgg: Path | None = None) -> None:
        super().__init__()
        self.book = book
        self.encoder = VggEncoder(load_parameters("vgg19", vgg), LAYERS, plain=True)

    def forward(self, painting: Tensor) -> Tensor:
        return self.book.encode(self.book.measure_moments(painting, self.encoder(painting)))


class PaintingGraph(nn.Module):
    """Paints a photo [1, 3, H, W] in [0, 1] with a code [1, NUMBERS]; the result is in [0, 1]."""

    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self.painter = painter

    def forward(self, photo: Tensor, code: Tensor) -> Tensor:
        output: Tensor = self.painter(photo, self.painter.modulate(code[:, None]))
        return output.clamp(0, 1)


def export_graphs(
    painter: Painter,
    folder: Path,
    *,
    quantize: Quantize = "none",
    vgg: Path | None = None,
    overwrite: bool = True,
    say: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Write both graphs.

    Args:
        painter: the network.
        folder: created if it does not exist; for ``style.onnx`` and ``stylize.onnx``.
        quantize: ``int8`` stores kernels with 8 bits and one scale per channel, at a quarter of the
            size; the arithmetic stays in float32.
        vgg: weights of VGG-19. None: the first source that is present.
        overwrite: replace existing files.
        say: called with one line before the part that takes minutes, and if an existing file is
            kept and a graph has another name.

    Returns:
        The two files.

    Raises:
        InputError: the packages for ONNX are not installed.
        ResourceError: the folder cannot be written.
    """
    example = torch.rand(1, 3, 45, 51, generator=torch.Generator().manual_seed(0))
    code = torch.zeros(1, NUMBERS)
    coding = CodeGraph(painter.book, vgg).eval()
    graphs = (
        (STYLE, coding, {"painting": example}, "code"),
        (PICTURE, PaintingGraph(painter).eval(), {"photo": example, "code": code}, "picture"),
    )
    make_folder(folder)
    say("tracing the network, which takes a few minutes on a CPU")
    files = {}
    for name, module, inputs, output in graphs:
        graph = _build_graph(module, inputs, output)
        if quantize == "int8":
            quantize_kernels(graph)
        files[folder / name] = graph.SerializeToString()
    return [  # both at the end, so that a failed trace leaves none
        ResultFile(path, overwrite=overwrite, notice=say, what="the graph").write_bytes(graph)
        for path, graph in files.items()
    ]


def _build_graph(module: nn.Module, inputs: dict[str, Tensor], output: str) -> Any:
    """Build the ONNX model of a module for pictures of any size."""
    size = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    shapes = {name: size if value.dim() == 4 else None for name, value in inputs.items()}
    try:
        with _silence_exporter():
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
        raise InputError(
            f"requires an extra package ({error.name}): pip install 'impasto[onnx]'", what="export"
        ) from None
    assert program is not None
    model = program.model_proto
    for node in model.graph.node:  # source locations, a tenth of the file
        del node.metadata_props[:]
    return model


@contextmanager
def _silence_exporter() -> Iterator[None]:
    """Hide the exporter's warnings about packages that are not needed."""
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
    """Quantize the large weights of a graph to 8 bits, in place.

    Quantization is symmetric, with one scale per output channel of a convolution or row of a
    matrix. A DequantizeLinear node converts the weights back to floats.

    Args:
        model: an ``onnx.ModelProto``.
    """
    import onnx
    from onnx import numpy_helper

    graph, nodes = model.graph, []
    initializers = []
    for weights in graph.initializer:
        values = numpy_helper.to_array(weights)
        if values.dtype != np.float32 or values.ndim < 2 or values.size < SMALLEST_QUANTIZED:
            initializers.append(weights)
            continue
        others = tuple(range(1, values.ndim))
        scale = np.maximum(np.abs(values).max(axis=others), 1e-12).astype(np.float32) / 127
        levels = np.rint(values / scale.reshape(-1, *(1,) * len(others))).astype(np.int8)
        name = weights.name
        # Without an explicit zero point, onnxruntime assumes unsigned weights if it moves the node.
        zero = np.zeros(scale.shape, np.int8)
        parts = {f"{name}_levels": levels, f"{name}_scale": scale, f"{name}_zero": zero}
        initializers += [numpy_helper.from_array(value, part) for part, value in parts.items()]
        nodes.append(onnx.helper.make_node("DequantizeLinear", list(parts), [name], axis=0))
    del graph.initializer[:]
    graph.initializer.extend(initializers)
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])

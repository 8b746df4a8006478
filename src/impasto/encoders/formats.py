"""VGG weight files: Keras .h5, torchvision .pth, MatConvNet .mat, and our own .safetensors.

Reading executes nothing that a file contains. Which network it is follows from the file itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from impasto.encoders.layers import BLOCK_DEPTHS, Convolution, Network, convolutions
from impasto.encoders.parameters import (
    Parameters,
    caffe_convention,
    checked,
    torchvision_convention,
)
from impasto.errors import WeightsError
from impasto.image.files.atomic import replace_atomically

Layers = dict[str, tuple[Tensor, Tensor]]
UNSTATED = "not stated in the file"


def read_parameters(path: Path) -> Parameters:
    """Parameters from any of the formats, chosen by the file's extension.

    Raises:
        WeightsError: unknown extension, not such a file, wrong shapes or layers.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise WeightsError(
            f"{path}: weights are read from {', '.join(sorted(_READERS))}, by extension"
        )
    if not path.is_file():
        raise WeightsError(f"no weights file {path}")
    with _complaining(path):
        return reader(path)


def write_parameters(parameters: Parameters, path: Path) -> None:
    """Write parameters in the format of the path's extension, through a temporary file.

    Keras and MatConvNet files mean the Caffe convention and torchvision's mean their own; the
    first layer is rescaled where they differ. Their mean colors differ too, by half a level, which
    the first bias absorbs everywhere but at the zero-padded border of the picture. .safetensors
    keeps everything exactly.

    Raises:
        WeightsError: unknown extension.
        ResourceError: the folder cannot be written.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise WeightsError(f"{path}: weights are written as {', '.join(sorted(_WRITERS))}")
    with replace_atomically(path) as temporary:
        writer(parameters, temporary)


@contextmanager
def _complaining(path: Path) -> Iterator[None]:
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:  # each library raises its own types for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise WeightsError(
            f"{path} cannot be read as {path.suffix} VGG weights: {reason}"
        ) from None


def _network_with(layers: Layers, path: Path) -> Network:
    for network in BLOCK_DEPTHS:
        if set(layers) == {layer.name for layer in convolutions(network)}:
            return network
    raise WeightsError(f"{path}: {len(layers)} convolution layers; VGG-16 has 13 and VGG-19 has 16")


def _assembled(
    layers: Layers,
    path: Path,
    convention: tuple[Literal["rgb", "bgr"], Tensor, Tensor],
    license_name: str = UNSTATED,
) -> Parameters:
    network = _network_with(layers, path)
    return Parameters(
        network, checked(layers, network, str(path)), *convention, str(path), license_name
    )


def _from_hwio(kernel: Any) -> Tensor:
    array = np.asarray(kernel, dtype=np.float32)
    if array.ndim != 4:
        raise WeightsError(f"a kernel has shape {array.shape}, expected 3 x 3 x inputs x outputs")
    return torch.from_numpy(np.ascontiguousarray(array.transpose(3, 2, 0, 1)))


def _read_keras(path: Path) -> Parameters:
    """Groups named like ``block1_conv1``, one 4-D and one 1-D dataset somewhere below each."""
    import h5py

    layers: Layers = {}
    with h5py.File(path, "r") as file:

        def visit(name: str, item: Any) -> None:
            group = next((p for p in name.split("/") if p.startswith("block")), None)
            if group is None or "_conv" not in group or not isinstance(item, h5py.Dataset):
                return
            block, index = group.removeprefix("block").split("_conv")
            layer = f"relu{block}_{index}"
            weight, bias = layers.get(layer, (torch.empty(0), torch.empty(0)))
            if item.ndim == 4:
                weight = _from_hwio(item[()])
            else:
                bias = torch.from_numpy(np.asarray(item[()], dtype=np.float32))
            layers[layer] = (weight, bias)

        file.visititems(visit)
    return _assembled(layers, path, caffe_convention())


def _read_torchvision(path: Path) -> Parameters:
    """``features.N.weight`` and ``.bias``, N counting ReLUs and pools; no classifier."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise WeightsError(f"{path}: a dictionary of tensors expected")
    numbers = sorted(
        int(key.split(".")[1])
        for key, value in state.items()
        if key.startswith("features.") and key.endswith(".weight") and value.ndim == 4
    )
    for network in BLOCK_DEPTHS:
        names = convolutions(network)
        if len(names) == len(numbers):
            layers = {
                layer.name: (state[f"features.{n}.weight"], state[f"features.{n}.bias"])
                for layer, n in zip(names, numbers, strict=True)
            }
            return _assembled(layers, path, torchvision_convention())
    raise WeightsError(
        f"{path}: {len(numbers)} convolution layers; VGG-16 has 13 and VGG-19 has 16"
    )


def _read_matconvnet(path: Path) -> Parameters:
    """A cell array of layers with names ``convB_I`` and HWIO kernels for RGB in 8-bit levels."""
    from scipy.io import loadmat

    file = loadmat(path, squeeze_me=True, struct_as_record=False)
    layers: Layers = {}
    for layer in file["layers"]:
        name = str(layer.name)
        if not name.startswith("conv"):
            continue
        kernel, bias = layer.weights if hasattr(layer, "weights") else (layer.filters, layer.biases)
        bias = torch.from_numpy(np.asarray(bias, dtype=np.float32).reshape(-1))
        layers["relu" + name.removeprefix("conv")] = (_from_hwio(kernel), bias)
    mean = torch.tensor(_mean_rgb(file), dtype=torch.float32)
    return _assembled(layers, path, ("rgb", torch.full((3,), 255.0), mean))


def _mean_rgb(file: dict[str, Any]) -> list[float]:
    """The mean color; older files keep a 224 x 224 x 3 image of it, newer ones three numbers."""
    meta = file.get("meta")
    normalization = getattr(meta, "normalization", None) or file.get("normalization")
    if normalization is None:
        raise WeightsError("no normalization.averageImage: the mean color is unknown")
    mean = np.asarray(normalization.averageImage, dtype=np.float64)
    return [float(value) for value in mean.reshape(-1, 3).mean(axis=0)]


def _read_safetensors(path: Path) -> Parameters:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        about = json.loads((file.metadata() or {}).get("impasto", "null"))
        if about is None:
            raise WeightsError(f"{path}: no impasto metadata; not one of our weight files")
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 -- no iterator
    layers = {
        key.removesuffix(".weight"): (tensors[key], tensors[key.removesuffix("weight") + "bias"])
        for key in tensors
        if key.endswith(".weight")
    }
    return Parameters(
        _network_with(layers, path),
        checked(layers, about["network"], str(path)),
        about["channel_order"],
        tensors["gain"],
        tensors["offset"],
        about["origin"],
        about["licence"],
    )


def _write_safetensors(parameters: Parameters, path: Path) -> None:
    from safetensors.torch import save

    tensors = {"gain": parameters.gain, "offset": parameters.offset}
    for name, (weight, bias) in parameters.layers.items():
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = weight, bias
    about = {
        "network": parameters.network,
        "channel_order": parameters.channel_order,
        "origin": parameters.origin,
        "licence": parameters.license,
    }
    path.write_bytes(save(tensors, {"impasto": json.dumps(about)}))


def _in_convention(
    parameters: Parameters, order: Literal["rgb", "bgr"], gain: Tensor, offset: Tensor
) -> list[tuple[Convolution, Tensor, Tensor]]:
    """Layers in network order, the first one's input channels reordered, rescaled and shifted."""
    result: list[tuple[Convolution, Tensor, Tensor]] = []
    for layer in convolutions(parameters.network):
        weight, bias = parameters.layers[layer.name]
        if not result:
            scale, shift = parameters.gain, parameters.offset
            if order != parameters.channel_order:
                weight, scale, shift = weight.flip(1), scale.flip(0), shift.flip(0)
            bias = bias + weight.sum((2, 3)) @ (offset * scale / gain - shift)
            weight = weight * (scale / gain).view(1, 3, 1, 1)
        result.append((layer, weight, bias))
    return result


def _write_keras(parameters: Parameters, path: Path) -> None:
    import h5py

    convention = caffe_convention()
    with h5py.File(path, "w") as file:
        for layer, weight, bias in _in_convention(parameters, *convention):
            group = file.create_group(f"block{layer.block}_conv{layer.index}")
            group.create_dataset("kernel:0", data=weight.permute(2, 3, 1, 0).numpy())
            group.create_dataset("bias:0", data=bias.numpy())


def _write_torchvision(parameters: Parameters, path: Path) -> None:
    converted = _in_convention(parameters, *torchvision_convention())
    state = {}
    for position, (layer, weight, bias) in enumerate(converted):
        number = 2 * position + layer.block - 1
        state[f"features.{number}.weight"] = weight.contiguous()
        state[f"features.{number}.bias"] = bias.contiguous()
    with path.open("wb") as file:  # given a name, torch asks for one that it likes
        torch.save(state, file)


def _write_matconvnet(parameters: Parameters, path: Path) -> None:
    from scipy.io import savemat

    _, gain, mean = caffe_convention()
    written = _in_convention(parameters, "rgb", gain, mean.flip(0))
    cells = np.empty(len(written), dtype=object)
    for position, (layer, weight, bias) in enumerate(written):
        weights = np.empty(2, dtype=object)
        weights[0], weights[1] = weight.permute(2, 3, 1, 0).numpy(), bias.numpy()
        cells[position] = {"name": f"conv{layer.block}_{layer.index}", "weights": weights}
    average = mean.flip(0).numpy()
    contents = {"layers": cells, "meta": {"normalization": {"averageImage": average}}}
    savemat(path, contents, appendmat=False)


_READERS: dict[str, Callable[[Path], Parameters]] = {
    ".h5": _read_keras,
    ".pth": _read_torchvision,
    ".mat": _read_matconvnet,
    ".safetensors": _read_safetensors,
}
_WRITERS: dict[str, Callable[[Parameters, Path], None]] = {
    ".h5": _write_keras,
    ".pth": _write_torchvision,
    ".mat": _write_matconvnet,
    ".safetensors": _write_safetensors,
}

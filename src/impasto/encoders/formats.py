"""Read and write VGG weight files: Keras .h5, torchvision .pth, MatConvNet .mat, .safetensors.

Nothing inside a file is executed. The network is recognized by the layers in the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from impasto.encoders.layers import BLOCK_DEPTHS, Convolution, Network, list_convolutions
from impasto.encoders.mat_file import read_mat_file
from impasto.encoders.parameters import (
    CAFFE,
    TORCHVISION,
    InputConvention,
    Layers,
    VggParameters,
    check_shapes,
)
from impasto.errors import WeightsError
from impasto.image.files.atomic import replace_atomically

UNSTATED = "not stated in the file"


def read_parameters(path: Path) -> VggParameters:
    """Read parameters in the format of the file's extension.

    Raises:
        WeightsError: unknown extension, missing or damaged file, or wrong shapes or layers.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise WeightsError(
            f"unknown extension; weights are read from {', '.join(sorted(_READERS))}", where=path
        )
    if not path.is_file():
        raise WeightsError("no such weights file", where=path)
    with _convert_errors(path):
        return reader(path)


def write_parameters(parameters: VggParameters, path: Path, *, overwrite: bool = True) -> None:
    """Write parameters atomically in the format of the path's extension.

    Keras and MatConvNet files use Caffe's input convention, and torchvision files their own; the
    first layer is rescaled where the conventions differ. Their mean colors differ by half a level.
    The first bias compensates for it everywhere except at the zero-padded border of the picture.
    A .safetensors file keeps everything exactly.

    Raises:
        InputError: the file exists and must not be replaced.
        WeightsError: unknown extension.
        ResourceError: the file cannot be written.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise WeightsError(
            f"unknown extension; weights are written as {', '.join(sorted(_WRITERS))}", where=path
        )
    with replace_atomically(path, overwrite=overwrite) as temporary:
        writer(parameters, temporary)


@contextmanager
def _convert_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except WeightsError:
        raise
    except Exception as error:  # each library raises its own types for a damaged file
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise WeightsError(
            f"cannot be read as {path.suffix} weights of VGG ({reason})", where=path
        ) from None


def _recognize_network(layers: Layers, path: Path) -> Network:
    for network in BLOCK_DEPTHS:
        if set(layers) == {layer.name for layer in list_convolutions(network)}:
            return network
    raise _make_depth_error(len(layers), path)


def _make_depth_error(count: int, path: Path) -> WeightsError:
    depths = [f"{len(list_convolutions(network))} ({network})" for network in BLOCK_DEPTHS]
    return WeightsError(f"has {count} convolution layers", where=path, expected=" or ".join(depths))


def _assemble(layers: Layers, path: Path, convention: InputConvention) -> VggParameters:
    network = _recognize_network(layers, path)
    return VggParameters(
        network=network,
        layers=check_shapes(layers, network, str(path)),
        convention=convention,
        origin=str(path),
        license=UNSTATED,
    )


def _convert_hwio(kernel: Any) -> Tensor:
    """Convert a kernel [3, 3, I, O] to a tensor [O, I, 3, 3]."""
    array = np.asarray(kernel, dtype=np.float32)
    if array.ndim != 4:
        raise WeightsError(f"a kernel of shape {array.shape}", expected="3 x 3 x inputs x outputs")
    return torch.from_numpy(np.ascontiguousarray(array.transpose(3, 2, 0, 1)))


def _read_keras(path: Path) -> VggParameters:
    """Read groups named like ``block1_conv1`` that hold one 4-D and one 1-D dataset each."""
    import h5py

    layers: dict[str, tuple[Tensor, Tensor]] = {}
    with h5py.File(path, "r") as file:

        def visit(name: str, item: Any) -> None:
            group = next((p for p in name.split("/") if p.startswith("block")), None)
            if group is None or "_conv" not in group or not isinstance(item, h5py.Dataset):
                return
            block, index = group.removeprefix("block").split("_conv")
            layer = f"relu{block}_{index}"
            weight, bias = layers.get(layer, (torch.empty(0), torch.empty(0)))
            if item.ndim == 4:
                weight = _convert_hwio(item[()])
            else:
                bias = torch.from_numpy(np.asarray(item[()], dtype=np.float32))
            layers[layer] = (weight, bias)

        file.visititems(visit)
    return _assemble(layers, path, CAFFE)


def _read_torchvision(path: Path) -> VggParameters:
    """Read ``features.N.weight`` and ``.bias``, where N also counts ReLU and pooling layers."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict):
        raise WeightsError(where=path, expected="a dictionary of tensors")
    numbers = sorted(
        int(key.split(".")[1])
        for key, value in state.items()
        if key.startswith("features.") and key.endswith(".weight") and value.ndim == 4
    )
    for network in BLOCK_DEPTHS:
        names = list_convolutions(network)
        if len(names) == len(numbers):
            layers = {
                layer.name: (state[f"features.{n}.weight"], state[f"features.{n}.bias"])
                for layer, n in zip(names, numbers, strict=True)
            }
            return _assemble(layers, path, TORCHVISION)
    raise _make_depth_error(len(numbers), path)


def _read_matconvnet(path: Path) -> VggParameters:
    """Read a cell array of layers named ``convB_I`` with HWIO kernels for RGB in 8-bit levels."""
    file = read_mat_file(path.read_bytes())
    layers: dict[str, tuple[Tensor, Tensor]] = {}
    for layer in file["layers"]:
        name = str(layer["name"])
        if not name.startswith("conv"):
            continue
        kernel, bias = layer.get("weights") or (layer["filters"], layer["biases"])
        bias = torch.from_numpy(np.asarray(bias, dtype=np.float32).reshape(-1))
        layers["relu" + name.removeprefix("conv")] = (_convert_hwio(kernel), bias)
    mean = torch.tensor(_read_mean_color(file), dtype=torch.float32)
    return _assemble(layers, path, InputConvention("rgb", torch.full((3,), 255.0), mean))


def _read_mean_color(file: dict[str, Any]) -> list[float]:
    """Read the mean RGB color: an image of 224 x 224 px in old files, three numbers in new ones."""
    meta = file.get("meta") or {}
    normalization = meta.get("normalization") or file.get("normalization")
    if normalization is None:
        raise WeightsError("the mean color is missing", expected="normalization.averageImage")
    mean = np.asarray(normalization["averageImage"], dtype=np.float64)
    return [float(value) for value in mean.reshape(-1, 3).mean(axis=0)]


def _read_safetensors(path: Path) -> VggParameters:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        about = json.loads((file.metadata() or {}).get("impasto", "null"))
        if about is None:
            raise WeightsError("no impasto metadata; not written by impasto", where=path)
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 -- no iterator
    layers = {
        key.removesuffix(".weight"): (tensors[key], tensors[key.removesuffix("weight") + "bias"])
        for key in tensors
        if key.endswith(".weight")
    }
    return VggParameters(
        network=_recognize_network(layers, path),
        layers=check_shapes(layers, about["network"], str(path)),
        convention=InputConvention(about["channel_order"], tensors["gain"], tensors["offset"]),
        origin=about["origin"],
        license=about["licence"],  # the spelling of files written by 0.1
    )


def _write_safetensors(parameters: VggParameters, path: Path) -> None:
    from safetensors.torch import save

    convention = parameters.convention
    tensors = {"gain": convention.gain, "offset": convention.offset}
    for name, (weight, bias) in parameters.layers.items():
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = weight, bias
    about = {
        "network": parameters.network,
        "channel_order": convention.channel_order,
        "origin": parameters.origin,
        "licence": parameters.license,
    }
    path.write_bytes(save(tensors, {"impasto": json.dumps(about)}))


def _convert_convention(
    parameters: VggParameters, target: InputConvention
) -> list[tuple[Convolution, Tensor, Tensor]]:
    """List the layers in network order, with the first one adapted to another input convention."""
    source = parameters.convention
    result: list[tuple[Convolution, Tensor, Tensor]] = []
    for layer in list_convolutions(parameters.network):
        weight, bias = parameters.layers[layer.name]
        if not result:
            gain, offset = source.gain, source.offset
            if target.channel_order != source.channel_order:
                weight, gain, offset = weight.flip(1), gain.flip(0), offset.flip(0)
            bias = bias + weight.sum((2, 3)) @ (target.offset * gain / target.gain - offset)
            weight = weight * (gain / target.gain).view(1, 3, 1, 1)
        result.append((layer, weight, bias))
    return result


def _write_keras(parameters: VggParameters, path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for layer, weight, bias in _convert_convention(parameters, CAFFE):
            group = file.create_group(f"block{layer.block}_conv{layer.index}")
            group.create_dataset("kernel:0", data=weight.permute(2, 3, 1, 0).numpy())
            group.create_dataset("bias:0", data=bias.numpy())


def _write_torchvision(parameters: VggParameters, path: Path) -> None:
    state = {}
    for position, (layer, weight, bias) in enumerate(_convert_convention(parameters, TORCHVISION)):
        number = 2 * position + layer.block - 1
        state[f"features.{number}.weight"] = weight.contiguous()
        state[f"features.{number}.bias"] = bias.contiguous()
    with path.open("wb") as file:  # the temporary path's extension would make torch fail
        torch.save(state, file)


def _write_matconvnet(parameters: VggParameters, path: Path) -> None:
    from scipy.io import savemat

    mean_rgb = CAFFE.offset.flip(0)
    layers = _convert_convention(parameters, InputConvention("rgb", CAFFE.gain, mean_rgb))
    cells = np.empty(len(layers), dtype=object)
    for position, (layer, weight, bias) in enumerate(layers):
        weights = np.empty(2, dtype=object)
        weights[0], weights[1] = weight.permute(2, 3, 1, 0).numpy(), bias.numpy()
        cells[position] = {"name": f"conv{layer.block}_{layer.index}", "weights": weights}
    contents = {"layers": cells, "meta": {"normalization": {"averageImage": mean_rgb.numpy()}}}
    savemat(path, contents, appendmat=False)


_READERS: dict[str, Callable[[Path], VggParameters]] = {
    ".h5": _read_keras,
    ".pth": _read_torchvision,
    ".mat": _read_matconvnet,
    ".safetensors": _read_safetensors,
}
_WRITERS: dict[str, Callable[[VggParameters, Path], None]] = {
    ".h5": _write_keras,
    ".pth": _write_torchvision,
    ".mat": _write_matconvnet,
    ".safetensors": _write_safetensors,
}

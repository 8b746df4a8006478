"""What is recorded of impasto: one small use of it a case.

Cases use the command line and the public Python API alone, so that they run on any commit. Run as
a program, this records every case with the impasto that is imported; see record.py.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from harness import (
    FILES,
    FLOAT32,
    Case,
    Facts,
    call,
    call_ok,
    call_process,
    list_names,
    paint,
    read_animation,
    read_folder,
    read_pixels,
    read_record,
    steady,
    without_recipe,
)
from inputs import (
    HEIGHT,
    WIDTH,
    make_frames,
    make_hard_mask,
    make_noise,
    make_other_painting,
    make_painting,
    make_photo,
    make_soft_mask,
    save,
)
from PIL import ExifTags, Image
from studio_cases import STUDIO_CASES

CASES: dict[str, Case] = {}


def case(name: str, *, quick: bool = False) -> Callable[[Callable[[], Facts]], None]:
    """Add a function to the cases."""

    def add(run: Callable[[], Facts]) -> None:
        CASES[name] = Case(run, quick)

    return add


def add_painting(
    name: str,
    *flags: str,
    quick: bool = False,
    styles: tuple[str, ...] = ("painting.png",),
    photo: str = "photo.png",
    entire: bool = False,
) -> None:
    """Add a case of the main command.

    Args:
        name: of the case.
        flags: of the command.
        quick: see :class:`Case`.
        styles, photo: files.
        entire: whether the whole recipe belongs to the facts, and the embedded record.
    """

    def run() -> Facts:
        report = steady(paint(*flags, photo=photo, styles=styles).facts)
        facts = {"picture": read_pixels("out.png")}
        if entire:
            return facts | {"report": report, "record": steady(read_record("out.png"))}
        return facts | {"report": without_recipe(report)}

    CASES[name] = Case(run, quick)


def write_recipe(text: str, name: str = "mine.toml") -> str:
    """A recipe file in the current folder."""
    Path(name).write_text(text, "utf-8")
    return name


def add_recipe(name: str, text: str, *flags: str, quick: bool = False, **options: object) -> None:
    """Add a case of a recipe file of the user's; its flags may name other files."""

    def run() -> Facts:
        write_recipe(text)
        styles = options.get("styles", ("painting.png",))
        report = paint("--recipe", "mine.toml", *flags, styles=styles).facts
        return {"picture": read_pixels("out.png"), "report": without_recipe(steady(report))}

    CASES[name] = Case(run, quick)


# --- every recipe ------------------------------------------------------------------------------

TINY = ("--size", "48", "--iterations", "3")
for name in (
    *("best", "gatys-2015", "keras-lbfgs", "nnst", "noise-blend", "photoreal", "sketch"),
    *("standard", "tf-vgg19", "tf2-epochs", "torch-lbfgs"),
):
    small = "32" if name in ("gatys-2015", "keras-lbfgs", "torch-lbfgs") else "48"
    flags = ("--recipe", name, "--size", small, "--iterations", "3")
    add_painting(f"recipe {name}", *flags, entire=True, quick=name in ("standard", "tf-vgg19"))
add_painting("recipe draft", "--recipe", "draft", "--size", "48", entire=True, quick=True)
add_painting("recipe magenta-fast", "--recipe", "magenta-fast", "--size", "48", entire=True)
for name in ("draft", "standard", "best"):
    more = () if name == "draft" else ("--iterations", "2")
    add_painting(f"quality {name}", "--quality", name, "--size", "32", *more)

# --- solvers, canvases and schedules -----------------------------------------------------------

SCALES = """base = "standard"
[schedule]
coarsest = 16
at = 48
growth = 2.0
fewest = 1
"""
ADAM = """base = "tf-vgg19"
[schedule]
coarsest = 24
at = 48
fewest = 1
"""
SMALL = ("--size", "48", "--iterations", "6")
add_recipe("scales", SCALES, *SMALL, quick=True)
add_recipe("scales carried by bounded L-BFGS", SCALES + "carry = true\n", *SMALL)
add_recipe("scales carried by Adam", ADAM + "carry = true\n[solver]\nbeta1 = 0.9\n", *SMALL)
add_recipe("scales of L-BFGS", SCALES + '[solver]\nkind = "lbfgs"\n', *SMALL)
add_recipe("scales of L-BFGS-B", SCALES + '[solver]\nkind = "lbfgsb"\nrestart_every = 2\n', *SMALL)
add_recipe(
    "Adam with decay, clipping and an average",
    ADAM + "[solver]\ndecay = 0.5\ndecay_every = 2\nclip_gradient = 0.1\naverage = 0.5\n",
    *SMALL,
)
add_recipe(
    "Laplacian canvas",
    ADAM + 'detail = 0.5\n[canvas]\nkind = "laplacian"\nlevels = 3\n',
    *SMALL,
)
add_recipe(
    "neighbors at two scales and refined",
    'base = "nnst"\n[schedule]\ncoarsest = 32\niterations = 1\nrefine = 2\n'
    "[neighbors]\nphoto_share = 0.5\nrotations = false\n",
    *("--size", "48"),
)
add_recipe("refining pass", SCALES + "refine = 2\n", "--size", "48", "--iterations", "4")
add_recipe(
    "until converged",
    'base = "standard"\n[schedule]\ncoarsest = 16\nat = 32\ntolerance = 0.5\n',
    *("--size", "32", "--iterations", "24", "--until", "converged"),
)

# --- the objective -----------------------------------------------------------------------------

for name in ("gram", "bures", "wasserstein", "covariance", "mean_std", "remd"):
    add_recipe(
        f"style distance {name}", f'base = "standard"\n[style]\ndistance = "{name}"\n', *TINY
    )
add_recipe(
    "style distance remd, euclidean",
    'base = "standard"\n[style]\ndistance = "remd"\ncost = "euclidean"\n',
    *TINY,
)
for gram, name in (("hw", "mean"), ("hw", "relative"), ("chw", "sum"), ("chw", "paper")):
    add_recipe(
        f"Gram matrices {gram}, {name}",
        f'base = "tf-vgg19"\n[style]\ngram = "{gram}"\nnormalization = "{name}"\n',
        *TINY,
    )
for name in ("mean", "sum", "half_sum", "paper", "relative"):
    add_recipe(
        f"content {name}", f'base = "tf-vgg19"\n[content]\nnormalization = "{name}"\n', *TINY
    )
add_recipe(
    "content self-similarity",
    'base = "standard"\n[content]\nkind = "self_similarity"\nnormalization = "mean"\n',
    *TINY,
)
add_recipe(
    "structure, palette and smoothness",
    'base = "standard"\n[content]\nstructure = 0.5\n[palette]\nweight = 0.5\n'
    '[smoothness]\nkind = "l1"\nweight = 0.2\n',
    *TINY,
    quick=True,
)
add_recipe(
    "smoothness l2, average pooling, zeros",
    'base = "standard"\n[smoothness]\nkind = "l2"\nweight = 2.0\n'
    '[encoder]\npooling = "average"\npadding = "zeros"\n',
    *TINY,
)
add_painting(
    "layers set one by one",
    *TINY,
    *("--set", "style.layers.relu3_1=0", "--set", "style.layers.conv5_1=0.7"),
    *("--set", "content.layers={relu3_2=1.0}", "--set", "content.weight=0.4"),
)

# --- starts ------------------------------------------------------------------------------------

for start in ("noise", "blend", "style", "draft", "noise.png"):
    add_painting(f"start {start}", *TINY, "--recipe", "tf-vgg19", "--init", start, "--seed", "3")
add_painting(
    "start normal noise",
    *TINY,
    *("--recipe", "tf-vgg19", "--set", "start.noise_ratio=0.5", "--set", 'start.noise="normal"'),
    *("--set", "start.noise_amplitude=0.2", "--seed", "5"),
)

# --- several paintings, colors, strength, masks, tiles: for the optimizer and the network ------

TWO = ("painting.png", "other.png")
for engine, base in (
    ("optimizer", ("--recipe", "sketch", *TINY)),
    ("draft", ("--recipe", "draft", "--size", "48")),
):
    add_painting(f"{engine}: two paintings", *base, styles=TWO)
    add_painting(
        f"{engine}: two paintings, weights",
        *(*base, "--style-weight", "3", "--style-weight", "1"),
        styles=TWO,
        quick=engine == "draft",
    )
    add_painting(
        f"{engine}: two paintings, strengths",
        *(*base, "--strength", "0.9", "--strength", "0.3"),
        styles=TWO,
    )
    for color in ("content", "luminance", "match"):
        add_painting(f"{engine}: colors {color}", *base, "--colors", color)
    add_painting(f"{engine}: strength", *base, "--strength", "0.5", quick=engine == "optimizer")
    add_painting(f"{engine}: strength 0", *base, "--strength", "0")
    for scale in ("0.5", "2"):
        add_painting(f"{engine}: strokes {scale}", *base, "--style-scale", scale)
    add_painting(f"{engine}: mask, rest kept", *base, "--mask", "hard.png")
    add_painting(f"{engine}: soft mask, two paintings", *base, "--mask", "soft.png", styles=TWO)
    add_painting(
        f"{engine}: two masks, rest kept",
        *(*base, "--mask", "hard.png", "--mask", "soft.png"),
        styles=TWO,
    )
    add_painting(
        f"{engine}: three regions",
        *(*base, "--mask", "hard.png", "--mask", "soft.png", "--strength", "0.8"),
        styles=(*TWO, "noise.png"),
        quick=engine == "optimizer",
    )
    add_painting(
        f"{engine}: style masks",
        *(*base, "--mask", "hard.png", "--style-mask", "hard-40x48.png", "--style-mask", "none"),
        styles=TWO,
    )
    add_painting(f"{engine}: mask by rectangle", *base, "--mask", "rect:22,3,21,19")
    add_painting(f"{engine}: mask by scribble", *base, "--mask", "scribble:scribble.png")
    add_painting(f"{engine}: regions found", *base, "--mask", "auto:2", styles=TWO)
    add_painting(f"{engine}: photorealistic filter", *base, "--set", "photorealism.filter=0.05")
add_painting(
    "magenta-fast: regions",
    *("--recipe", "magenta-fast", "--size", "48", "--mask", "soft.png", "--strength", "0.9"),
    styles=TWO,
)
add_painting(
    "neighbors with weights",
    *("--recipe", "nnst", "--size", "32", "--iterations", "2"),
    *("--style-weight", "2", "--style-weight", "1"),
    styles=TWO,
)
add_painting(
    "neighbors in regions",
    *("--recipe", "nnst", "--size", "32", "--iterations", "2", "--mask", "hard.png"),
    styles=TWO,
)
TILES = ("--size", "80", "--iterations", "2", "--set", "schedule.coarsest=80")
add_painting("tiles", *TILES, "--set", "tile=64")
add_painting("tiles, Gram, mask", *TILES, "--recipe", "tf-vgg19", "--set", "tile=64", *(
    "--mask", "soft.png",
), styles=TWO)  # fmt: skip

# --- files -------------------------------------------------------------------------------------


@case("photos of every kind")
def _photos() -> Facts:
    photo = make_photo()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Copyright] = "somebody"
    alpha = np.dstack([photo, make_soft_mask()])
    kinds = {
        "turned": save(photo, "turned.tif", exif=exif),
        "alpha": save(alpha, "alpha.png"),
        "gray": save(photo[..., 1], "gray.png"),
        "palette": "palette.gif",
        "16 bits": save(photo[..., 0].astype(np.uint16) * 257, "deep.png"),
    }
    Image.fromarray(photo).quantize(16, dither=Image.Dither.NONE).save("palette.gif")
    facts: Facts = {}
    for kind, path in kinds.items():
        report = paint("--recipe", "draft", "--size", "32", "--force", photo=path).facts
        facts |= {kind: read_pixels("out.png"), f"{kind}: report": without_recipe(steady(report))}
    return facts


@case("pictures written in every format")
def _formats() -> Facts:
    facts: Facts = {}
    for name in ("out.tif", "out.webp", "out.bmp", "out.jpg", "out.avif"):
        paint("--recipe", "draft", "--size", "32", out=name)
        with Image.open(name) as image:
            facts[f"{name}: facts"] = [image.format, image.mode, *image.size]
        if name in ("out.tif", "out.bmp"):
            facts[name] = read_pixels(name)
    paint("--recipe", "draft", "--size", "32", "--depth", "16", out="deep.tif")
    facts["deep.tif"] = read_pixels("deep.tif")
    paint("--recipe", "draft", "--print", "8x6mm@100dpi", "--no-embed", out="print.png")
    with Image.open("print.png") as image:
        facts["print"] = [*image.size, round(image.info["dpi"][0]), "impasto" in image.info]
    return facts


@case("names given by default, and --force")
def _names() -> Facts:
    first = call("photo.png", "--style", "painting.png", "--quality", "draft", "--size", "32")
    again = call("photo.png", "--style", "painting.png", "--quality", "draft", "--size", "32")
    forced = call(*("photo.png", "--style", "painting.png", "--quality", "draft"), "--force")
    return {
        "codes": [first.code, again.code, forced.code],
        "exists": Path("photo-painting.png").is_file(),
        "lines": len(again.err.splitlines()),
    }


@case("snapshots, time lapse and loss plot")
def _records() -> Facts:
    flags = ("--recipe", "tf-vgg19", "--size", "32", "--iterations", "4", "--snapshots", "shots")
    files = ("--snapshot-every", "2", "--timelapse", "run.gif", "--loss-plot", "loss.svg")
    paint(*flags, *files)
    return {
        "snapshots": read_folder("shots"),
        "time lapse": read_animation("run.gif"),
        "names": list_names("shots"),
        "plot": Path("loss.svg").read_text("utf-8").startswith("<?xml"),
    }


@case("standard input to standard output")
def _piped() -> Facts:
    flags = ("-", "--style", "painting.png", "-o", "-", "--size", "32", "--quality", "draft")
    process = call_process(*flags, *FLOAT32, "--quiet", data=Path("photo.png").read_bytes())
    return {"code": process.returncode, "lines": len(process.stderr.splitlines()), "picture": (
        read_pixels(process.stdout)
    )}  # fmt: skip


# --- what is done with results -----------------------------------------------------------------

SKETCH = ("--recipe", "sketch", "--size", "48", "--iterations", "2")


def refine(*flags: str) -> Facts:
    """A region of a result painted again."""
    call_ok("refine", "out.png", "-o", "refined.png", "--quiet", *flags)
    return {"picture": read_pixels("refined.png"), "record": sorted(read_record("refined.png"))}


@case("refine a region", quick=True)
def _refine() -> Facts:
    paint(*SKETCH)
    return refine("--region", "8,6,20,16", "--iterations", "3")


@case("refine a mask with another painting")
def _refine_mask() -> Facts:
    paint(*SKETCH)
    more = ("--style", "other.png", "--strength", "0.7", "--accept-changed")
    return refine("--mask", "hard.png", "--iterations", "2", *more)


@case("refine a draft")
def _refine_draft() -> Facts:
    paint("--recipe", "draft", "--size", "48")
    return refine("--region", "8,6,20,16", "--iterations", "2", "--set", "style.scale=1.5")


@case("refine by regions of the paintings")
def _refine_regions() -> Facts:
    paint(*SKETCH, "--mask", "hard.png", "--colors", "match", styles=TWO)
    return refine("--region", "4,4,30,24", "--iterations", "2")


def replay(path: str | Path, *flags: str) -> Facts:
    """A picture made again."""
    outcome = call("replay", str(path), "-o", "again.png", "--quiet", "--json", *flags)
    if outcome.code:
        raise AssertionError(outcome.err)
    return {
        "picture": read_pixels("again.png"),
        "report": without_recipe(steady(json.loads(outcome.out))),
    }


@case("replay", quick=True)
def _replay() -> Facts:
    paint(*SKETCH, "--mask", "soft.png", "--colors", "luminance", "--seed", "4", styles=TWO)
    facts = replay("out.png")
    facts["the same"] = bool((facts["picture"] == read_pixels("out.png")).all())
    return facts


def replay_of(name: str) -> Facts:
    """A picture of impasto 0.1, replayed; and how far it is from that."""
    facts = replay(FILES / name, "--photo", "photo.png", "--style", "painting.png")
    facts["embedded"] = steady(read_record(FILES / name))
    return facts


for name in ("sketch", "draft", "gatys"):
    case(f"replay of a file of 0.1: {name}", quick=name == "sketch")(
        partial(replay_of, f"{name}.png")
    )


def resume(name: str) -> Facts:
    """A run of impasto 0.1 that was stopped half way, ended."""
    checkpoint, recipe = FILES / f"{name}.checkpoint", FILES / f"{name}.toml"
    flags = ("--recipe", str(recipe), "--resume", str(checkpoint))
    report = without_recipe(steady(paint(*flags).facts))
    return {"picture": read_pixels("out.png"), "report": report}


for name in ("bounded", "adam", "lbfgs", "lbfgsb"):
    case(f"resume a checkpoint of 0.1: {name}", quick=name == "adam")(partial(resume, name))


@case("checkpoint and resume from Python")
def _checkpoint() -> Facts:
    import impasto

    recipe = small_recipe("sketch", total=4)
    engine = impasto.Stylizer(recipe)
    steps = engine.run("photo.png", "painting.png", checkpoint="state")
    for step in steps:
        if step.iteration == 2:
            break
    steps.close()
    again = [*engine.run("photo.png", "painting.png", resume="state")]
    whole = [*engine.run("photo.png", "painting.png")]
    return {
        "iterations": [step.iteration for step in again],
        "same": bool((np.asarray(again[-1].preview()) == np.asarray(whole[-1].preview())).all()),
        "picture": np.asarray(again[-1].preview()),
    }


# --- networks of the user's --------------------------------------------------------------------


def write_photos(count: int = 4) -> None:
    """A folder of photos to train with."""
    for index in range(count):
        pixels = np.roll(make_photo(96, 80), 5 * index, 1)
        pixels[::2] = np.roll(make_noise(96, 80, index), index, 0)[::2] // 2 + pixels[::2] // 2
        save(pixels, f"photos/{index}.png")


@case("train a network for a painting and paint with it")
def _train() -> Facts:
    write_photos()
    flags = ("--photos", "photos", "-o", "own.safetensors", "--steps", "2", "--side", "64")
    more = ("--batch", "1", "--precision", "float32", "--sample-every", "100", "--seed", "1")
    call_ok("train", "style", "painting.png", *flags, *more, "--quiet")
    outcome = call_ok(
        *("photo.png", "--recipe", "own.safetensors", "--size", "48", "-o", "out.png"),
        *(*FLOAT32, "--quiet", "--json"),
    )
    log = [json.loads(line) for line in Path("own-training/log.jsonl").read_text().splitlines()]
    report = json.loads(outcome.out)
    return {
        "picture": read_pixels("out.png"),
        "report": without_recipe(steady(report)),
        "log": sorted(log[-1]),
    }


# --- films -------------------------------------------------------------------------------------

FILM_SKETCH = ("--recipe", "sketch", "--iterations", "3", "--later", "2")
FILM_DRAFT = ("--recipe", "draft")


def write_frames() -> None:
    for index, frame in enumerate(make_frames()):
        save(frame, f"frames/{index}.png")


def film(*flags: str, styles: tuple[str, ...] = ("painting.png",)) -> Facts:
    """Four numbered frames, repainted as numbered frames."""
    write_frames()
    Path("film").mkdir()
    paintings = [word for each in styles for word in ("--style", each)]
    options = ("-o", "film/%d.png", *FLOAT32, "--quiet", "--json", "--fps", "12")
    outcome = call_ok("video", "frames/%d.png", *paintings, *options, *flags)
    report = without_recipe(steady(json.loads(outcome.out)))
    return {"frames": read_folder("film"), "report": report}


for name, flags in {
    "film by sketch": FILM_SKETCH,
    "film by draft": FILM_DRAFT,
    "film by sketch, unstable, colors": (*FILM_SKETCH, "--stability", "0", "--colors", "content"),
    "film by draft, two passes": (*FILM_DRAFT, "--passes", "2", "--stability", "0.5"),
    "film by draft, statistics of the shot": (*FILM_DRAFT, "--statistics", "shot"),
    "film by sketch, every second frame": (*FILM_SKETCH, "--every", "2", "--strength", "0.6"),
    "film by Adam": (
        "--recipe",
        "tf-vgg19",
        "--iterations",
        "3",
        "--later",
        "1",
        "--range",
        "0-0.2",
    ),
}.items():
    case(name, quick=name == "film by draft")(partial(film, *flags, *("--size", "48")))
case("film by draft, two paintings")(
    partial(film, *FILM_DRAFT, "--style-weight", "1", "--style-weight", "2", styles=TWO)
)


@case("film as a file, its preview and its measures")
def _film_file() -> Facts:
    write_frames()
    flags = ("--style", "painting.png", *FILM_DRAFT, *FLOAT32, "--quiet", "--json", "--fps", "8")
    report = json.loads(call_ok("video", "frames/%d.png", *flags, "-o", "film.mp4").out)
    call_ok("video", "frames/%d.png", *flags, "-o", "film.mp4", "--preview")
    call_ok("video", "film.mp4", *flags[:-2], "-o", "second.gif")
    measures = call_ok(
        "compare", "--video", "--json", "frames/%d.png", "painting.png", "second.gif"
    )
    return {
        "report": without_recipe(steady(report)),
        "size": Path("film.mp4").stat().st_size > 1000,
        "sheet": read_pixels("film-preview.png"),
        "frames": read_animation("second.gif"),
        "measures": list_kinds(json.loads(measures.out)),
        "files": sorted(path.name for path in Path().glob("*film*")),
    }


def list_kinds(value: object) -> object:
    """JSON with types in place of all numbers."""
    if isinstance(value, dict):
        return {key: list_kinds(each) for key, each in value.items()}
    if isinstance(value, list):
        return [list_kinds(each) for each in value]
    return "number" if type(value) in (int, float) else value


# --- many pictures -----------------------------------------------------------------------------


def write_batch() -> None:
    save(make_photo(), "photos/a.png")
    save(make_noise(40, 30), "photos/b.png")
    save(make_photo(36, 48), "photos/deep/c.png")


@case("batch of three", quick=True)
def _batch() -> Facts:
    write_batch()
    flags = ("--style", "painting.png", "-o", "painted", *SKETCH, "--size", "32", *FLOAT32)
    more = ("--executor", "serial", "--quiet", "--json")
    outcome = call_ok("batch", "photos", *flags, *more)
    again = call_ok("batch", "photos", *flags, *more)
    lines = Path("painted/impasto-batch.jsonl").read_text("utf-8").splitlines()
    return {
        "a": read_pixels("painted/a.png"),
        "b": read_pixels("painted/b.png"),
        "c": read_pixels("painted/deep/c.png"),
        "report": steady(json.loads(outcome.out)),
        "again": steady(json.loads(again.out)),
        "record": sorted({key for line in lines for key in json.loads(line)}),
    }


@case("batch of a table with a damaged picture, by processes")
def _batch_table() -> Facts:
    write_batch()
    Path("photos/bad.png").write_bytes(b"nothing")
    Path("jobs.csv").write_text(
        "photo,style,output,strength\nphotos/a.png,other.png,one.png,0.5\n"
        "photos/b.png,painting.png,two.png,1\nphotos/bad.png,painting.png,three.png,1\n"
    )
    flags = ("-o", "painted", "--quality", "draft", "--size", "32", *FLOAT32, "--workers", "1")
    process = call_process("batch", "jobs.csv", *flags, "--quiet", "--json")
    facts: Facts = {"code": process.returncode, "files": list_names("painted")}
    if process.stdout:
        report = json.loads(process.stdout)
        facts["report"] = {key: value for key, value in report.items() if key != "failed"}
        facts["report"] = steady(facts["report"])
        facts["failed"] = len(report["failed"])
    for path in sorted(Path("painted").glob("*.png")):
        facts[path.name] = read_pixels(path)
    return facts


@case("sheet of seeds and strengths")
def _sheet() -> Facts:
    flags = ("photo.png", "--style", "painting.png", "-o", "sheet.png", "--size", "32", *FLOAT32)
    more = ("--recipe", "tf-vgg19", "--init", "noise", "--iterations", "2", "--quiet")
    call_ok("sheet", *flags, *more, "--seeds", "0,1", "--strengths", "0.5,1")
    return {"size": [*read_pixels("sheet.png").shape]} | crop(read_pixels("sheet.png"))


@case("sheet of recipes, a field, and a grid of paintings")
def _sheets() -> Facts:
    flags = ("photo.png", "--style", "painting.png", "--size", "32", *FLOAT32, "--quiet")
    call_ok("sheet", *flags, "-o", "1.png", "--recipes", "draft,sketch")
    call_ok("sheet", *flags, *("-o", "2.png", "--recipe", "draft", "--vary", "style.scale=0.5,2"))
    call_ok("sheet", *flags, *("--style", "other.png"), *("-o", "3.png", "--recipe", "draft"), *(
        "--styles-grid", "3",
    ))  # fmt: skip
    facts: Facts = {}
    for name in ("1", "2", "3"):
        pixels = read_pixels(f"{name}.png")
        facts |= {f"{name}: size": [*pixels.shape]}
        facts |= {f"{name}: {key}": value for key, value in crop(pixels).items()}
    return facts


def crop(pixels: np.ndarray) -> Facts:
    """A sheet, by every second pixel, so that the references stay small."""
    return {"sheet": pixels[::2, ::2]}


# --- looking and planning ----------------------------------------------------------------------


@case("compare")
def _compare() -> Facts:
    save(make_noise(), "a.png")
    save(np.roll(make_photo(), 3, 1), "b.png")
    outcome = call_ok("compare", "photo.png", "painting.png", "a.png", "b.png", "--json")
    report = json.loads(outcome.out)
    for metrics in report.values():
        for name in ("halo", "repetition"):  # 0.1 has neither
            metrics.pop(name, None)
    return {"report": report}


@case("inspect")
def _inspect() -> Facts:
    flags = (
        "--style",
        "painting.png",
        "-o",
        "seen",
        "--size",
        "32",
        "--iterations",
        "2",
        "--quiet",
    )
    call_ok("inspect", "photo.png", *flags)
    facts: Facts = {"files": list_names("seen")}
    for path in sorted(Path("seen").glob("*.png")):
        pixels = read_pixels(path)
        facts[path.stem] = pixels[::3, ::3] if path.stem.startswith("activations") else pixels
    return facts


@case("plan", quick=True)
def _plan() -> Facts:
    flags = ("photo.png", "--style", "painting.png", "--json")
    facts: Facts = {}
    for name, more in {
        "standard": ("--size", "64", *FLOAT32),
        "draft": ("--quality", "draft", "--size", "64", *FLOAT32),
        "nnst": ("--recipe", "nnst", "--size", "96", *FLOAT32),
        "tiles": ("--size", "160", "--set", "tile=128", *FLOAT32),
        "print": ("--print", "40mm@100dpi", "--recipe", "tf-vgg19", "--iterations", "9", *FLOAT32),
    }.items():
        facts[name] = steady(json.loads(call_ok("plan", *flags, *more).out))
    return facts


@case("mask")
def _mask() -> Facts:
    facts: Facts = {}
    for name, word in {
        "rectangle": ("rect:22,3,21,19",),
        "scribble": ("scribble:scribble.png",),
        "auto": ("auto:3#2", "--style", "painting.png", "--style", "other.png"),
    }.items():
        call_ok("mask", "photo.png", *word, "-o", "mask.png", "--force")
        facts[name] = read_pixels("mask.png")
    return facts


@case("lists: recipes, weights, doctor")
def _lists() -> Facts:
    weights = json.loads(call_ok("weights", "--json").out)
    doctor = steady(json.loads(call_ok("doctor", "--json").out))
    doctor.pop("sandbox", None)  # 0.1 does not have it
    return {
        "recipes": sorted(json.loads(call_ok("recipes", "--json").out)),
        "one": steady(json.loads(call_ok("recipes", "nnst", "--json").out)),
        "weights": [[each["name"], each["network"], each["published"]] for each in weights],
        "doctor": doctor,
        "verified": call("weights", "verify", "wheel").code,
        "help": call("--help").code,
        "helps": {name: call(name, "--help").code for name in (
            *("video", "plan", "sheet", "batch", "replay", "refine", "recipes", "inspect", "mask"),
            *("compare", "train", "export", "serve", "weights", "doctor"),
        )},
    }  # fmt: skip


# --- Python ------------------------------------------------------------------------------------


def small_recipe(name: str, total: int | None = None, size: int = WIDTH):
    """A shipped recipe in float32 at a small size."""
    import impasto

    changes = {"precision": "float32", "size": size}
    if total is not None:
        changes["schedule.total"] = total
    return impasto.load_recipe(name).with_changes(changes)


@case("Python: stylize", quick=True)
def _stylize() -> Facts:
    import torch

    import impasto

    iterations: list[int] = []
    tensor = torch.from_numpy(make_other_painting()).permute(2, 0, 1) / 255
    result = impasto.stylize(
        make_photo(),
        [Image.fromarray(make_painting()), tensor],
        quality="standard",
        size=WIDTH,
        iterations=3,
        style_weights=[1, 2],
        style_scale=1.5,
        colors="match",
        strength=[1.0, 0.5],
        masks=[make_hard_mask()],
        changes={"precision": "float32", "style.layers.relu3_1": 0.5},
        on_step=lambda step: iterations.append(step.iteration),
    )
    result.save("out.png")
    return {
        "picture": np.asarray(result.image),
        "losses": result.losses,
        "iterations": [result.iterations, iterations],
        "saved": bool((read_pixels("out.png") == np.asarray(result.image)).all()),
        "record": sorted(read_record("out.png")),
    }


@case("Python: stylize by draft")
def _stylize_draft() -> Facts:
    import impasto

    result = impasto.stylize(
        make_photo(),
        [make_painting(), make_other_painting()],
        quality="draft",
        size=WIDTH,
        strength=0.8,
        masks=[make_soft_mask()],
        changes={"precision": "float32"},
    )
    return {"picture": np.asarray(result.image), "iterations": result.iterations}


@case("Python: the steps of a run")
def _steps() -> Facts:
    import impasto

    Path("mine.toml").write_text(SCALES)
    recipe = impasto.load_recipe("mine.toml").with_changes(
        {"precision": "float32", "size": WIDTH, "schedule.total": 7}
    )
    steps = [*impasto.Stylizer(recipe).run("photo.png", ["painting.png", "other.png"])]
    return {
        "first": np.asarray(steps[0].preview()),
        "last": np.asarray(steps[-1].preview()),
        "steps": [
            [s.iteration, s.total, s.scale, s.scales, s.width, s.height, s.last] for s in steps
        ],
        "losses": [step.losses for step in steps],
    }


@case("Python: refine")
def _refine_python() -> Facts:
    import impasto

    refined = impasto.refine(
        make_noise(),
        make_photo(),
        make_painting(),
        recipe=small_recipe("sketch"),
        region=(10, 8, 20, 20),
        iterations=2,
    )
    return {"picture": np.asarray(refined.image), "region": [*refined.region]}


@case("Python: pictures read")
def _read() -> Facts:
    import impasto

    photo = make_photo()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 8
    sources = {
        "turned": save(photo, "turned.png", exif=exif),
        "cmyk": "cmyk.tif",
        "array": photo.astype(np.float32) / 255,
        "bytes": Path("photo.png").read_bytes(),
        "gray and alpha": np.dstack([photo[..., 0], make_soft_mask()]),
    }
    Image.fromarray(photo).convert("CMYK").save("cmyk.tif")
    facts: Facts = {}
    for name, source in sources.items():
        picture = impasto.read_picture(source)
        facts[name] = np.asarray(picture.to_pil())
        facts[f"{name}: size"] = [picture.width, picture.height]
    return facts


@case("Python: recipes loaded")
def _load() -> Facts:
    import impasto

    names = sorted(json.loads(call_ok("recipes", "--json").out))
    changed = impasto.load_recipe("sketch").with_changes({"style.layers.block5_conv1": 0.3})
    recipes = {name: impasto.load_recipe(name) for name in names} | {"changed": changed}
    return {name: steady(json.loads(recipe.to_json())) for name, recipe in recipes.items()}


# --- what is refused ---------------------------------------------------------------------------

JOB = ("photo.png", "--style", "painting.png", "-o", "new.png", "--size", "32", "--quiet")


def write_bad_files() -> None:
    """Pictures, recipes and other files that cannot be used."""
    data = Path("noise.png").read_bytes()
    Path("cut.png").write_bytes(data[: len(data) // 2])
    Path("text.png").write_text("not a picture")
    Path("empty.png").write_bytes(b"")
    Path("folder.png").mkdir()
    Path("bad.toml").write_text("base = standard")
    Path("odd.toml").write_text('base = "standard"\n[style]\nwieght = 1\n')
    Path("net.safetensors").write_bytes(b"nothing")
    Path("none").mkdir()
    Path("painted").mkdir()
    save(make_photo(8, 6), "tiny.png")
    save(np.zeros((HEIGHT, WIDTH), np.uint8), "black.png")
    save(make_photo(), "exists.png")


BAD: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "no painting": ("photo.png",),
    "no such photo": ("gone.png", *JOB[1:]),
    "no such painting": ("photo.png", "--style", "gone.png"),
    "a photo cut short": ("cut.png", *JOB[1:]),
    "a text as photo": ("text.png", *JOB[1:]),
    "an empty file": ("empty.png", *JOB[1:]),
    "a folder as photo": ("folder.png", *JOB[1:]),
    "a photo too small": ("tiny.png", *JOB[1:5], "--force"),
    "an unknown flag": (*JOB, "--sise", "3"),
    "a mistyped command": ("replya", "out.png"),
    "size 0": (*JOB[:5], "--size", "0"),
    "size too large": (*JOB[:5], "--size", "65000"),
    "an unknown recipe": (*JOB, "--recipe", "standrad"),
    "TOML that is none": (*JOB, "--recipe", "bad.toml"),
    "an unknown field in a file": (*JOB, "--recipe", "odd.toml"),
    "an unknown field": (*JOB, "--set", "style.wieght=1"),
    "a value out of range": (*JOB, "--set", "style.weight=-1"),
    "an unknown layer": (*JOB, "--set", "style.layers.relu9_1=1"),
    "a network that is none": (*JOB, "--recipe", "net.safetensors"),
    "iterations of a network": (*JOB, "--quality", "draft", "--iterations", "3"),
    "weights for one of two": (*JOB, "--style", "other.png", "--style-weight", "1"),
    "strength above 1": (*JOB, "--strength", "2"),
    "a black mask": (*JOB, "--mask", "black.png"),
    "more masks than paintings": (*JOB, "--mask", "hard.png", "--mask", "soft.png"),
    "a rectangle outside": (*JOB, "--mask", "rect:40,30,20,20"),
    "an unknown format": (*JOB[:3], "-o", "out.xyz"),
    "a folder that is not there": (*JOB[:3], "-o", "gone/out.png"),
    "an output that exists": (*JOB[:3], "-o", "exists.png"),
    "an output that is an input": (*JOB[:3], "-o", "photo.png", "--force"),
    "16 bits as JPEG": (*JOB[:3], "-o", "out.jpg", "--depth", "16"),
    "a checkpoint that is none": (*JOB, "--resume", "photo.png"),
    "a checkpoint of another run": (*JOB, "--resume", str(FILES / "adam.checkpoint")),
    "a print size that is none": (*JOB[:5], "--print", "60x40"),
    "an unknown device": (*JOB, "--device", "tpu"),
    "weights that are none": (*JOB, "--weights", "text.png"),
    "a scratch folder that is not there": (*JOB, "--scratch", "gone"),
    "replay without a recipe": ("replay", "photo.png"),
    "replay of other inputs": (
        *("replay", str(FILES / "sketch.png"), "-o", "new.png"),
        *("--photo", "noise.png", "--style", "painting.png"),
    ),
    "refine outside": ("refine", str(FILES / "sketch.png"), "--region", "90,90,5,5"),
    "refine without a region": ("refine", str(FILES / "sketch.png")),
    "compare with nothing": ("compare", "photo.png", "painting.png", "gone.png"),
    "an unknown kind of mask": ("mask", "photo.png", "sky", "-o", "m.png"),
    "a sheet of one thing": ("sheet", "photo.png", "--style", "painting.png", "--seeds", "x"),
    "a batch of nothing": ("batch", "none", "--style", "painting.png", "-o", "painted"),
    "a batch into its photos": ("batch", "none", "--style", "painting.png"),
    "a film that is none": ("video", "text.png", "--style", "painting.png", "-o", "f.mp4"),
    "a film that is not there": ("video", "gone.mp4", "--style", "painting.png", "-o", "f.mp4"),
    "a range that is none": ("video", "gone.mp4", "--style", "painting.png", "--range", "5-2"),
    "training without photos": ("train", "style", "painting.png", "--photos", "none"),
    "an unknown recipe to show": ("recipes", "standrad"),
    "an unknown port": ("serve", "--port", "70000"),
}


@case("bad input")
def _bad() -> Facts:
    write_bad_files()
    before = list_names()
    facts: Facts = {}
    for name, arguments in BAD.items():
        outcome = call(*arguments)
        lines = outcome.err.splitlines()
        facts[name] = [
            outcome.code,
            len(lines),
            "Traceback" in outcome.err,
            bool(outcome.out.strip()),
        ]
    facts["nothing is left behind"] = list_names() == before
    return facts


@case("bad input, as processes")
def _bad_process() -> Facts:
    write_bad_files()
    facts: Facts = {}
    for name in ("a photo cut short", "an unknown field"):
        process = call_process(*BAD[name])
        lines = process.stderr.splitlines()
        facts[name] = [process.returncode, len(lines), b"Traceback" in process.stderr]
    return facts


# --- the studio --------------------------------------------------------------------------------

CASES |= STUDIO_CASES


RECORDED_ONLY = frozenset(
    {
        *("recipe best", "quality best", "quality standard", "until converged"),
        *("scales of L-BFGS", "scales carried by Adam", "refining pass"),
        *("style distance bures", "style distance gram", "style distance remd, euclidean"),
        *("Gram matrices hw, mean", "Gram matrices chw, paper", "Gram matrices hw, relative"),
        *("content mean", "content half_sum", "content paper", "content relative"),
        *("layers set one by one", "start noise", "start style", "start noise.png"),
        *("optimizer: two paintings", "optimizer: two paintings, strengths"),
        *("optimizer: colors luminance", "optimizer: strength 0", "optimizer: strokes 0.5"),
        *("optimizer: mask, rest kept", "optimizer: two masks, rest kept"),
        *("optimizer: mask by rectangle", "optimizer: mask by scribble"),
        *("optimizer: regions found", "optimizer: photorealistic filter"),
        *("draft: mask by rectangle", "draft: mask by scribble", "draft: two paintings"),
        *("neighbors in regions", "tiles, Gram, mask", "refine by regions of the paintings"),
        *(
            "film by sketch, unstable, colors",
            "film by Adam",
            "names given by default, and --force",
        ),
        *("sheet of recipes, a field, and a grid of paintings", "bad input, as processes"),
        *("batch of a table with a damaged picture, by processes",),
        *("standard input to standard output", "replay of a file of 0.1: gatys"),
        *("pictures written in every format", "Python: stylize by draft"),
        *("film by sketch, every second frame", "optimizer: soft mask, two paintings"),
        *("scales carried by bounded L-BFGS", "refine a draft", "Gram matrices chw, sum"),
        *("style distance mean_std", "quality draft", "start blend", "optimizer: strokes 2"),
        *("draft: two masks, rest kept", "draft: strokes 0.5", "draft: strength 0"),
        *("draft: regions found", "neighbors with weights", "start normal noise"),
    }
)
"""Cases that the test suite leaves to record.py: others are much the same, or rounding grows in
them beyond any useful tolerance."""


def main() -> int:
    """Record every case, or those that are named, with the impasto that is imported."""
    import argparse

    from recordings import choose_cases, record_cases

    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("output", type=Path, help="of the recording, .npz")
    parser.add_argument("--only", nargs="+", default=[], help="names of cases, or parts of them")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--progress", action="store_true")
    options = parser.parse_args()
    names = choose_cases(CASES, options.only, quick=options.quick)
    record_cases({name: CASES[name] for name in names}, options.output, progress=options.progress)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Read every picture and clip of a folder of odd files, and compare with what is right.

The folder holds ``pictures``, ``clips`` and ``hostile``. Pictures show a test card of 96 x 64 px,
or a gray ramp; what each file should give is listed here by its name. Each file is read in a
process of its own with 2 GiB of memory and 20 s. Usage::

    python benchmarks/cases.py ../shared/cases --run NAME --csv benchmarks/cases.csv

Rows of an earlier run with the same name are replaced.
"""

from __future__ import annotations

import argparse
import csv
import re
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

COLUMNS = ("run", "file", "right", "verdict", "outcome")
GIB = 2**30
TIMEOUT_S = 20
HEIGHT, WIDTH = 64, 96
GRAYS = re.compile(r"gr[ea]y|int16|uint32|stack|float16|lzw_float32")
LOSSY = re.compile(r"\.(jpg|heic|avif|webp)$|cmyk|lab|ycbcr|_pq|_hlg")
REFUSED = ("icon.ico", "jp2.jp2", "jxl.jxl", "movie.jpg", "cmyk_no_adobe.jpg")
"""Formats that are not accepted. The inks of the last one are inverted, and nothing says so."""
TURNED = {"exif_after_idat": 6, "exif_orient_as_string": 6, "xmp_orientation": 6}
EITHER = ("int16.tif", "lzw_int16.tif", "rgb12.tif", "cicp_pq.png", "pq_nclx.heic", "pq_nclx.avif")
"""Read, or refused in one line."""
LINES = {
    "bmp32_alpha_mask_all_zero.bmp": "alpha|transparen",
    "lzw_rgb16_saved_selection.tif": "extra|channel",
    "saved_selection8.tif": "extra|channel",
    "five_channels8.tif": "extra|channel",
    "five_channels16.tif": "extra|channel",
    "hlg_nclx.heic": "HDR",
    "pq_nclx.heic": "HDR",
    "pq_nclx.avif": "HDR",
    "cicp_pq.png": "HDR",
}
"""Lines that must be said."""
NO_LINES = ("grey_jpeg_rgb_profile.jpg", "lab8.tif")

CLIP_FACTS: dict[str, dict[str, Any]] = {
    "aac.mkv": {"frames": 10, "sounds": ["eng"]},
    "aac.mp4": {"frames": 10, "sounds": ["eng"]},
    "alpha.mov": {"frames": 4, "alpha": True},
    "alpha.webm": {"frames": 4, "alpha": True},
    "anim.png": {"frames": 4},
    "anim.webp": {"frames": 4},
    "cover_first.mkv": {"frames": 5},
    "cover_first.mp4": {"frames": 5},
    "ffv1.mkv": {"frames": 4},
    "grey.mp4": {"frames": 4, "corner": (91, 91, 91)},
    "hflip.mp4": {"frames": 5, "corner": (191, 63, 0), "at": "left"},
    "interlaced.mpg": {"frames": 5, "line": "interlaced"},
    "lasthold.mp4": {"frames": 5},
    "late_video.mp4": {"frames": 10, "sounds": ["eng"]},
    "mjpeg.avi": {"frames": 4},
    "one.mp4": {"frames": 1},
    "pal8.avi": {"frames": 4},
    "raw.h264": {"frames": 5},
    "rgb.mkv": {"frames": 4},
    "start5.ts": {"frames": 5},
    "still_first.mp4": {"frames": 5},
    "tall.mp4": {"frames": 3, "corner": (100, 100, 100)},
    "three.mkv": {"frames": 10, "sounds": ["eng", "deu", "fra"]},
    "three.mp4": {"frames": 10, "sounds": ["eng", "deu", "fra"]},
    "tiny.mp4": {"frames": 3, "corner": (100, 100, 100)},
    "transparent.gif": {"frames": 4, "alpha": True},
    "two.mp4": {"frames": 2},
    "uneven.gif": {"frames": 4, "times": [0, 0.1, 0.6, 0.64], "length": 2.64},
    "vflip.mp4": {"frames": 5, "corner": (61, 189, 0), "at": "left"},
    "yuv444.mp4": {"frames": 4},
    "zero_delay.gif": {"frames": 4},
}
"""What a film of each clip has. ``corner``: color of the upper right quarter of the first frame,
(191, 63, 0) unless stated otherwise; ``at`` left: of the upper left one."""
COPY_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".gif")


def make_card() -> Image.Image:
    """Draw the test card."""
    card = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    half, middle = HEIGHT // 2, WIDTH // 2
    card[:half, :middle], card[:half, middle:] = (200, 40, 30), (40, 160, 60)
    card[half:, :middle] = (40, 60, 190)
    ramp = np.rint(np.linspace(0, 255, WIDTH)).astype(np.uint8)
    card[half:, middle:] = ramp[middle:, None]
    return Image.fromarray(card)


def make_expected(name: str) -> np.ndarray[Any, Any]:
    """Return the pixels that a picture should have, float levels [H, W, 3]."""
    if GRAYS.search(name) or name.startswith("bilevel"):
        ramp = np.linspace(0, 255, WIDTH)
        if name.startswith("bilevel"):
            ramp = np.where(ramp < 128, 0, 255)
        for bits, top in ((2, 3), (4, 15)):
            if name == f"grey{bits}.tif":
                ramp = np.floor(np.rint(ramp) * top / 255) * 255 / top
        return np.broadcast_to(ramp[None, :, None], (HEIGHT, WIDTH, 3)).astype(np.float64)
    card = make_card()
    stem = name.split(".", maxsplit=1)[0]
    match = re.match(r"orient(\d)", name)
    turned = int(match[1]) if match else next((v for k, v in TURNED.items() if k in stem), 1)
    exif = card.getexif()
    exif[0x0112] = turned
    card.info["exif"] = exif.tobytes()
    return np.asarray(ImageOps.exif_transpose(card), np.float64)


def judge_picture(path: Path) -> tuple[str, str]:
    """Read a picture and return a verdict, ``right`` or ``wrong``, and what happened."""
    from impasto.errors import ImpastoError
    from impasto.image.files.decode import read_picture

    lines: list[str] = []
    try:
        picture = read_picture(path, notice=lines.append)
    except ImpastoError as error:
        line = str(error).removeprefix(f"{path}: ")
        is_right = path.name in REFUSED or path.name in EITHER
        return ("right" if is_right else "wrong"), f"refused: {line}"
    notes = "; ".join(line.removeprefix(f"{path}: ") for line in lines)
    tail = f"; says: {notes}" if notes else ""
    expected = make_expected(path.name)
    if picture.pixels.shape != expected.shape:
        return "wrong", f"{picture.width}x{picture.height} px{tail}"
    visible = np.ones(expected.shape[:2], bool)
    if picture.alpha is not None:
        visible = picture.alpha > 0.02
        tail += f"; alpha {picture.alpha.min():.2f} to {picture.alpha.max():.2f}"
    if not visible.any():
        return "wrong", f"wholly transparent{tail}"
    mean = float(np.abs(picture.pixels * 255 - expected)[visible].mean())
    limit = 6.0 if LOSSY.search(path.name) else 2.5
    is_right = mean <= limit and path.name not in REFUSED
    if path.name == "cmyk_no_adobe.jpg":  # black, as the file says
        is_right = True
    pattern = LINES.get(path.name)
    if pattern is not None and not re.search(pattern, notes):
        is_right = False
    if path.name in NO_LINES and notes:
        is_right = False
    if path.name == "bmp32_alpha_mask_all_zero.bmp" and picture.alpha is not None:
        is_right = False
    return ("right" if is_right else "wrong"), f"mean error {mean:.1f} levels{tail}"


def judge_clip(path: Path) -> tuple[str, str]:
    """Read a clip, copy it to a film, and return a verdict and what happened."""
    from impasto.errors import ImpastoError

    facts, lines = CLIP_FACTS[path.name], list[str]()
    with tempfile.TemporaryDirectory() as folder:
        suffix = path.suffix if path.suffix in COPY_SUFFIXES else ".mp4"
        film = Path(folder) / f"film{suffix}"
        try:
            times, first = copy_clip(path, film, lines)
        except ImpastoError as error:
            return "wrong", f"refused: {str(error).removeprefix(f'{path}: ')}"
        actual = inspect_film(film)
    notes = "; ".join(line.removeprefix(f"{path}: ") for line in lines)
    faults = []
    if len(times) != facts["frames"]:
        faults.append(f"{len(times)} frames instead of {facts['frames']}")
    height, width = first.shape[:2]
    across = 1 if facts.get("at") == "left" else 3
    corner = first[height // 4, across * width // 4].astype(int)
    expected = facts.get("corner", (191, 63, 0))
    if np.abs(corner - expected).max() > 20:
        faults.append(f"color {tuple(corner.tolist())} instead of {expected}")
    if "times" in facts and np.abs(np.subtract(times, facts["times"])).max() > 0.02:
        faults.append(f"times {times}")
    if "length" in facts and abs(actual["length"] - facts["length"]) > 0.02:
        faults.append(f"the film lasts {actual['length']:.2f} s instead of {facts['length']:.2f}")
    if "sounds" in facts and actual["sounds"] != facts["sounds"]:
        faults.append(f"languages {actual['sounds']}")
    if facts.get("alpha") and not actual["alpha"] and not re.search("transparen|alpha", notes):
        faults.append("transparency is lost without a word")
    if "line" in facts and not re.search(facts["line"], notes):
        faults.append(f"is {facts['line']}, and nothing says so")
    if re.search("ends early", notes):
        faults.append("is said to end early")
    outcome = "; ".join(faults) or f"{len(times)} frames"
    return ("wrong" if faults else "right"), outcome + (f"; says: {notes}" if notes else "")


def copy_clip(path: Path, film: Path, lines: list[str]) -> tuple[list[float], Any]:
    """Copy a clip without painting it; return the times of its frames and the first frame."""
    from impasto.video.clip.reading import open_clip
    from impasto.video.clip.selection import FrameSource, Selection
    from impasto.video.job.film_output import write_painted_film
    from impasto.video.job.frame_store import FrameStore, StoredFrame

    clip = open_clip(path, notice=lines.append)
    store = FrameStore(film.with_name("frames"), {})
    times, pixels = [], []
    for index, frame in enumerate(clip.read_frames()):
        levels = frame.load()
        times.append(round(float(frame.time), 3))
        pixels.append(levels)
        store.save(index, StoredFrame(frame.time, 0, levels, ""), levels)
    size = pixels[0].shape[1::-1]
    source = FrameSource(clip, Selection(), (int(size[0]), int(size[1])))
    write_painted_film(film, store, source, notice=lines.append)
    return times, pixels[0]


def inspect_film(film: Path) -> dict[str, Any]:
    """Describe a film: its length in seconds, languages, and whether it is transparent."""
    import av

    with av.open(str(film)) as container:
        video = container.streams.video[0]
        length = (container.duration or 0) / av.time_base
        name = video.codec_context.pix_fmt or ""
        alpha = "a" in name.removeprefix("gray").split("p")[0] or name in ("argb", "rgba", "bgra")
        if film.suffix == ".gif":
            alpha = _has_clear(film)
        alpha = alpha or "alpha_mode" in {key.lower() for key in video.metadata}
        sounds = [each.metadata.get("language", "") for each in container.streams.audio]
    return {"length": length, "sounds": sounds, "alpha": alpha}


def _has_clear(film: Path) -> bool:
    with Image.open(film) as image:
        alpha: Any = image.convert("RGBA").getchannel("A").getextrema()
    return bool(alpha != (255, 255))


def judge_hostile(path: Path) -> tuple[str, str]:
    """Read a hostile file as what its name says it is."""
    from impasto.errors import ImpastoError
    from impasto.image.files.decode import read_picture
    from impasto.image.files.metadata import read_record

    try:
        if path.suffix == ".mat":
            from impasto.encoders.formats import read_parameters

            read_parameters(path)
        elif path.name == "badxmp.jpg":
            read_record(path)
        else:
            read_picture(path)
    except ImpastoError as error:
        return "right", f"refused: {str(error).removeprefix(f'{path}: ')}"
    return "right", "read"


JUDGES = {"pictures": judge_picture, "clips": judge_clip, "hostile": judge_hostile}


def judge_alone(path: Path) -> tuple[str, str]:
    """Judge a file in a process of its own, with limits."""
    command = [sys.executable, __file__, "--one", str(path)]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return "wrong", f"not finished after {TIMEOUT_S} s"
    if answer.returncode < 0:
        return "wrong", f"the process was ended by signal {-answer.returncode}"
    lines = answer.stdout.splitlines()
    if answer.returncode or not lines:
        last = (answer.stderr.strip().splitlines() or ["no output"])[-1]
        return "wrong", f"traceback: {last[:160]}"
    verdict, _, outcome = lines[-1].partition("\t")
    return verdict, outcome


def describe_right(path: Path) -> str:
    """Say in a few words what is right for a file."""
    if path.parent.name == "hostile":
        return "one line, at once, in 2 GiB"
    if path.parent.name == "clips":
        return ", ".join(f"{key} {value}" for key, value in CLIP_FACTS[path.name].items())
    if path.name in REFUSED:
        return "refused in one line"
    what = "ramp" if GRAYS.search(path.name) or "bilevel" in path.name else "card"
    either = " or refused in one line" if path.name in EITHER else ""
    line = " with a line" if path.name in LINES else ""
    return what + line + (" without a line" if path.name in NO_LINES else "") + either


def main() -> None:
    """Judge all files, print what is wrong, and store the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--run", default="now", help="name of the run in the table")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--only", default="", help="part of the names of the files to judge")
    parser.add_argument("--kind", nargs="+", choices=[*JUDGES], default=[*JUDGES])
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        resource.setrlimit(resource.RLIMIT_DATA, (2 * GIB, 2 * GIB))
        verdict, outcome = JUDGES[options.one.parent.name](options.one)
        print(verdict, re.sub(r"\s+", " ", outcome), sep="\t")
        return
    rows = []
    for kind in options.kind:
        for path in sorted((options.folder / kind).iterdir()):
            if options.only not in path.name:
                continue
            verdict, outcome = judge_alone(path)
            rows.append(
                (options.run, f"{kind}/{path.name}", describe_right(path), verdict, outcome)
            )
            if verdict != "right":
                print(f"{kind}/{path.name}: {outcome}", flush=True)
    print(dict(Counter(row[3] for row in rows)))
    if options.csv is not None:
        store_rows(options.csv, options.run, rows)


def store_rows(target: Path, run: str, rows: Sequence[tuple[str, ...]]) -> None:
    """Write a run into the table, in the place of an earlier run with its name."""
    earlier: list[dict[str, str]] = []
    if target.exists():
        with target.open(newline="") as file:
            earlier = [row for row in csv.DictReader(file) if row["run"] != run]
    with target.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows([row[name] for name in COLUMNS] for row in earlier)
        writer.writerows(rows)


if __name__ == "__main__":
    main()

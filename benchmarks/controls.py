"""Draw each control before and after, on the shipped examples: ``docs/gallery/controls.jpg``.

Run: ``python benchmarks/controls.py [--size 160]``. It runs the real command line and keeps the
results in ``benchmarks/.cache/controls``. It needs the extra ``masks`` and the network of
``--mask salient`` (docs/regions.md).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

from impasto.cli import main as impasto
from impasto.record.contact_sheet import ContactSheet

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks" / ".cache" / "controls"
PHOTO, PAINTING, OTHER = (ROOT / "examples" / f"{n}.jpg" for n in ("cat", "painting", "photo"))
SOFT, SKY = FOLDER / "soft.png", FOLDER / "sky.png"
CELL = 300
BOTH: list[str | Path] = ["--style", OTHER]
CONTROLS: dict[str, list[str | Path]] = {
    "no control": [],
    "--strength 0.4": ["--strength", "0.4"],
    "two --style": BOTH,
    "--style-weight 4, 1": [*BOTH, "--style-weight", "4", "--style-weight", "1"],
    "--mask, soft": ["--mask", SOFT],
    "--mask, --style for the rest": [*BOTH, "--mask", SOFT],
    "--mask auto:2, two --style": [*BOTH, "--mask", "auto:2"],
    "--style-mask, its sky only": ["--style-mask", SKY],
    "--colors content": ["--colors", "content"],
    "--colors luminance": ["--colors", "luminance"],
    "--colors match": ["--colors", "match"],
    "--style-scale 0.4": ["--style-scale", "0.4"],
    "--style-scale 2": ["--style-scale", "2"],
    "--set style.layers.relu4_1=0": ["--set", "style.layers.relu4_1=0"],
    "--recipe photoreal, photo as --style": ["--recipe", "photoreal", "--iterations", "60"],
    "--mask rect:40,5,370,290": ["--mask", "rect:40,5,370,290"],
    "--mask salient": ["--mask", "salient"],
}


def main() -> None:
    """Run the commands that have no result yet and draw the sheet."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", default="160")
    size = parser.parse_args().size
    FOLDER.mkdir(parents=True, exist_ok=True)
    write_masks()
    paths = {name: paint_control(name, flags, size) for name, flags in CONTROLS.items()}
    paths |= {"refine --region, its left half": paint_refined(paths["--strength 0.4"])}
    references = [("photo", PHOTO), ("painting", PAINTING), ("other painting", OTHER)]
    pictures = [(label, Image.open(path)) for label, path in references]
    pictures.append(("soft mask", Image.open(SOFT)))
    sheet = ContactSheet((CELL, CELL * 2 // 3), 4, len(paths), pictures)
    for place, (name, path) in enumerate(paths.items()):
        picture = Image.open(path)
        ratio = CELL / picture.width
        large = picture.resize((CELL, round(picture.height * ratio)), Image.Resampling.LANCZOS)
        sheet.place(place, name, large)
    sheet.image.save(ROOT / "docs" / "gallery" / "controls.jpg", quality=85)


def write_masks() -> None:
    """Draw masks: the cat's head with a soft edge, and the painting's sky."""
    with Image.open(PHOTO) as photo, Image.open(PAINTING) as painting:
        sizes = photo.size, painting.size
    (width, height), (across, down) = sizes
    soft = Image.new("L", (width, height))
    box = (0.2 * width, 0.05 * height, 0.85 * width, 0.95 * height)
    ImageDraw.Draw(soft).ellipse(box, fill=255)
    soft.filter(ImageFilter.GaussianBlur(width / 25)).save(SOFT)
    sky = Image.new("L", (across, down))
    ImageDraw.Draw(sky).rectangle((0, 0, across, 0.5 * down), fill=255)
    sky.save(SKY)


def paint_control(name: str, flags: list[str | Path], size: str) -> Path:
    """Paint with a control."""
    out = FOLDER / f"{''.join(c if c.isalnum() else '-' for c in name)}-{size}.png"
    if not out.exists():
        between_photos = "--recipe" in flags
        command: list[str | Path] = [PHOTO, "--style", OTHER if between_photos else PAINTING]
        command += ["--size", size, *([] if between_photos else ["--recipe", "sketch"])]
        run_command([*command, *flags, "--quiet", "-o", out])
    return out


def paint_refined(result: Path) -> Path:
    """Paint the left half of a weak result again at full strength."""
    out = result.with_name(f"refined-{result.name}")
    with Image.open(result) as picture:
        region = f"0,0,{picture.width // 2},{picture.height}"
    if not out.exists():
        flags: list[str | Path] = ["--photo", PHOTO, "--style", PAINTING, "--strength", "1"]
        flags += ["--iterations", "40"]
        run_command(["refine", result, "--region", region, *flags, "--quiet", "-o", out])
    return out


def run_command(arguments: list[str | Path]) -> None:
    """Run one command."""
    if impasto([str(each) for each in arguments]):
        raise SystemExit(f"failed: {arguments}")


if __name__ == "__main__":
    main()

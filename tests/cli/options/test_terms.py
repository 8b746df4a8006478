"""The terms of a recipe from the command line: each does something, and what it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from impasto.cli import main
from impasto.evaluate.compare import compare
from impasto.image.files.decode import read_picture
from impasto.image.picture import Picture

pytestmark = pytest.mark.usefixtures("narrow_encoder")

TERMS = {
    "wasserstein": '[style]\ndistance = "wasserstein"',
    "covariance": '[style]\ndistance = "covariance"',
    "mean_std": '[style]\ndistance = "mean_std"',
    "remd": '[style]\ndistance = "remd"',
    "remd, euclidean": '[style]\ndistance = "remd"\ncost = "euclidean"',
    "self_similarity": '[content]\nkind = "self_similarity"',
    "both contents": "[content]\nstructure = 12.0",
    "palette": "[palette]\nweight = 1.0",
}


def paint(work: Path, name: str, capsys: pytest.CaptureFixture[str]) -> tuple[dict, np.ndarray]:
    """The report and the picture of a short run."""
    recipe = work / "mine.toml"
    recipe.write_text(f'base = "sketch"\n[schedule]\ntotal = 4\n{TERMS.get(name, "")}\n')
    out = work / "out.png"
    arguments = ["--style", str(work / "painting.png"), "--recipe", str(recipe), "--size", "48"]
    arguments += ["-o", str(out), "--force", "--json", "--quiet"]
    assert main([str(work / "photo.png"), *arguments]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    return report, np.asarray(Image.open(out), np.float32) / 255


def test_each_term_paints_another_picture(work, capsys):
    pictures = [paint(work, name, capsys)[1] for name in ("plain", *TERMS)]
    for index, one in enumerate(pictures):
        for other in pictures[:index]:
            assert np.abs(one - other).mean() > 1e-4


@pytest.mark.usefixtures("real_encoder")
def test_a_palette_is_reported_and_brings_the_colors_nearer(work, capsys, monkeypatch):
    plain, _ = paint(work, "plain", capsys)
    assert set(plain["losses"]) == {"total", "content", "style", "smoothness"}
    monkeypatch.setitem(TERMS, "palette", "[palette]\nweight = 10.0\n[style]\nweight = 0.1")
    report, after = paint(work, "palette", capsys)
    losses = report["losses"]
    assert losses["palette"] > 0
    assert sum(losses.values()) - losses["total"] == pytest.approx(losses["total"], rel=1e-5)
    monkeypatch.setitem(TERMS, "palette", "[style]\nweight = 0.1")
    _, without = paint(work, "palette", capsys)
    painting = read_picture(work / "painting.png")
    nearer, far = (
        compare(painting, painting, Picture(each))["palette"] for each in (after, without)
    )
    assert nearer < 0.8 * far


@pytest.mark.parametrize(
    ("table", "field", "choices"),
    [
        ("style", "distance", "'wasserstein', 'covariance', 'mean_std'"),
        ("style", "cost", "'cosine' or 'euclidean'"),
        ("content", "kind", "'features' or 'self_similarity'"),
    ],
)
def test_another_name_is_refused_with_those_there_are(work, capsys, table, field, choices):
    (work / "bad.toml").write_text(f'base = "sketch"\n[{table}]\n{field} = "sinkhorn"\n')
    arguments = ["--style", str(work / "painting.png"), "--recipe", str(work / "bad.toml")]
    assert main([str(work / "photo.png"), *arguments]) == 2
    (complaint,) = capsys.readouterr().err.splitlines()
    assert f"{table}.{field}" in complaint
    assert choices in complaint
    assert "sinkhorn" in complaint

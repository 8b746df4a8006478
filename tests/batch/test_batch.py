"""``impasto batch``: sources, outputs that exist, collisions, and messages."""

from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from conftest import synthetic_photo
from impasto.batch import batch_run
from impasto.batch.batch_job import WorkerShare
from impasto.batch.batch_record import BatchRecord
from impasto.batch.processes.batch_worker import BatchWorker
from impasto.batch.processes.executors import SerialExecutor
from impasto.batch.sources import photo_search
from impasto.cli import main
from impasto.cli.reports.batch_report import BYTES_A_PIXEL
from impasto.image.files import atomic
from impasto.image.files.atomic import name_temporary
from impasto.image.files.decode import read_picture
from impasto.optimize import optimizer_engine
from impasto.record.provenance import read_provenance

pytestmark = pytest.mark.usefixtures("narrow_encoder")

SHALLOW = ["style.distance=gram", "style.layers={ relu2_1 = 1 }", "content.layers={ relu2_1 = 1 }"]
QUICK = ["--style", "painting.png", "-o", "out", "--size", "32"]
QUICK += [word for each in SHALLOW for word in ("--set", each)]
QUICK += ["--iterations", "1"]
RECORD = Path("out/impasto-batch.jsonl")


@pytest.fixture(autouse=True)
def in_work(work, monkeypatch):
    """Run every test in a folder of its own, with three photos below ``photos``."""
    monkeypatch.chdir(work)
    Path("photos/deep").mkdir(parents=True)
    for number, name in enumerate(["a.png", "b.jpg", "deep/c.png"]):
        save(f"photos/{name}", number)
    return work


@pytest.fixture(autouse=True, scope="module")
def one_network():
    """Load the network once for all tests; they are about everything else."""
    load, loaded = optimizer_engine.load_encoder, {}

    def load_once(*key):
        return loaded[key] if key in loaded else loaded.setdefault(key, load(*key))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(optimizer_engine, "load_encoder", load_once)
        yield


def save(path: str, shift: int = 0) -> None:
    Image.fromarray(np.roll(synthetic_photo(), 9 * shift, axis=1)).save(path)


def run_batch(*arguments: str) -> int:
    """Run the command in this process, without starting workers."""
    return main(["batch", *arguments, "--executor", "serial"])


def read_events(kind: str) -> list[dict]:
    lines = [json.loads(line) for line in RECORD.read_text().splitlines()]
    return [line for line in lines if line["event"] == kind]


def list_outputs() -> set[str]:
    paths = (path for path in Path("out").rglob("*") if path.is_file() and path != RECORD)
    return {path.relative_to("out").as_posix() for path in paths}


def read_report(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_batch_restores_the_number_of_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(before + 2)
    try:
        assert run_batch("photos/a.png", *QUICK) == 0
        assert torch.get_num_threads() == before + 2
    finally:
        torch.set_num_threads(before)


def test_a_folder_keeps_its_tree_and_a_second_run_has_nothing_to_do(capsys):
    Path("photos/notes.txt").write_text("no picture")
    Path("photos/.hidden.png").write_bytes(b"")
    assert run_batch("photos", *QUICK, "--json") == 0
    assert list_outputs() == {"a.png", "b.png", "deep/c.png"}
    report = read_report(capsys)
    assert (report["made"], report["done_before"], report["failed"]) == (3, 0, [])
    before = {name: Path("out", name).stat().st_mtime_ns for name in list_outputs()}
    assert run_batch("photos", *QUICK, "--json") == 0
    report = read_report(capsys)
    assert (report["made"], report["done_before"]) == (0, 3)
    assert {name: Path("out", name).stat().st_mtime_ns for name in list_outputs()} == before


def test_each_picture_is_the_one_that_a_single_run_makes():
    assert run_batch("photos", *QUICK) == 0
    main(["photos/deep/c.png", "--style", "painting.png", "-o", "one.png", *QUICK[4:]])
    assert Path("one.png").read_bytes() == Path("out/deep/c.png").read_bytes()
    assert read_provenance(Path("out/b.png")).inputs[0][0] == "b.jpg"


def test_the_record_says_what_was_done_with_what():
    Path("photos/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n, then nothing")
    assert run_batch("photos", *QUICK) == 1
    events = {line["output"]: line for line in read_events("done")}
    assert set(events) == {"a.png", "b.png", "deep/c.png"}
    for name, line in events.items():
        assert line["bytes"] == Path("out", name).stat().st_size
        assert line["seconds"] > 0
        assert len(line["sha256"]) == 64
    (failed,) = read_events("failed")
    assert failed["photo"] == "photos/broken.png"
    assert "broken.png" in failed["error"]
    (recipe,) = read_events("recipe")
    assert recipe["recipe"] == events["a.png"]["recipe"]
    assert recipe["is"]["size"] == 32
    assert recipe["styles"][0]["name"] == "painting.png"


def test_a_bad_file_never_stops_the_others_and_is_retried(capsys):
    Path("photos/0.jpg").write_text("hello")
    assert run_batch("photos", *QUICK) == 1
    messages = capsys.readouterr().err
    assert "3 made" in messages
    assert "failed: photos/0.jpg: looks like text" in messages
    save("photos/0.jpg")
    assert run_batch("photos", *QUICK) == 0
    assert "0.png" in list_outputs()


@pytest.mark.parametrize("change", ["photo", "recipe", "painting", "output"])
def test_changed_outputs_are_kept_and_reported_until_forced(change, capsys):
    assert run_batch("photos", *QUICK) == 0
    again = list(QUICK)
    if change == "photo":
        save("photos/a.png", 3)
    elif change == "recipe":
        again[-1] = "2"
    elif change == "painting":
        save("painting.png", 5)
    else:
        Path("out/a.png").write_bytes(Path("out/a.png").read_bytes()[:-9])
    before, left = Path("out/a.png").read_bytes(), 3 if change in ("recipe", "painting") else 1
    capsys.readouterr()
    assert run_batch("photos", *again, "--json") == 1
    streams = capsys.readouterr()
    assert len(json.loads(streams.out.splitlines()[-1])["left"]) == left
    assert "--force replaces them" in streams.err
    assert Path("out/a.png").read_bytes() == before
    assert run_batch("photos", *again, "--force", "--json") == 0
    assert read_report(capsys)["made"] == left
    assert Path("out/a.png").read_bytes() != before
    assert run_batch("photos", *again, "--force", "--json") == 0  # what is done stays done
    assert read_report(capsys)["made"] == 0


def test_a_photo_that_was_only_touched_or_copied_is_recognized_by_its_hash(capsys):
    assert run_batch("photos", *QUICK) == 0
    os.utime("photos/a.png", (1, 1))
    shutil.copyfile("photos/b.jpg", "copy")
    Path("copy").replace("photos/b.jpg")
    capsys.readouterr()
    assert run_batch("photos", *QUICK, "--json") == 0
    assert read_report(capsys)["done_before"] == 3


def test_a_file_that_is_not_of_this_batch_is_only_replaced_by_force(capsys):
    Path("out").mkdir()
    Path("out/b.png").write_bytes(b"mine")
    assert run_batch("photos", *QUICK) == 2
    assert "such as out/b.png; --force allows it" in capsys.readouterr().err
    assert list_outputs() == {"b.png"}
    assert run_batch("photos", *QUICK, "--force") == 0
    assert read_picture(Path("out/b.png")).width == 32


def test_a_missing_output_is_made_again(capsys):
    assert run_batch("photos", *QUICK) == 0
    Path("out/b.png").unlink()
    assert run_batch("photos", *QUICK, "--json") == 0
    assert read_report(capsys)["made"] == 1


def test_a_kill_between_the_output_and_its_record_costs_nothing(capsys):
    assert run_batch("photos", *QUICK) == 0
    lines = RECORD.read_bytes().splitlines(keepends=True)
    assert b'"done"' in lines[-1]
    RECORD.write_bytes(b"".join(lines[:-1]) + lines[-1][:50])  # cut short
    capsys.readouterr()
    assert run_batch("photos", *QUICK, "--json") == 0
    assert read_report(capsys)["done_before"] == 3
    with closing(BatchRecord(RECORD)) as record:
        assert not record.find_entry("deep/c.png").is_unfinished
    event = json.loads(RECORD.read_text().splitlines()[-1])
    assert event["bytes"] == Path("out/deep/c.png").stat().st_size
    assert {"width", "seconds", "worker"}.isdisjoint(event)  # nobody saw them
    save("photos/new.png")
    assert run_batch("photos", *QUICK, "--json") == 0
    assert read_report(capsys)["made"] == 1
    with closing(BatchRecord(RECORD)) as record:
        assert record.find_entry("new.png").event == "done"


def test_half_written_files_of_a_kill_are_removed():
    assert run_batch("photos", *QUICK) == 0
    dead, alive = Path("out", name_temporary(9999999)), Path("out", name_temporary(os.getpid()))
    for path in (dead, alive):
        path.touch()
    assert run_batch("photos", *QUICK) == 0
    assert dead.exists()  # nobody was killed here
    Path("out/b.png").unlink()
    lines = RECORD.read_text().splitlines()
    others = [line for line in lines if '"done", "output": "b.png"' not in line]
    RECORD.write_text("\n".join(others) + "\n")
    assert run_batch("photos", *QUICK) == 0
    assert (dead.exists(), alive.exists()) == (False, True)
    assert Path("out/b.png").exists()


def test_a_kill_while_an_older_output_was_replaced_makes_it_again(capsys):
    assert run_batch("photos", *QUICK) == 0
    older = Path("out/b.png").read_bytes()
    again = [*QUICK[:-1], "2", "--force"]
    assert run_batch("photos", *again) == 0
    lines = [line for line in RECORD.read_text().splitlines() if "b.png" in line]
    rest = RECORD.read_text().replace(lines[-1] + "\n", "")
    RECORD.write_text(rest)
    Path("out/b.png").write_bytes(older)
    capsys.readouterr()
    assert run_batch("photos", *again, "--json") == 0
    assert read_report(capsys)["made"] == 1
    assert Path("out/b.png").read_bytes() != older


@pytest.mark.parametrize("other", ["photos/a.jpg", "photos/A.png", "photos/deep.png/x.png"])
def test_colliding_names_are_reported_before_the_start(other, capsys):
    if "deep.png" in other:
        save("photos/deep.jpg")
        Path("photos/deep.png").mkdir()
    save(other)
    assert run_batch("photos", *QUICK) == 2
    messages = capsys.readouterr().err
    assert "would" in messages
    assert list_outputs() == set()
    if other == "photos/a.jpg":
        assert "--full-names" in messages
        assert run_batch("photos", *QUICK, "--full-names") == 0
        assert {"a.png.png", "a.jpg.png"} < list_outputs()


def test_results_inside_the_source_are_not_photos(capsys):
    inside = [*QUICK[:2], "-o", "photos/out", *QUICK[4:]]
    assert run_batch("photos", *inside) == 0
    assert run_batch("photos", *inside, "--json") == 0
    assert read_report(capsys)["made"] == 0
    assert run_batch("photos/**/*.png", *inside, "--root", "photos", "--json") == 0
    assert read_report(capsys)["made"] == 0
    assert run_batch("photos", *QUICK[:2], "-o", "photos", *QUICK[4:]) == 2
    assert "choose another folder for the results" in capsys.readouterr().err


def test_links_to_folders_are_followed_once_and_not_in_circles():
    Path("photos/deep/up").symlink_to("..")
    Path("elsewhere").mkdir()
    save("elsewhere/e.png")
    Path("elsewhere/back").symlink_to(Path("photos").resolve())
    Path("photos/link").symlink_to(Path("elsewhere").resolve())
    Path("photos/same").symlink_to(Path("elsewhere").resolve())
    Path("photos/gone.png").symlink_to("nowhere.png")
    assert run_batch("photos", *QUICK) == 1  # the broken link
    assert list_outputs() == {"a.png", "b.png", "deep/c.png", "link/e.png"}


@pytest.fixture
def no_way_into_deep(monkeypatch):
    scan = os.scandir

    def scandir(path):
        if str(path).endswith("deep"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.usefixtures("no_way_into_deep")
def test_an_unreadable_folder_is_reported_and_the_rest_is_made(capsys):
    assert run_batch("photos", *QUICK) == 1
    assert "failed: photos/deep: Permission denied" in capsys.readouterr().err
    assert list_outputs() == {"a.png", "b.png"}


@pytest.mark.usefixtures("no_way_into_deep", "room")
def test_an_unreadable_folder_is_not_counted_as_a_picture_to_do(capsys):
    assert run_batch("photos", *QUICK) == 4
    assert re.search(r"1 made in \d+:\d\d, 2 failed, 0 to do: ", capsys.readouterr().err)


def test_lists_patterns_and_single_files_are_sources(monkeypatch):
    class Standard:
        buffer = io.BytesIO(b"photos/a.png\nphotos/none.png\n\nphotos/a.png\n")

    monkeypatch.setattr(sys, "stdin", Standard)
    assert run_batch("-", *QUICK) == 1
    assert list_outputs() == {"photos/a.png"}
    assert run_batch("photos/**/*.png", *QUICK, "--root", "photos/deep") == 0
    assert list_outputs() == {"photos/a.png", "a.png", "c.png"}
    Standard.buffer = io.BytesIO(b"photos/b.jpg\0photos/new\nline.png\0")
    save("photos/new\nline.png")
    assert run_batch("-", *QUICK, "--root", "photos") == 0
    assert {"b.png", "new\nline.png"} < list_outputs()
    assert run_batch("nothing/*.png", *QUICK) == 2


def test_a_table_sets_paintings_and_any_field_of_the_recipe(capsys):
    save("second.png", 4)
    Path("table.csv").write_text(
        "photo,style,size,style.scale,output,strength,recipe\n"
        "photos/a.png,painting.png,24,,,0.5,sketch\n"
        "photos/a.png,second.png,,2.0,,,\n"
        "photos/a.png,painting.png|second.png,,,both/a,,\n"
        "photos/b.jpg,,,,,,\n"
    )
    assert run_batch("table.csv", *QUICK) == 0
    assert list_outputs() == {
        *("photos/a-painting.png", "photos/a-second.png", "both/a.png", "photos/b.png")
    }
    small = read_provenance(Path("out/photos/a-painting.png")).recipe
    assert (small.size, small.strength, small.name) == (24, 0.5, "sketch")
    assert read_provenance(Path("out/photos/a-second.png")).recipe.style.scale == 2
    assert len(read_provenance(Path("out/both/a.png")).inputs) == 3
    rows = [
        {"photo": "photos/a.png", "style": ["painting.png"], "size": 24, "strength": 0.5}
        | {"recipe": "sketch"},
        {"photo": "photos/b.jpg", "output": "deep/er/b.png", "schedule.total": 2},
    ]
    Path("table.jsonl").write_text("\n".join(map(json.dumps, rows)))
    capsys.readouterr()
    assert run_batch("table.jsonl", *QUICK, "--json") == 0
    report = read_report(capsys)
    assert (report["made"], report["done_before"]) == (1, 1)
    assert read_provenance(Path("out/deep/er/b.png")).recipe.schedule.total == 2


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"style": "painting.png"}, "photo must be a path or URL"),
        ({"photo": "a.png", "sise": 3}, "sise: no such field; did you mean size"),
        ({"photo": "a.png", "size": 3}, "size is 3; expected 16 or more"),
        ({"photo": "a.png", "style": "none.png"}, "none.png: no such file"),
        ({"photo": "a.png", "style": "photos"}, "photos: is a folder"),
        ({"photo": "a.png", "output": "../a.png"}, "not a path below the output folder"),
        ({"photo": "a.png", "output": "/a.png"}, "not a path below the output folder"),
        ({"photo": "a.png", "recipe": "nope"}, "no recipe 'nope'"),
        (
            {"photo": "a.png", "recipe": "best", "quality": "best"},
            "both choose a recipe; remove one",
        ),
        ({"photo": 3}, "photo must be a path or URL"),
        ([1], "expected an object"),
    ],
)
def test_a_bad_row_is_reported_in_one_line_with_its_number(row, says, capsys):
    good = {"photo": "photos/a.png"}
    Path("t.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(row)}\n")
    assert run_batch("t.jsonl", *QUICK) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("impasto: error: t.jsonl line 2: ")
    assert says in line


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"path\nphotos/a.png\n", "including photo"),
        (b"photo,size\nphotos/a.png,24,7\n", "line 2: has more cells"),
        (b"photo,photo\na,b\n", "two columns have the same name"),
        (b"photo\n\xff\xfe\n", "not UTF-8 text"),
        (b'photo\n"photos/a.png\n', "unexpected end of data"),
    ],
)
def test_a_bad_csv_is_reported_in_one_line(text, says, capsys):
    Path("t.csv").write_bytes(text)
    assert run_batch("t.csv", *QUICK) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_different_rows_of_one_photo_need_output_names(capsys):
    Path("t.csv").write_text("photo,seed\nphotos/a.png,1\nphotos/a.png,2\n")
    assert run_batch("t.csv", *QUICK) == 2
    assert "expected different outputs in these rows" in capsys.readouterr().err


def test_a_dry_run_estimates_and_writes_nothing(monkeypatch, capsys):
    def probe_large(self, job):
        return replace(probe(self, job), seconds=40.0, width=1000, height=2000)

    probe = BatchWorker.probe
    monkeypatch.setattr(BatchWorker, "probe", probe_large)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 2**30))
    assert run_batch("photos", *QUICK, "--dry-run", "--json") == 0
    streams = capsys.readouterr()
    assert json.loads(streams.out.splitlines()[-1])["to_make"] == 3
    assert "3 to make" in streams.err
    pictures = 3 * 2_000_000 * BYTES_A_PIXEL["png"] / 2**20
    assert f"about 2:00 with 1 worker, and {pictures:.1f} MiB of 1,024 MiB free" in streams.err
    assert not Path("out").exists()


def test_a_batch_that_does_not_fit_on_the_disk_is_not_started(monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 9))
    assert run_batch("photos", *QUICK) == 4
    assert "--limit N makes fewer" in capsys.readouterr().err
    assert list_outputs() == set()


@pytest.fixture
def room(monkeypatch):
    """Make a disk that has room only for the outputs with these names."""
    replacing, room = atomic.replace_atomically, ["a.png"]

    @contextlib.contextmanager
    def fill_disk(target, **options):
        with replacing(target, **options) as temporary:
            yield temporary
            if target.name not in room:
                raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(atomic, "replace_atomically", fill_disk)
    return room


def test_a_full_disk_ends_the_batch_and_the_rest_is_made_later(room, capsys):
    assert run_batch("photos", *QUICK) == 4
    messages = capsys.readouterr().err
    assert "the disk is full: 1 made" in messages
    assert "1 to do: the same command continues" in messages
    assert list_outputs() == {"a.png"}
    room += ["b.png", "c.png"]
    assert run_batch("photos", *QUICK) == 0
    assert list_outputs() == {"a.png", "b.png", "deep/c.png"}


def test_a_limit_makes_the_rest_next_time(capsys):
    assert run_batch("photos", *QUICK, "--limit", "2") == 0
    assert list_outputs() == {"a.png", "b.png"}
    assert run_batch("photos", *QUICK, "--limit", "2", "--json") == 0
    assert read_report(capsys)["made"] == 1


def test_the_other_flags_reach_every_picture():
    flags = ["--format", "tif", "--depth", "16", "--no-metadata", "--print", "1in@40dpi"]
    job = [*QUICK[:4], *QUICK[6:], *flags]
    assert run_batch("photos/a.png", *job, "--root", "photos") == 0
    picture = read_picture(Path("out/a.tif"))
    assert (picture.width, picture.metadata.depth) == (40, 16)
    assert not read_provenance(Path("out/a.tif")).keeps_metadata
    assert (
        run_batch("photos/b.jpg", *QUICK, "--no-embed", "--format", "jpg", "--root", "photos") == 0
    )
    assert Path("out/b.jpg").read_bytes()[:2] == b"\xff\xd8"
    assert b"impasto" not in Path("out/b.jpg").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none", *QUICK], "none: no such file or folder"),
        (["photos", "-o", "out"], "no painting"),
        (["photos", *QUICK[2:], "--style", "none.png"], "none.png: no such file"),
        (["photos", *QUICK[2:], "--style", "photos/note.txt"], "looks like text"),
        (["empty", *QUICK], "empty: no pictures found (1 other files)"),
        (["photos", *QUICK, "--format", "jpg", "--depth", "16"], "16 bits"),
        (
            ["photos", "--style", "painting.png", "-o", "painting.png"],
            "is a file, but the results need",
        ),
        (["photos", *QUICK, "--record", "painting.png"], "not the record of a batch"),
        (["photos", *QUICK, "--weights", "none.h5"], "none.h5: cannot be read"),
        (["photos/a.png", *QUICK, "--watch"], "--watch requires a folder"),
        (["photos", *QUICK, "--watch", "--limit", "1"], "--watch and --limit cannot"),
        (["photos", *QUICK[:2], "-o", "memory://x"], "requires --record FILE"),
        (["photos", *QUICK, "--style-weight", "2", "--style-weight", "1"], "style weight"),
        (["photos", *QUICK, "--device", "cuda:77"], "cuda:77"),
    ],
)
def test_bad_usage_is_reported_in_one_line_before_the_work(arguments, says, capsys):
    Path("empty").mkdir()
    Path("empty/x.txt").touch()
    Path("photos/note.txt").write_text("hello")
    assert run_batch(*arguments) in (2, 4)
    messages = capsys.readouterr().err.splitlines()
    assert says in messages[-1]
    assert messages[-1].startswith("impasto: error: ")


def test_inputs_are_never_overwritten_even_by_force(capsys):
    Path("t.csv").write_text("photo,output\nphotos/a.png,photos/b.jpg\nphotos/b.jpg,x.png\n")
    assert run_batch("t.csv", *QUICK[:2], "-o", ".", *QUICK[4:], "--force") == 2
    assert "inputs are never overwritten" in capsys.readouterr().err
    Path("t.csv").write_text("photo,output\nphotos/a.png,painting.png\n")
    assert run_batch("t.csv", *QUICK[:2], "-o", ".", *QUICK[4:], "--force") == 2


def test_two_batches_on_one_record_are_refused(capsys):
    assert run_batch("photos", *QUICK) == 0
    with closing(BatchRecord(RECORD)):
        assert run_batch("photos", *QUICK) == 2
    assert "another batch is using this record" in capsys.readouterr().err


def test_urls_go_through_fsspec(capsys):
    import fsspec

    store = fsspec.filesystem("memory")
    store.pipe_file("/in/x/a.png", Path("photos/a.png").read_bytes())
    store.pipe_file("/in/b.jpg", b"broken")
    store.pipe_file("/style.png", Path("painting.png").read_bytes())
    job = ["memory://in", "--style", "memory://style.png", "-o", "memory://done/here"]
    job += ["--record", "r.jsonl", *QUICK[4:]]
    assert run_batch(*job) == 1
    assert run_batch("photos/a.png", *QUICK) == 0
    there = read_picture(store.cat_file("/done/here/x/a.png"))
    assert there.compute_sha256() == read_picture(Path("out/photos/a.png")).compute_sha256()
    assert not store.exists("/done/here/b.png")
    store.pipe_file("/in/b.jpg", Path("photos/b.jpg").read_bytes())
    capsys.readouterr()
    assert run_batch(*job, "--json") == 0
    report = read_report(capsys)
    assert (report["made"], report["done_before"]) == (1, 1)
    files = ["--style", f"file://{Path('painting.png').resolve()}", *QUICK[4:]]
    there = f"file://{Path('photos').resolve()}"
    assert run_batch(there, *files, "-o", f"file://{Path('new').resolve()}") == 0
    assert Path("new/deep/c.png").exists()
    assert run_batch("nosuch://bucket/x", *QUICK) == 2


@pytest.fixture
def watch(monkeypatch):
    """Watch ``photos``; each time the batch is idle, one thing happens, and finally a Ctrl-C."""
    rest = time.sleep

    def run(*things):
        coming = [*things, *[lambda: None] * 6, lambda: os.kill(os.getpid(), 2)]

        def sleep(_):
            if coming:
                coming.pop(0)()
            rest(0.001)

        monkeypatch.setattr(time, "sleep", sleep)
        return run_batch("photos", *QUICK, "--watch", "--json")

    monkeypatch.setattr(photo_search, "SETTLED_S", 0.0)
    monkeypatch.setattr(batch_run, "POLL_S", 0.01)
    return run


def test_a_watched_folder_takes_files_when_they_are_complete(watch, capsys):
    whole = Path("photos/a.png").read_bytes()
    code = watch(
        lambda: Path("photos/late.png").write_bytes(whole[:40]),
        lambda: Path("photos/late.png").write_bytes(whole[:80]),
        lambda: Path("photos/late.png").write_bytes(whole),
        lambda: Path("photos/text.png").write_text("no picture"),
    )
    report = read_report(capsys)
    assert (code, report["made"], len(report["failed"])) == (1, 4, 1)
    assert read_picture(Path("out/late.png")).width == 32
    assert [line["photo"] for line in read_events("begun")].count("photos/late.png") == 1


def test_a_killed_watch_resumes(watch, capsys):
    """One output was written but not recorded, and another was being written."""
    assert run_batch("photos", *QUICK) == 0
    others = [
        line for line in RECORD.read_text().splitlines() if '"done", "output": "b' not in line
    ]
    RECORD.write_text("\n".join(others[:-1]) + "\n")
    Path("out/b.png").unlink()
    half = Path("out", name_temporary(9999999))
    half.touch()
    assert watch() == 0
    report = read_report(capsys)
    assert (report["made"], report["done_before"]) == (1, 2)
    assert sorted(line["output"] for line in read_events("done")) == [
        "a.png",
        "b.png",
        "deep/c.png",
    ]
    assert not half.exists()


def test_a_file_saved_again_while_it_is_painted_waits_for_its_turn(watch, monkeypatch):
    handed = []

    def submit(self, jobs):
        handed.extend(job.key for job in jobs)
        save(jobs[0].photo, 7)
        return pool.submit(work_slowly, self._worker, jobs)

    def work_slowly(worker, jobs):
        threading.Event().wait(0.3)  # for thirty looks
        return worker.work(jobs, WorkerShare())

    monkeypatch.setattr(SerialExecutor, "submit", submit)
    monkeypatch.setattr(SerialExecutor, "start_workers", lambda *_: 2)
    shutil.rmtree("photos/deep")
    Path("photos/b.jpg").unlink()
    with ThreadPoolExecutor() as pool:
        assert watch() == 0
    assert handed == ["a.png"]  # which was read after it was saved, so that it is done


def test_a_watched_folder_that_goes_away_and_comes_back_is_reported_once(watch, capsys):
    def come_back():
        Path("away").rename("photos")
        save("photos/late.png")

    def do_nothing():
        pass

    code = watch(
        do_nothing, lambda: Path("photos").rename("away"), do_nothing, do_nothing, come_back
    )
    streams = capsys.readouterr()
    assert streams.err.splitlines().count("impasto: photos: no such file or folder") == 1
    report = json.loads(streams.out.splitlines()[-1])
    assert (code, report["made"], len(report["failed"])) == (1, 4, 1)


@pytest.mark.usefixtures("no_way_into_deep")
def test_a_watched_folder_that_cannot_be_read_is_reported_once(watch, capsys):
    assert watch(lambda: save("photos/late.png")) == 1
    streams = capsys.readouterr()
    assert streams.err.splitlines().count("impasto: photos/deep: Permission denied") == 1
    report = json.loads(streams.out.splitlines()[-1])
    assert (report["made"], len(report["failed"])) == (3, 1)

"""Parts of a batch: manifests, records, shares of a machine, and what engines cache."""

from __future__ import annotations

import contextlib
import json
import pickle
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from impasto.api.stylizer import Stylizer
from impasto.batch.batch_job import BatchJob, Probe, WorkerSettings, WorkerShare
from impasto.batch.batch_record import BatchRecord
from impasto.batch.processes import local_machine
from impasto.batch.processes.batch_worker import BatchWorker
from impasto.batch.processes.local_machine import count_cores, share_machine
from impasto.batch.sources import places
from impasto.batch.sources.manifest import ManifestRow, read_rows
from impasto.cli.options.arguments import escape_line
from impasto.cli.reports.error_text import name_flag
from impasto.encoders.vgg import VggEncoder
from impasto.errors import ImageError, ImpastoError, InputError, quote_field
from impasto.image.files.decode import read_picture
from impasto.recipe.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("narrow_encoder")

QUIET = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CELLS = st.sampled_from(
    ["a.png", "photo", "style", "size", "1", '"', "|", "[1", "{", "../x", "\n", ",", "\r\n", "é"]
)


@QUIET
@given(cells=st.lists(CELLS, max_size=30), kind=st.sampled_from([".csv", ".jsonl"]))
def test_any_table_gives_rows_or_a_one_line_error(tmp_path, cells, kind):
    table = tmp_path / f"t{kind}"
    table.write_text("photo,style\n" * (len(cells) % 2) + "".join(cells), "utf-8", newline="")
    rows, pieces = [], [f"{table}: "]
    try:
        rows = list(read_rows(str(table)))
    except InputError as error:
        pieces = escape_line(str(error)).split(f"{table}", 1)
    assert pieces[0] in ("", f"{table}: ")
    assert all(isinstance(row, ManifestRow) and row.photo and row.place for row in rows)


@QUIET
@given(data=st.binary(max_size=200), start=st.integers(0, 99))
@example(data=b"", start=40)
def test_any_record_is_read_or_refused_but_never_lost(tmp_path, data, start):
    path = tmp_path / "r.jsonl"
    path.unlink(missing_ok=True)
    with closing(BatchRecord(path)):
        header = path.read_bytes()
    begin, _, _ = header.partition(b' "impasto"')
    there = header[:start] + data
    path.write_bytes(there)
    is_one = there.startswith(begin) or begin.startswith(there)
    refused = pytest.raises(InputError, match="not the record of a batch")
    for _ in range(2):  # what is mended stays so
        with contextlib.nullcontext() if is_one else refused, closing(BatchRecord(path)):
            pass
    assert path.read_bytes().startswith(there if b"\n" in there or not is_one else begin)


@pytest.mark.parametrize(
    "line",
    [
        *('{"event": "done"}', "[]", "{}", "nonsense", "[" * 100_000),
        '{"event": "done", "output": 3, "recipe": []}',
        '{"event": "done", "output": "x", "recipe": "r", "bytes": "many"}',
    ],
)
def test_a_damaged_line_does_not_affect_the_others(tmp_path, line):
    path = tmp_path / "r.jsonl"
    good = {"event": "done", "output": "a.png", "recipe": "r", "sha256": "h", "bytes": 7}
    with closing(BatchRecord(path)):
        head = path.read_text()
    path.write_text(f"{head}{line}\n{json.dumps(good)}\n")
    with closing(BatchRecord(path)) as record:
        assert record.find_entry("a.png").bytes == 7


def make_probe(memory: int, available: int | None, device: str = "cpu", devices: int = 1) -> Probe:
    return Probe(1.0, memory, 2 * memory, available, 8, 8, device, devices)


@pytest.mark.parametrize(
    ("capacity", "workers", "limit", "expected"),
    [
        (make_probe(1, 100), None, None, (8, 1, 12)),  # one thread each
        (make_probe(30, 100), None, None, (3, 2, 33)),  # as many as fit
        (make_probe(300, 100), None, None, (1, 8, 100)),  # one in any case
        (make_probe(1, None), None, None, (8, 1, None)),
        (make_probe(1, 100), 2, None, (2, 4, 50)),  # as asked for
        (make_probe(1, 100), 20, None, (20, 1, 5)),
        (make_probe(10, 100), None, 40, (4, 2, 10)),  # the user's limit, for all
        (None, None, None, (8, 1, None)),
        (None, 3, 30, (3, 2, 10)),
        (make_probe(30, 100, "cuda", 2), None, None, (2, 4, None)),  # one a GPU
    ],
)
def test_threads_times_workers_never_exceed_the_cores(
    capacity, workers, limit, expected, monkeypatch
):
    monkeypatch.setattr(local_machine, "count_cores", lambda: 8)
    shares = share_machine(capacity, workers, limit)
    assert (len(shares), shares[0].threads, shares[0].max_memory) == expected
    if workers is None:
        assert len(shares) * shares[0].threads <= 8
    if capacity and capacity.device == "cpu" and expected[2]:
        assert shares[0].roomy == (expected[2] >= 2 * capacity.memory)
    if capacity and capacity.devices > 1:
        assert [share.device for share in shares] == ["cuda:0", "cuda:1"]


def test_the_quota_of_a_container_limits_the_cores(monkeypatch, tmp_path):
    quota = tmp_path / "cpu.max"
    monkeypatch.setattr(local_machine, "QUOTA", quota)
    monkeypatch.setattr(
        local_machine.os, "sched_getaffinity", lambda _: set(range(16)), raising=False
    )
    assert count_cores() == 16
    for text, expected in (("max 100000", 16), ("400000 100000", 4), ("10000 100000", 1)):
        quota.write_text(text)
        assert count_cores() == expected


@pytest.mark.parametrize(("name_field", "name"), [(quote_field, "`size`"), (name_flag, "--size")])
def test_a_failure_names_the_option_as_the_caller_does(name_field, name, tmp_path):
    photo = tmp_path / "flat.png"
    Image.new("RGB", (90, 20)).save(photo)
    recipe = load_recipe("sketch").with_changes({"size": 32})
    job = BatchJob("flat", str(photo), (str(photo),), str(tmp_path / "out.png"), recipe, "id", "1")
    worker = BatchWorker(pickle.loads(pickle.dumps(WorkerSettings(name_field=name_field))))
    (outcome,) = worker.work([job], WorkerShare())
    assert name in str(outcome.error)


def test_stylizers_share_networks_by_a_cache_or_by_another_stylizer():
    recipe = load_recipe("sketch").with_changes({"size": 48})
    first = Stylizer(recipe)
    others = Stylizer(recipe, cache=first.cache), Stylizer(recipe, like=first), Stylizer(recipe)
    encoder = first._engine.extractor.encoder
    assert [each._engine.extractor.encoder is encoder for each in others] == [True, True, False]


def test_an_engine_measures_a_painting_once_for_photos_of_equal_size(pictures, monkeypatch):
    passed = []
    forward = VggEncoder.forward

    def count_images(self, image):
        passed.append(image.shape)
        return forward(self, image)

    recipe = load_recipe("sketch").with_changes({"size": 48, "schedule.total": 2})
    photo, painting = (read_picture(pictures / f"{name}.png") for name in ("photo", "painting"))
    monkeypatch.setattr(VggEncoder, "forward", count_images)

    def paint(engine, style=painting):
        passed.clear()
        *_, last = engine.run(photo, [style])
        return last.picture().compute_sha256(), len(passed)

    engine = Stylizer(recipe)
    first, passes = paint(engine)
    again, fewer = paint(engine)
    assert again == first
    assert fewer == passes - 1
    other = read_picture(painting.to_pil().transpose(0))
    changed, more = paint(engine, other)
    assert (changed != first, more) == (True, passes)
    assert changed == paint(Stylizer(recipe), other)[0]


@pytest.mark.parametrize("place", ["memory://no/such.png", "nothing.png", "/", "/dev/null", "a\0b"])
def test_missing_files_are_reported_in_one_line(place):
    with pytest.raises(ImageError) as caught:
        places.read(place)
    assert "\n" not in str(caught.value)
    assert places.read_place_stamp(place) is None or Path(place).exists()


def test_a_full_object_store_is_reported(monkeypatch):
    import fsspec

    from impasto.errors import ResourceError

    def refuse(self, path, value, **_):
        raise RuntimeError("quota\nexceeded")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "pipe_file", refuse)
    with pytest.raises(ResourceError, match=r"memory://x/y: cannot be written \(quota\)"):
        places.write("memory://x/y", b"")
    with contextlib.suppress(ImpastoError):
        assert list(places.list_store_files("memory://nowhere")) == []

"""What a worker makes of jobs, and of what is asked of it meanwhile."""

from __future__ import annotations

import io
import json
import threading

import numpy as np
import pytest

pytest.importorskip("fastapi")

from PIL import ExifTags, Image

import impasto
from conftest import synthetic_painting, synthetic_photo
from impasto.engine.machine.hardware_choice import HardwareChoice
from impasto.image.files.metadata import read_record
from impasto.optimize import checkpoint
from impasto.optimize.run import Run
from impasto.studio.queue.job_queue import JobQueue
from impasto.studio.workers import job_context
from studios import SMALL, accepted, inside, png, post, refused, studio_of, work, worker_of

pytestmark = pytest.mark.usefixtures("narrow_encoder")


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with inside(tmp_path_factory.mktemp("studio")) as client:
        yield client


@pytest.fixture
def eager(monkeypatch):
    """Every step is reported, shown and kept."""
    monkeypatch.setattr(job_context, "REPORT_S", 0)
    monkeypatch.setattr(checkpoint, "EVERY_S", 0)


def at_step(monkeypatch, number: int, act) -> list:
    """Do something at the so many-th report of a worker's."""
    report, reports = JobQueue.report, []

    def reported(self, *arguments):
        reports.append(arguments)
        if len(reports) == number:
            act()
        return report(self, *arguments)

    monkeypatch.setattr(JobQueue, "report", reported)
    return reports


def job_of(client, job) -> dict:
    return client.get(f"/v1/jobs/{job['id']}").json()


def result_of(client, job, kind: str = "png") -> bytes:
    answer = client.get(f"/v1/jobs/{job['id']}/result?format={kind}")
    assert answer.status_code == 200, answer.text
    return answer.content


def pixels_of(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def folder_of(client, job):
    return studio_of(client).folder.locate(job["id"])


# --- results -----------------------------------------------------------------------------------


def test_the_result_is_that_of_the_library(client):
    job = accepted(post(client, title="My: holiday/2026"))
    work(client)
    ended = job_of(client, job)
    assert (ended["state"], ended["width"], ended["height"]) == ("done", 32, 24)
    assert ended["progress"]["iteration"] == ended["progress"]["iterations"] == 5
    assert set(ended["progress"]["losses"]) == {"total", "content", "style"}
    expected = impasto.stylize(
        synthetic_photo(), synthetic_painting(), recipe="sketch", size=32, iterations=5
    )
    result = pixels_of(result_of(client, job))
    np.testing.assert_array_equal(result, np.asarray(expected.image))
    answer = client.get(ended["links"]["result"])
    assert answer.headers["content-disposition"].endswith("''My_%20holiday_2026.png")
    assert not (folder_of(client, job) / "checkpoint").exists()
    for link in ("preview", "thumbnail"):
        assert client.get(ended["links"][link]).headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(
    ("kind", "depth", "mode"),
    [("png", 8, "RGB"), ("jpeg", 8, "RGB"), ("tiff", 8, "RGB"), ("tiff", 16, None)],
)
def test_a_result_in_every_format_carries_its_recipe(client, kind, depth, mode):
    job = accepted(post(client, depth=depth))
    work(client)
    data = result_of(client, job, kind)
    record = json.loads(read_record(data))
    assert record["recipe"]["size"] == 32
    assert record["photo"]["name"] == "holiday.png"
    assert record["metadata"] is False
    picture = impasto.read_picture(data)
    assert picture.metadata.depth == depth
    if mode is not None:
        assert Image.open(io.BytesIO(data)).mode == mode
    if kind == "tiff":
        np.testing.assert_array_equal(
            picture.pixels, impasto.read_picture(result_of(client, job)).pixels
        )
    restored = client.post("/v1/restore", files={"picture": ("any.bin", data)}).json()
    assert restored["recipe"] == record["recipe"]
    assert restored["paintings"] == record["paintings"]


def test_a_record_that_is_not_utf_8_is_refused_and_the_next_picture_is_read(client):
    stream = io.BytesIO()
    packet = b'<r impasto:record="\xff\xfe"/>'
    Image.fromarray(synthetic_photo()).save(stream, "JPEG", xmp=packet)
    files = {"picture": ("gift.jpg", stream.getvalue())}
    refused(client.post("/v1/restore", files=files), "not_a_picture")
    good = {"picture": ("a.png", png(synthetic_photo()))}
    refused(client.post("/v1/restore", files=good), "no_record")


def test_pictures_without_a_recipe_restore_nothing(client):
    def restore(data):
        return client.post("/v1/restore", files={"picture": ("a.png", data)})

    refused(restore(png(synthetic_photo())), "no_record")
    refused(restore(b"hello"), "not_a_picture")
    refused(client.post("/v1/restore", files={"file": ("a.png", b"")}), "bad_input")
    refused(client.post("/v1/restore", json={}), "wrong_type")


def test_a_damaged_record_restores_nothing(client, tmp_path):
    from impasto.image.files.encode import write_picture

    for record, code in (("{}", "no_record"), ("[" * 9000, "no_record"), ("nonsense", "no_record")):
        path = tmp_path / "made.png"
        picture = impasto.read_picture(synthetic_photo())
        write_picture(picture, path, record=record, overwrite=True)
        answer = client.post("/v1/restore", files={"picture": ("a.png", path.read_bytes())})
        refused(answer, code)


@pytest.mark.parametrize("keep", [False, True])
def test_metadata_is_stripped_unless_asked_for(client, keep):
    exif = Image.Exif()
    exif[ExifTags.Base.Copyright] = "me"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 8.0, 14.0)
    stream = io.BytesIO()
    Image.fromarray(synthetic_photo()).save(stream, "JPEG", exif=exif)
    job = accepted(post(client, photo=stream.getvalue(), keep_metadata=keep))
    work(client)
    for kind in ("png", "jpeg", "tiff"):
        with Image.open(io.BytesIO(result_of(client, job, kind))) as image:
            tags = image.getexif()
            assert (tags.get(ExifTags.Base.Copyright) == "me") is keep, kind
            assert bool(tags.get_ifd(ExifTags.IFD.GPSInfo)) is keep, kind
    for link in ("preview", "thumbnail", "photo"):
        with Image.open(
            io.BytesIO(client.get(job_of(client, job)["links"][link]).content)
        ) as image:
            assert not image.getexif()


def test_masks_say_where(client):
    mask = np.zeros((48, 64), np.uint8)
    mask[:, 40:] = 255
    plain = accepted(post(client))
    half = accepted(post(client, ("mask", ("m.png", png(mask)))))
    work(client)
    photo = np.asarray(Image.open(io.BytesIO(client.get(plain["links"]["photo"]).content)))
    small = np.asarray(Image.fromarray(photo).resize((32, 24), Image.Resampling.LANCZOS), float)
    there = [
        np.abs(pixels_of(result_of(client, job)) - small).mean((0, 2)) for job in (plain, half)
    ]
    assert there[1][:16].mean() < there[0][:16].mean() / 3
    assert there[1][24:].mean() > there[1][:16].mean() * 3


def test_the_part_of_a_painting_counts(client):
    mask = np.zeros((64, 56), np.uint8)
    mask[:20] = 255
    plain = accepted(post(client))
    part = accepted(post(client, ("style_mask", ("m.png", png(mask)))))
    work(client)
    results = [pixels_of(result_of(client, job)).astype(float) for job in (plain, part)]
    assert np.abs(results[0] - results[1]).mean() > 0.5


def test_a_picture_to_begin_with(client):
    first = accepted(post(client))
    work(client)
    init = {"job": first["id"], "what": "result"}
    once = {"size": 32, "schedule.total": 1}
    after = accepted(post(client, init=init, set=once))
    afresh = accepted(post(client, set=once))
    work(client)
    assert after["recipe"]["start"]["base"] == "image"
    assert "/" not in after["recipe"]["start"]["image"]
    assert job_of(client, after)["state"] == "done"
    source, started, plain = (
        pixels_of(result_of(client, j)).astype(float) for j in (first, after, afresh)
    )
    assert np.abs(started - source).mean() < np.abs(plain - source).mean()
    assert "studio" not in read_record(result_of(client, after))  # no folder of the server's


# --- asked meanwhile ---------------------------------------------------------------------------


def test_a_job_that_is_stopped_has_the_picture_so_far_and_goes_on(client, eager, monkeypatch):
    whole = accepted(post(client))
    work(client)
    job = accepted(post(client))
    address = f"/v1/jobs/{job['id']}"
    with monkeypatch.context() as patch:
        at_step(patch, 3, lambda: client.post(f"{address}/stop"))
        work(client)
    stopped = job_of(client, job)
    assert stopped["state"] == "stopped"
    assert stopped["progress"]["iteration"] == 3
    data = result_of(client, job)
    assert pixels_of(data).shape == (24, 32, 3)
    assert read_record(data) is None  # it is not what the recipe makes
    result_of(client, job, "jpeg")
    assert client.post(f"{address}/resume").json()["state"] == "queued"
    refused(client.get(f"{address}/result"), "no_result")
    reports = []
    with monkeypatch.context() as patch:
        reports = at_step(patch, 99, lambda: None)
        work(client)
    assert reports[0][1]["iteration"] == 4  # nothing was done twice
    assert job_of(client, job)["state"] == "done"
    assert result_of(client, job) == result_of(client, whole)
    assert result_of(client, job, "jpeg") == result_of(client, whole, "jpeg")


def test_a_job_that_is_cancelled_ends_at_its_next_step(client, eager, monkeypatch):
    job = accepted(post(client))
    reports = at_step(monkeypatch, 2, lambda: client.delete(f"/v1/jobs/{job['id']}"))
    work(client)
    assert len(reports) == 2
    assert job_of(client, job)["state"] == "cancelled"
    refused(client.get(f"/v1/jobs/{job['id']}/result"), "no_result")


def test_a_job_that_is_forgotten_leaves_nothing(client, eager, monkeypatch):
    job, other = accepted(post(client)), accepted(post(client))
    address = f"/v1/jobs/{job['id']}?forget=true"
    with monkeypatch.context() as patch:
        at_step(patch, 2, lambda: client.delete(address))
        work(client)
    refused(client.get(f"/v1/jobs/{job['id']}"), "not_found")
    assert not folder_of(client, job).exists()
    assert job_of(client, other)["state"] == "done"


def test_a_job_makes_way_for_a_draft_and_is_the_same_afterwards(client, eager, monkeypatch):
    whole = accepted(post(client))
    work(client)
    slow = accepted(post(client))
    drafts = []
    order = []
    end = JobQueue.end
    monkeypatch.setattr(
        JobQueue, "end", lambda self, row, *rest: order.append(row.id) or end(self, row, *rest)
    )
    at_step(monkeypatch, 2, lambda: drafts.append(accepted(post(client, draft=True))))
    work(client)
    assert order == [drafts[0]["id"], slow["id"]]
    assert studio_of(client).queue.get(slow["id"]).attempt == 2
    assert result_of(client, slow) == result_of(client, whole)


def test_a_worker_that_is_told_to_end_puts_its_job_back(client, eager, monkeypatch):
    whole = accepted(post(client))
    work(client)
    job, ending = accepted(post(client)), threading.Event()
    with monkeypatch.context() as patch:
        at_step(patch, 2, ending.set)
        with worker_of(client, ending) as worker:
            worker.work()
    assert job_of(client, job)["state"] == "queued"
    assert (folder_of(client, job) / "checkpoint").exists()
    work(client)
    assert result_of(client, job) == result_of(client, whole)


def test_a_damaged_checkpoint_costs_the_time_and_not_the_job(client):
    whole, job = accepted(post(client)), accepted(post(client))
    (folder_of(client, job) / "checkpoint").write_bytes(b"nonsense")
    work(client)
    assert result_of(client, job) == result_of(client, whole)


# --- limits and failures -----------------------------------------------------------------------


def failed(client, job) -> dict:
    answer = job_of(client, job)
    assert answer["state"] == "failed"
    assert answer["problem"]["status"] >= 400
    return answer["problem"]


def test_a_job_has_so_much_time(tmp_path, eager):
    with inside(tmp_path, job_seconds=0.01) as client:
        job = accepted(post(client))
        work(client)
        assert failed(client, job)["code"] == "time_limit"
        assert job_of(client, job)["progress"] is None  # it was over before the first report


def test_a_job_has_so_much_memory(tmp_path):
    with inside(tmp_path, hardware=HardwareChoice(max_memory=2**20)) as client:
        job = accepted(post(client))
        work(client, cold=True)
        problem = failed(client, job)
        assert problem["code"] == "no_resources"
        assert "memory" in problem["detail"]


def test_a_result_is_bounded_where_no_size_was_asked_for(tmp_path):
    with inside(tmp_path, max_result=64 * 48 - 1) as client:
        job = accepted(post(client, set={"size": None, "schedule.total": 5}))
        work(client)
        problem = failed(client, job)
        assert problem["code"] == "over_limit"
        assert "64x48" in problem["detail"]


def test_a_job_that_fails_harms_no_other(client, monkeypatch):
    first, second = accepted(post(client)), accepted(post(client))
    steps, calls = Run.steps, []

    def broken(self, state):
        calls.append(state)
        if len(calls) == 1:
            raise RuntimeError("secret /home/me")
        yield from steps(self, state)

    monkeypatch.setattr(Run, "steps", broken)
    work(client)
    problem = failed(client, first)
    assert problem["code"] == "internal"
    assert "secret" not in json.dumps(problem)
    assert job_of(client, second)["state"] == "done"
    address = f"/v1/jobs/{first['id']}"
    assert client.post(f"{address}/resume").json()["problem"] is None
    work(client)
    assert job_of(client, first)["state"] == "done"


def test_a_picture_that_goes_bad_fails_its_job_only(client):
    first, second = accepted(post(client)), accepted(post(client))
    (folder_of(client, first) / "photo").write_bytes(b"nonsense")
    work(client)
    assert failed(client, first)["code"] == "not_a_picture"
    assert job_of(client, second)["state"] == "done"


def test_the_network_is_loaded_once(client, monkeypatch):
    from impasto.optimize import optimizer_engine

    loads, load = [], optimizer_engine.load_encoder
    monkeypatch.setattr(
        optimizer_engine, "load_encoder", lambda *a, **k: loads.append(a) or load(*a, **k)
    )
    for strength in (1.0, 0.5, 0.7):
        accepted(post(client, set=SMALL | {"strength": strength}))
    work(client, cold=True)
    assert len(loads) == 1


# --- events ------------------------------------------------------------------------------------


def events_of(client, job, **headers) -> list[tuple[str, dict]]:
    answer = client.get(f"/v1/jobs/{job['id']}/events", headers=headers)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if "event" in fields:
            events.append((fields["event"], json.loads(fields["data"]), fields["id"]))
    return events


def test_the_events_of_a_job_from_its_start_to_its_end(client, eager, monkeypatch):
    job = accepted(post(client))
    # Each report waits until it has been told.
    signal = threading.Semaphore(0)
    from impasto.studio.http.routes import event_stream as events

    event = events._format_event
    monkeypatch.setattr(
        events,
        "_format_event",
        lambda name, *rest: (name == "step" and signal.release()) or event(name, *rest),
    )
    report = JobQueue.report

    def patient(self, *arguments):
        answer = report(self, *arguments)
        signal.acquire(timeout=5)
        return answer

    monkeypatch.setattr(JobQueue, "report", patient)
    thread = threading.Thread(target=work, args=(client,))
    thread.start()
    answers = events_of(client, job)
    thread.join()
    states = [data["state"] for name, data, _ in answers if name == "job"]
    assert states in (["queued", "running", "done"], ["running", "done"])
    assert answers[-1][0] == "job"
    steps = [data["iteration"] for name, data, _ in answers if name == "step"]
    assert steps == sorted(steps)
    assert set(steps) >= {1, 2, 3}
    previews = [data for name, data, _ in answers if name == "preview"]
    assert previews
    assert len({each["url"] for each in previews}) == len(previews)


def test_the_end_is_told_once(client):
    job = accepted(post(client))
    work(client)
    events = events_of(client, job)
    assert [name for name, *_ in events] == ["preview", "job"]
    address = f"/v1/jobs/{job['id']}/events"
    last = {"last-event-id": events[-1][2]}
    assert client.get(address, headers=last).status_code == 204
    again = events_of(client, job, **{"last-event-id": "1"})
    assert again == events


def test_no_more_than_so_many_follow(client, monkeypatch):
    job = accepted(post(client))
    work(client)
    for _ in range(150):  # each gives its place back
        assert events_of(client, job)
    studio_of(client).streams = threading.BoundedSemaphore(1)
    studio_of(client).streams.acquire()
    refused(client.get(f"/v1/jobs/{job['id']}/events"), "too_many_streams")


# --- words that find masks ---------------------------------------------------------------------


def test_a_word_finds_the_mask_that_the_library_finds(client):
    pytest.importorskip("cv2")
    word = "rect:34,4,23,21"  # around the sun
    job = accepted(post(client, ("mask_word", (None, word))))
    work(client)
    result = job_of(client, job)
    assert result["state"] == "done", result["problem"]
    expected = impasto.stylize(
        *(synthetic_photo(), synthetic_painting()),
        **{"recipe": "sketch", "size": 32, "iterations": 5, "masks": [word]},
    )
    np.testing.assert_array_equal(pixels_of(result_of(client, job)), np.asarray(expected.image))
    mask = pixels_of(client.get(result["links"]["masks"][0]).content)
    assert mask.shape[:2] == (48, 64)
    assert mask[14, 45].min() > 200
    assert mask[40:].max() < 50
    # What was found may be used again, as a picture.
    again = accepted(post(client, masks=[{"job": job["id"], "what": "mask/0"}]))
    work(client)
    assert job_of(client, again)["state"] == "done"


def test_regions_are_found_in_photo_and_painting(client):
    job = accepted(post(client, masks=[{"word": "auto:3"}]))
    assert (job["masks"], job["styles"]) == (3, 3)
    work(client)
    result = job_of(client, job)
    assert result["state"] == "done", result["problem"]
    masks = [pixels_of(client.get(link).content) for link in result["links"]["masks"]]
    np.testing.assert_allclose(np.sum(masks, 0, dtype=float), 255, atol=8)
    expected = impasto.stylize(
        *(synthetic_photo(), synthetic_painting()),
        **{"recipe": "sketch", "size": 32, "iterations": 5, "masks": ["auto:3"]},
    )
    np.testing.assert_array_equal(pixels_of(result_of(client, job)), np.asarray(expected.image))


@pytest.mark.parametrize(
    ("word", "code", "says"),
    [
        ("sky", "bad_input", "expected rect:X,Y,WIDTH,HEIGHT, salient, person, face"),
        ("/etc/passwd", "bad_input", "unknown word"),
        ("rect:1,2", "bad_input", "rect:X,Y,WIDTH,HEIGHT in pixels"),
        ("auto:1", "bad_input", "2 to 8 regions"),
        ("auto:3#4", "bad_input", "invalid region"),
        ("scribble:/etc/passwd", "path_refused", "send the mask itself"),
        ("face:2", "bad_input", "takes no options after a colon"),
        ("person", "no_mask_network", "`impasto mask` with this word"),
    ],
)
def test_words_are_checked_before_they_wait(client, monkeypatch, tmp_path, word, code, says):
    monkeypatch.setenv("IMPASTO_CACHE", str(tmp_path))
    monkeypatch.setattr("impasto.segment.wheels._read_installed", lambda member: None)
    detail = refused(post(client, masks=[{"word": word}]), code)
    assert says in detail
    assert str(tmp_path) not in detail


def test_a_word_that_finds_nothing_fails_its_job(client, monkeypatch):
    pytest.importorskip("cv2")
    job = accepted(post(client, masks=[{"word": "rect:0,0,900,900"}]))
    work(client)
    assert job_of(client, job)["problem"]["code"] == "bad_input"


def test_the_recipe_of_a_picture_that_began_with_another_is_taken(client):
    first = accepted(post(client))
    work(client)
    job = accepted(post(client, init={"job": first["id"], "what": "result"}))
    work(client)
    answer = client.post("/v1/restore", files={"picture": ("a.png", result_of(client, job))})
    restored = answer.json()
    assert restored["init"] == "start.png"
    assert restored["recipe"]["start"] == accepted(post(client))["recipe"]["start"]
    accepted(post(client, recipe=restored["recipe"]))
    # The job itself still has the picture.
    source = {"job": job["id"], "what": "init"}
    again = accepted(post(client, recipe=job["recipe"], set={}, init=source))
    work(client)
    assert result_of(client, again) == result_of(client, job)

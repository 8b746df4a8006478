"""Clips over HTTP: a preview, the whole film, stops, limits, and what is refused."""

from __future__ import annotations

import io
import json
import sys

import av
import numpy as np
import pytest

pytest.importorskip("fastapi")
pytest.importorskip("cv2")

from PIL import Image

from clips import make_pan, write_clip
from impasto.cli import main
from impasto.image.files.limits import Limits
from impasto.studio.decoding import clip_reader
from impasto.studio.queue.job_queue import JobQueue
from impasto.studio.workers import job_context
from impasto.video.clip.reading import open_clip
from impasto.video.engines.optimizer_frames import OptimizerFrameEngine
from studios import PAINTING, PHOTO, accepted, inside, png, refused, studio_of, work, worker_of

pytestmark = pytest.mark.usefixtures("narrow_encoder")

QUICK = {"size": 48, "schedule.total": 3}
FRAMES = make_pan(5)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clips") / "clip.mp4"
    return write_clip(path, FRAMES, rate=12, sound=True).read_bytes()


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with inside(tmp_path_factory.mktemp("studio")) as client:
        yield client


@pytest.fixture
def eager(monkeypatch):
    """Every step is reported, and every frame shown."""
    monkeypatch.setattr(job_context, "REPORT_S", 0)
    monkeypatch.setattr(job_context, "PREVIEW_S", 0)
    monkeypatch.setattr(job_context, "PREVIEW_SHARE", 1e9)


def post(client, clip, *others, name="walk.mp4", **job):
    job = {"recipe": "sketch", "set": QUICK, **job}
    files = [("clip", (name, clip)), ("style", ("p.png", PAINTING))]
    return client.post("/v1/jobs", files=[*files, ("job", (None, json.dumps(job))), *others])


def job_of(client, job):
    return client.get(f"/v1/jobs/{job['id']}").json()


def film_of(client, job, tmp_path):
    """The file of a job's result, and its frames."""
    answer = client.get(job_of(client, job)["links"]["result"])
    assert answer.status_code == 200, answer.text
    path = tmp_path / f"film-{job['id']}.{answer.headers['content-type'].partition('/')[2]}"
    path.write_bytes(answer.content)
    return path, [frame.load() for frame in open_clip(path).read_frames()]


@pytest.fixture(scope="module")
def whole(client, clip):
    """A film that nothing came between."""
    job = accepted(post(client, clip))
    work(client)
    return job_of(client, job)


def test_the_film_is_that_of_the_command_line(client, clip, whole, tmp_path, monkeypatch):
    assert (whole["state"], whole["width"], whole["height"]) == ("done", 48, 36)
    assert (whole["progress"]["iteration"], whole["progress"]["unit"]) == (5, "frame")
    assert whole["clip"]["frames"] == 5
    assert whole["clip"]["seconds"] == round(5 / 12, 3)
    path, frames = film_of(client, whole, tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(clip)
    (tmp_path / "p.png").write_bytes(PAINTING)
    flags = ["--recipe", "sketch", "--iterations", "3", "--size", "48", "--quiet"]
    assert main(["video", "clip.mp4", "--style", "p.png", *flags, "-o", "own.mp4"]) == 0
    own = [frame.load() for frame in open_clip("own.mp4").read_frames()]
    assert len(own) == len(frames) == 5
    for actual, expected in zip(frames, own, strict=True):
        np.testing.assert_array_equal(actual, expected)
    assert open_clip(path).sound is not None
    with av.open(str(path)) as container:
        assert json.loads(container.metadata["comment"])["recipe"]["size"] == 48


def test_a_preview_is_a_sheet_and_the_first_seconds(client, tmp_path):
    slow = write_clip(tmp_path / "slow.mp4", make_pan(12), rate=2).read_bytes()
    job = accepted(post(client, slow, preview=True, set={"size": 40, "schedule.total": 2}))
    assert job["clip"]["preview"] is True
    work(client)
    result = job_of(client, job)
    assert result["state"] == "done", result["problem"]
    assert result["progress"]["iterations"] == result["progress"]["iteration"] == 8 + 10
    assert len(film_of(client, job, tmp_path)[1]) == 10
    sheet = client.get(result["links"]["sheet"])
    assert sheet.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(sheet.content)) as image:
        assert image.width > 4 * 40
        assert image.height > 2 * 30
    assert sorted(each.name for each in studio_of(client).folder.locate(job["id"]).iterdir()) == [
        *("clip", "photo.view", "preview.jpg", "result.mp4", "sheet.png"),
        *("studio.json", "style-0", "style-0.view", "thumbnail.jpg"),
    ]
    # The whole clip by its name, which is not sent again.
    source = {"clip": {"job": job["id"], "what": "clip"}, "styles": [{"style_name": "pond"}]}
    again = accepted(client.post("/v1/jobs", json={**source, "recipe": "sketch", "set": QUICK}))
    assert (again["clip"]["frames"], again["photo"]["name"]) == (12, "walk.mp4")
    assert again["links"]["sheet"] is None
    client.delete(f"/v1/jobs/{again['id']}")


def test_a_film_is_served_whole_and_in_parts(client, whole):
    address = whole["links"]["result"]
    film = client.get(address)
    assert film.headers["content-type"] == "video/mp4"
    assert film.headers["accept-ranges"] == "bytes"
    assert film.headers["content-disposition"].endswith('"walk-p.mp4"')
    part = client.get(address, headers={"range": "bytes=4-11"})
    assert part.status_code == 206
    assert part.content == film.content[4:12]
    assert part.headers["content-range"] == f"bytes 4-11/{len(film.content)}"
    beyond = client.get(address, headers={"range": "bytes=99999999-"})
    assert beyond.headers["content-range"] == f"bytes */{len(film.content)}"
    refused(beyond, "bad_range")
    refused(client.get(address + "&format=png"), "bad_parameter")
    for link in ("thumbnail", "photo", "preview"):
        assert client.get(whole["links"][link]).headers["content-type"] == "image/jpeg"


def dying(monkeypatch, frame: int, error: BaseException):
    """The worker dies when it tells of a frame."""
    report = JobQueue.report

    def reported(self, row, progress, *arguments):
        if progress["iteration"] == frame:
            raise error
        return report(self, row, progress, *arguments)

    monkeypatch.setattr(JobQueue, "report", reported)


def test_a_film_whose_worker_dies_goes_on_at_the_frame(client, clip, whole, tmp_path, monkeypatch):
    job = accepted(post(client, clip))
    with monkeypatch.context() as patch:
        dying(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            work(client)
    assert job_of(client, job)["state"] == "running"
    studio_of(client).queue.requeue_all()
    calls, paint = [], OptimizerFrameEngine.paint

    def counted(self, *arguments):
        calls.append(arguments)
        return paint(self, *arguments)

    monkeypatch.setattr(OptimizerFrameEngine, "paint", counted)
    work(client)
    assert len(calls) == 2
    path, frames = film_of(client, job, tmp_path)
    expected = film_of(client, whole, tmp_path)
    for frame, other in zip(frames, expected[1], strict=True):
        np.testing.assert_array_equal(frame, other)
    assert path.read_bytes() == expected[0].read_bytes()


def test_a_preview_whose_worker_dies_keeps_its_sheet(client, tmp_path, monkeypatch):
    slow = write_clip(tmp_path / "slow.mp4", make_pan(9), rate=12).read_bytes()
    job = accepted(post(client, slow, preview=True, set={"size": 40, "schedule.total": 2}))
    with monkeypatch.context() as patch:
        dying(patch, 4, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            work(client)
    studio_of(client).queue.requeue_all()
    with monkeypatch.context() as patch:
        dying(patch, 3, AssertionError("painted again"))
        work(client)
    assert job_of(client, job)["state"] == "done"


def asking(monkeypatch, client, job, frame: int, what: str):
    report = JobQueue.report

    def reported(self, row, progress, *arguments):
        if progress["iteration"] == frame:
            client.post(f"/v1/jobs/{job['id']}/{what}") if what else client.delete(
                f"/v1/jobs/{job['id']}"
            )
        return report(self, row, progress, *arguments)

    monkeypatch.setattr(JobQueue, "report", reported)


def test_a_film_that_is_stopped_has_what_is_done_and_goes_on(
    client, clip, whole, tmp_path, monkeypatch, eager
):
    job = accepted(post(client, clip))
    with monkeypatch.context() as patch:
        asking(patch, client, job, 3, "stop")
        work(client)
    stopped = job_of(client, job)
    assert stopped["state"] == "stopped"
    part = film_of(client, job, tmp_path)[1]
    assert len(part) == 3
    assert client.post(f"/v1/jobs/{job['id']}/resume").status_code == 200
    work(client)
    frames, expected = (film_of(client, each, tmp_path)[1] for each in (job, whole))
    assert len(frames) == 5
    for frame, other in zip(frames, expected, strict=True):
        np.testing.assert_array_equal(frame, other)


def test_a_stop_comes_within_a_frame_and_a_draft_goes_ahead(client, clip, monkeypatch, eager):
    job = accepted(post(client, clip))
    draft = []

    def between(self, row, progress, *arguments):
        if row.id == job["id"] and not draft:
            fields = {"recipe": "sketch", "set": {"size": 32, "schedule.total": 2}, "draft": True}
            files = [("photo", ("a.png", PHOTO)), ("style", ("p.png", PAINTING))]
            sent = [*files, ("job", (None, json.dumps(fields)))]
            draft.append(accepted(client.post("/v1/jobs", files=sent)))
        return report(self, row, progress, *arguments)

    report = JobQueue.report
    monkeypatch.setattr(JobQueue, "report", between)
    with worker_of(client) as worker:
        worker.take()
        assert job_of(client, job)["state"] == "queued"
        assert job_of(client, job)["progress"]["iteration"] == 0  # within the first frame
        worker.take()
    assert job_of(client, draft[0])["state"] == "done"
    client.delete(f"/v1/jobs/{job['id']}")
    assert job_of(client, job)["state"] == "cancelled"


def test_events_tell_of_frames_with_a_picture_of_the_last(client, clip, eager):
    job = accepted(post(client, clip))
    work(client)
    text = client.get(f"/v1/jobs/{job['id']}/events").text
    blocks = [block.split("\n") for block in text.split("\n\n") if "data: " in block]
    events = {lines[1]: json.loads(lines[2][6:]) for lines in blocks}
    assert events["event: preview"]["iteration"] == 5
    assert events["event: job"]["progress"]["iterations"] == 5
    picture = client.get(events["event: preview"]["url"])
    assert Image.open(io.BytesIO(picture.content)).size == (48, 36)


@pytest.mark.parametrize("keep", [False, True])
def test_what_a_clip_says_of_itself_is_stripped_unless_asked_for(client, tmp_path, keep):
    clip = write_clip(tmp_path / "c.mp4", FRAMES[:2], sound=True)
    talkative = tmp_path / "said.mp4"
    with av.open(str(clip)) as source, av.open(str(talkative), "w") as target:
        target.metadata["title"] = "At my mother's"
        target.metadata["location"] = "+48.2082+016.3738/"
        streams = {each.index: target.add_stream_from_template(each) for each in source.streams}
        streams[0].metadata["handler_name"] = "my telephone"
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    job = accepted(post(client, talkative.read_bytes(), keep_metadata=keep))
    work(client)
    data = film_of(client, job, tmp_path)[0].read_bytes()
    assert (b"At my mother's" in data) is keep
    assert (b"loci" in data) is keep  # where it was taken
    assert b"my telephone" not in data


def gif(frames) -> bytes:
    stream = io.BytesIO()
    first, *rest = (Image.fromarray(each) for each in frames)
    first.save(stream, "GIF", save_all=True, append_images=rest, duration=100)
    return stream.getvalue()


def webm(frames, tmp_path) -> bytes:
    return write_clip(tmp_path / "c.webm", frames, codec="libvpx-vp9").read_bytes()


@pytest.mark.parametrize("kind", ["image/gif", "video/webm"])
def test_a_film_is_of_the_kind_of_its_clip(client, tmp_path, kind):
    data = gif(FRAMES[:3]) if kind == "image/gif" else webm(FRAMES[:3], tmp_path)
    job = accepted(post(client, data))
    assert job["clip"]["media_type"] == kind
    work(client)
    answer = client.get(job_of(client, job)["links"]["result"])
    assert answer.headers["content-type"] == kind
    assert len(film_of(client, job, tmp_path)[1]) == 3


NOT_CLIPS = {
    "a list of files": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "a playlist": b"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nhttp://127.0.0.1/a.ts\n",
    "a page": b"<html></html>",
    "a picture": PHOTO,
    "nothing": b"",
    "half a film": b"\0\0\0\x18ftypisom" + b"\0" * 400,
    "half a GIF": gif(FRAMES[:1])[:20],
    "noise in a frame": b"\x1aE\xdf\xa3" + bytes(range(256)) * 40,
}


@pytest.mark.parametrize("what", NOT_CLIPS)
def test_what_is_not_a_clip_is_refused(client, what):
    detail = refused(post(client, NOT_CLIPS[what]), "not_a_clip")
    assert detail.startswith("walk.mp4: ")
    assert "/" not in detail.replace("MP4, MOV, WebM", "")
    assert not list(studio_of(client).folder.staging.iterdir())


def test_only_sound_is_refused(client, tmp_path):
    from clips import write_sound

    sound = write_sound(tmp_path / "a.mp4").read_bytes()
    assert "no video" in refused(post(client, sound), "not_a_clip")


WRONG = {
    "bad_input": [
        ({"masks": [{"word": "salient"}]}, "not supported with a clip"),
        ({"init": {"data": ""}}, "not supported with a clip"),
        ({"depth": 16}, "8 bits"),
        ({"photo": {"data": ""}}, "only one"),
        ({"styles": []}, "missing"),
    ],
    "bad_parameter": [({"stability": 2}, "stability"), ({"preview": 3}, "preview")],
}


@pytest.mark.parametrize(
    ("code", "job", "says"), [(code, *each) for code, many in WRONG.items() for each in many]
)
def test_what_does_not_go_with_a_clip_is_refused(client, clip, code, job, says):
    assert says in refused(post(client, clip, **job), code)


def test_a_preview_is_of_a_clip(client):
    files = [("photo", ("a.png", PHOTO)), ("style", ("p.png", PAINTING))]
    sent = [*files, ("job", (None, json.dumps({"preview": True})))]
    refused(client.post("/v1/jobs", files=sent), "bad_input")


def test_a_clip_has_limits(tmp_path, clip):
    with inside(tmp_path / "few", max_film=5 * 48 * 36 - 1) as client:
        detail = refused(post(client, clip), "over_limit")
        assert "5 frames of 48x36 px" in detail
        smaller = accepted(post(client, clip, set={**QUICK, "size": 40}))
        work(client)
        assert job_of(client, smaller)["state"] == "done"
        # Of a recipe without a size, only the worker knows how large the film will be.
        late = accepted(post(client, clip, set={"schedule.total": 1}))
        work(client)
        assert job_of(client, late)["problem"]["code"] == "over_limit"
    with inside(tmp_path / "small", max_pixels=64 * 48 - 1) as client:
        refused(post(client, clip), "over_limit")
    with inside(tmp_path / "short", job_seconds=0.0) as client:
        late = accepted(post(client, clip))
        work(client)
        assert job_of(client, late)["problem"]["code"] == "time_limit"
    with inside(tmp_path / "tiny") as client:
        tiny = accepted(post(client, clip, set={**QUICK, "size": 20}))
        work(client)
        assert "above 16 px" in job_of(client, tiny)["problem"]["detail"]


def test_a_film_painted_steadily_is_another(client, clip, whole, tmp_path):
    job = accepted(post(client, clip, stability=0))
    work(client)
    frames, steady = (film_of(client, each, tmp_path)[1] for each in (job, whole))
    assert np.abs(frames[3].astype(float) - steady[3]).mean() > 1


def test_a_photo_with_a_clip_s_bytes_is_no_picture(client, clip):
    files = [("photo", ("a.mp4", clip)), ("style", ("p.png", png(FRAMES[0])))]
    refused(client.post("/v1/jobs", files=files), "not_a_picture")


def test_a_broken_end_costs_what_it_costs(client, tmp_path):
    whole = write_clip(tmp_path / "c.mkv", make_pan(8), rate=6).read_bytes()
    job = accepted(post(client, whole[: len(whole) * 9 // 10], name="c.mkv"))
    work(client)
    result = job_of(client, job)
    assert result["state"] == "done", result["problem"]
    count = len(film_of(client, job, tmp_path)[1])
    assert 0 < count < 8
    assert result["progress"]["iteration"] == result["progress"]["iterations"] == count


def test_more_frames_than_were_counted_are_no_way_round_the_limit(tmp_path, clip, monkeypatch):
    from impasto.studio.decoding.decoder import Decoder

    def lying(self, *arguments):
        return check(self, *arguments) | {"frames": 1}

    check = Decoder.check_clip
    monkeypatch.setattr(Decoder, "check_clip", lying)
    with inside(tmp_path, max_film=3 * 48 * 36) as client:
        job = accepted(post(client, clip))
        work(client)
        result = job_of(client, job)
        assert result["problem"]["code"] == "over_limit"
        assert "4 frames" in result["problem"]["detail"]


def test_frames_are_counted_only_where_the_file_says_nothing(tmp_path, monkeypatch):
    clip = write_clip(tmp_path / "said.mp4", FRAMES, rate=12)
    options = {"live": "1"}
    live = write_clip(tmp_path / "live.mkv", FRAMES, rate=12, container_options=options)
    assert clip_reader._open(live, "live.mkv", Limits()).format.frames == 5
    monkeypatch.setattr(clip_reader, "COUNTED_PACKETS", 3)
    assert clip_reader._open(live, "live.mkv", Limits()).format.frames == 3
    monkeypatch.setattr(clip_reader, "_count_frames", lambda *_: pytest.fail("counted"))
    assert clip_reader._open(clip, "said.mp4", Limits()).format.frames == 5


def test_without_opencv_the_extra_is_named(client, clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert "impasto[video]" in refused(post(client, clip), "bad_input")

"""Films by an engine that costs nothing: resuming at every frame, cuts, selections, memory."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction

import numpy as np
import pytest

from clips import make_pan
from impasto.errors import ClipError, InputError
from impasto.video.clip.frames import Format, Frame
from impasto.video.clip.selection import FrameSource, Selection, resize_frame
from impasto.video.job.film_run import paint_film, repaint_backwards
from impasto.video.job.frame_store import FrameStore
from impasto.video.stabilize.flow import DisEstimator
from impasto.video.stabilize.frame_memory import blend_with_memory
from impasto.video.stabilize.stabilizer import FrameLinks, Stabilizer

SHOTS = [*make_pan(5), *[f[::-1, ::-1] // 5 for f in make_pan(4, step=1)]]
LINKS = FrameLinks((1, 3), (0.5, 0.5))


class Clip:
    sound = None

    def __init__(self, frames):
        self._frames = frames
        self.loaded = 0
        height, width = frames[0].shape[:2]
        self.format = Format(width, height, Fraction(10), Fraction(1, 10), len(frames))

    def read_frames(self, begin=0):
        for index in range(len(self._frames)):
            yield Frame(Fraction(index, 10), lambda index=index: self._load(index))

    def _load(self, index):
        self.loaded += 1
        return self._frames[index]


class Negative:
    """Inverts, flickers, and mixes in the shot's first frame and the memory."""

    def begin_shot(self, frame):
        self.opening = frame.mean()

    def paint(self, frame, memory):
        flicker = 0.05 * np.sin(1e4 * float(frame.mean()))
        result = 0.8 * (1 - frame) + 0.1 * self.opening + flicker
        if memory is not None:
            result = result + 0.1 * (memory.result - result) * memory.reliability[..., None]
        return result.clip(0, 1).astype(np.float32)

    def steady(self, result, memory, stability):
        return blend_with_memory(result, memory, stability)

    def finish(self, result, frame):
        return (0.5 * result + 0.5 * frame).astype(np.float32)


def make_stabilizer():
    return Stabilizer(Negative(), DisEstimator(), 0.7, LINKS)


def open_store(folder, frames=SHOTS, **more):
    return FrameStore(folder, {"what": "test", **more})


def read_all_pixels(work):
    return [each.load() for each in work.read_film_frames()]


def run_film(work, frames=SHOTS, stop=None, **more):
    clip = Clip(frames)
    steps = paint_film(FrameSource(clip, Selection(), (64, 48)), make_stabilizer(), work, **more)
    for progress in steps:
        if progress.index + 1 == stop:
            break
    return clip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    work = open_store(tmp_path_factory.mktemp("whole"))
    run_film(work, repaint=True)
    return work


@pytest.mark.parametrize("stop", range(1, len(SHOTS)))
def test_a_film_stopped_after_any_frame_resumes_to_the_same_result(tmp_path, whole, stop):
    work = open_store(tmp_path)
    run_film(work, stop=stop)
    assert work.frame_count == stop
    clip = run_film(work)
    assert work.frame_count == len(SHOTS)
    for frame, expected in zip(read_all_pixels(work), read_all_pixels(whole), strict=True):
        assert np.array_equal(frame, expected)
    assert clip.loaded <= len(SHOTS) - stop + max(LINKS.distances) + 1


def test_shots_are_detected_and_painted_independently(tmp_path, whole):
    assert [whole.read(i).shot for i in range(len(SHOTS))] == [0] * 5 + [5] * 4
    alone = open_store(tmp_path)
    run_film(alone, SHOTS[5:])
    for frame, expected in zip(read_all_pixels(alone), read_all_pixels(whole)[5:], strict=True):
        assert np.array_equal(frame, expected)


@pytest.mark.parametrize("stop", [1, 4, 8])
def test_a_second_pass_resumes_too(tmp_path, stop):
    twice = [open_store(tmp_path / name) for name in ("a", "b")]
    for work in twice:
        run_film(work, repaint=True)
    first = read_all_pixels(twice[0])
    list(repaint_backwards(make_stabilizer(), twice[0]))
    for count, _ in enumerate(repaint_backwards(make_stabilizer(), twice[1]), 1):
        if count == stop:
            break
    list(repaint_backwards(make_stabilizer(), twice[1]))
    again = [read_all_pixels(each) for each in twice]
    assert all(np.array_equal(*each) for each in zip(*again, strict=True))
    changed = [not np.array_equal(*each) for each in zip(first, again[0], strict=True)]
    assert sum(changed) >= len(SHOTS) - 2  # but for the last of each shot, perhaps


def test_without_stability_every_frame_is_a_shot(tmp_path):
    work = open_store(tmp_path)
    alone = Stabilizer(Negative(), DisEstimator(), 0.0, LINKS)
    list(paint_film(FrameSource(Clip(SHOTS[:3]), Selection(), (64, 48)), alone, work))
    assert [work.read(i).shot for i in range(3)] == [0, 1, 2]


def test_selections_choose_and_count_frames():
    clip = Clip(SHOTS)

    def select_indices(*arguments):
        return [frame.time * 10 for frame in Selection(*arguments).select_frames(clip)]

    assert select_indices() == list(range(9))
    assert select_indices(Fraction(1, 5), Fraction(3, 5)) == [2, 3, 4, 5]
    assert select_indices(Fraction(0), None, 4) == [0, 4, 8]
    assert Selection(Fraction(1, 5), Fraction(3, 5)).count_frames(clip) == 4
    assert Selection(Fraction(0), None, 4).count_frames(clip) == 3
    assert Selection(Fraction(1, 5), Fraction(61, 100)).count_frames(clip) == 5
    assert len(list(Selection(Fraction(1, 5), Fraction(61, 100)).select_frames(clip))) == 5
    with pytest.raises(ClipError, match="no frame at 3 s or later"):
        select_indices(Fraction(3))


def test_one_extra_pixel_is_cropped_and_other_sizes_are_resized():
    frame = next(Clip(SHOTS).read_frames())
    assert np.array_equal(resize_frame(frame, (63, 48)), SHOTS[0][:, :63])
    assert np.array_equal(resize_frame(frame, (64, 48)), SHOTS[0])
    assert resize_frame(frame, (32, 24)).shape == (24, 32, 3)


def test_damaged_frames_are_reported_and_foreign_folders_are_kept(tmp_path):
    work = open_store(tmp_path / "work")
    run_film(work, SHOTS[:3])
    (tmp_path / "work/00000001.png").write_bytes(b"torn")
    with pytest.raises(InputError, match=r"00000001\.png: damaged; delete its folder"):
        read_all_pixels(work)
    with pytest.raises(InputError, match="frames of another film"):
        open_store(tmp_path / "work", more=1)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/00000000.png").write_bytes(b"mine")
    with pytest.raises(InputError, match="not empty"):
        open_store(tmp_path / "mine")
    work.remove()
    assert not (tmp_path / "work").exists()


def test_memory_does_not_grow_with_the_length(tmp_path):
    frames = make_pan(4)
    peaks = []
    for count in (16, 64):
        work = open_store(tmp_path / str(count))
        tracemalloc.start()
        run_film(work, [frames[i % 4] for i in range(count)])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]

"""Seeking in clips: it gives the same frames as reading everything and decodes few others."""

from __future__ import annotations

import io
from fractions import Fraction

import pytest
from PIL import Image

from clips import make_pan, write_clip
from impasto.errors import ClipError
from impasto.video.clip.container import ContainerClip
from impasto.video.clip.frames import Format
from impasto.video.clip.reading import open_clip
from impasto.video.clip.selection import Selection

COUNT = 60
FRAMES = make_pan(COUNT)
VARIED = [10 * i + 7 * (i % 3 == 1) for i in range(COUNT)]
"""Frame times of a clip with a variable rate."""
X264 = {"crf": "20", "bf": "3", "g": "10", "sc_threshold": "0"}
KINDS = {
    "varied.mkv": {"options": X264, "times": VARIED},
    "varied.mp4": {"options": X264, "times": VARIED},
    "open.mp4": {"options": {**X264, "x264-params": "open-gop=1:bframes=3:b-pyramid=normal"}},
    "open.ts": {"options": {**X264, "x264-params": "open-gop=1:bframes=3"}},
    "refresh.ts": {"options": {"crf": "20", "x264-params": "intra-refresh=1:keyint=10"}},
    "h265.mkv": {"codec": "libx265", "options": {"x265-params": "keyint=10:log-level=none"}},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"g": "10", "cpu-used": "8"}},
    "vp8.webm": {"codec": "libvpx", "options": {"g": "10", "auto-alt-ref": "1", "cpu-used": "8"}},
    "mpeg2.ts": {"codec": "mpeg2video", "options": {"g": "10", "bf": "2"}, "rate": Fraction(5, 2)},
    "mpeg4.avi": {"codec": "mpeg4", "options": {"g": "10", "bf": "2"}},
    "one.mp4": {"options": {**X264, "g": "1000"}},
    "film.gif": {"codec": "gif", "pix_fmt": "rgb8"},
    "film.apng": {"codec": "apng", "pix_fmt": "rgb24"},
}
SOUGHT = {"varied.mkv", "varied.mp4", "open.mp4", "open.ts", "h265.mkv", "vp9.webm", "mpeg2.ts"}


def read_from(clip, begin=Fraction(0)):
    return [(frame.time, frame.load().tobytes()) for frame in Selection(begin).select_frames(clip)]


@pytest.fixture
def decoded(monkeypatch):
    """Collect the frames that are decoded."""
    pulled, decode = [], ContainerClip._decode_packets

    def record_frames(self, *arguments):
        for frame in decode(self, *arguments):
            pulled.append(frame)
            yield frame

    monkeypatch.setattr(ContainerClip, "_decode_packets", record_frames)
    return pulled


@pytest.mark.parametrize("name", KINDS)
def test_seeking_gives_the_same_frames_as_reading_everything(name, tmp_path, decoded):
    notices = []
    clip = open_clip(write_clip(tmp_path / name, FRAMES, **KINDS[name]), notice=notices.append)
    whole = read_from(clip)
    assert len(whole) >= COUNT - 1
    beginnings = [whole[i][0] for i in (1, 9, 10, 11, 31, 39, 40, 58)]
    beginnings += [time + Fraction(1, 1000) for time in beginnings[::3]]
    for begin in beginnings:
        decoded.clear()
        assert read_from(clip, begin) == [each for each in whole if each[0] >= begin]
        expected = sum(time >= begin for time, _ in whole)
        if name in SOUGHT:
            assert len(decoded) <= expected + 25
    assert len(set(notices)) <= 1  # of a rate that is guessed from such a file, if at all


def test_seeking_decodes_far_fewer_frames(tmp_path, decoded):
    clip = open_clip(write_clip(tmp_path / "clip.mp4", FRAMES, options=X264))
    decoded.clear()
    frames = read_from(clip, Fraction(52, 12))
    assert len(frames) == 8
    assert len(decoded) <= 10 + 8


def test_seeking_works_with_times_far_from_zero(tmp_path):
    times = range(3000, 3000 + 10 * COUNT, 10)
    clip = open_clip(write_clip(tmp_path / "late.ts", FRAMES, times=times, options=X264))
    whole = read_from(clip)
    assert read_from(clip, Fraction(3)) == [each for each in whole if each[0] >= 3]


def test_seeking_works_without_an_index(tmp_path):
    """A truncated Matroska file has lost its index of keyframes, which is at the end."""
    path = write_clip(tmp_path / "cut.mkv", FRAMES, options=X264)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 4 // 5])
    clip = open_clip(path)
    whole = read_from(clip)
    assert read_from(clip, Fraction(3)) == [each for each in whole if each[0] >= 3] != []


def test_damage_before_the_beginning_does_not_matter(tmp_path):
    path = write_clip(tmp_path / "clip.mkv", FRAMES, options=X264)
    whole, data, notices = read_from(open_clip(path)), bytearray(path.read_bytes()), []
    middle = len(data) // 2
    data[middle : middle + 300] = bytes(300)
    path.write_bytes(bytes(data))
    clip = open_clip(path, notice=notices.append)
    assert read_from(clip, Fraction(53, 12)) == whole[53:]
    assert notices == []
    assert read_from(clip) != whole


def test_pipes_and_numbered_pictures_begin_in_the_middle_too(tmp_path):
    data = write_clip(tmp_path / "clip.mkv", FRAMES, options=X264).read_bytes()
    assert len(read_from(open_clip(io.BytesIO(data)), Fraction(4))) == 12
    raw = open_clip(
        io.BytesIO(b"".join(each.tobytes() for each in FRAMES)),
        raw=Format(64, 48, Fraction(12), Fraction(1, 12)),
    )
    assert [time for time, _ in read_from(raw, Fraction(4))] == [
        Fraction(i, 12) for i in range(48, 60)
    ]
    for index, frame in enumerate(FRAMES[:4]):
        Image.fromarray(frame).save(tmp_path / f"{index}.png")
    clip = open_clip(tmp_path / "%d.png", rate=Fraction(2))
    assert read_from(clip, Fraction(1)) == [(Fraction(i, 2), FRAMES[i].tobytes()) for i in (2, 3)]


def test_a_beginning_beyond_the_end_is_an_error(tmp_path):
    clip = open_clip(write_clip(tmp_path / "clip.mp4", FRAMES, options=X264))
    with pytest.raises(ClipError, match="no frame at 9 s or later"):
        read_from(clip, Fraction(9))

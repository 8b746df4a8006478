"""Clips as people have them: mirrored, with covers, interlaced, transparent, animated."""

from __future__ import annotations

import struct
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from PIL import Image

from clips import write_clip
from impasto.errors import ClipError
from impasto.image.color.coded import SDR_WHITE
from impasto.video.clip.container import ContainerClip
from impasto.video.clip.reading import (
    name_numbered_file,
    names_numbered_clip,
    names_numbered_files,
    open_clip,
)
from impasto.video.clip.selection import FrameSource, Selection
from impasto.video.clip.streams.display_matrix import Placement
from impasto.video.job.film_output import write_painted_film
from impasto.video.job.frame_store import FrameStore, StoredFrame

WIDTH, HEIGHT = 64, 48
COLORS = [(200, 40, 40), (40, 180, 40), (40, 40, 200), (200, 200, 40)]


def make_card() -> np.ndarray:
    """Red, green, blue and yellow quarters."""
    card = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for place, color in enumerate(COLORS):
        top, left = place // 2 * HEIGHT // 2, place % 2 * WIDTH // 2
        card[top : top + HEIGHT // 2, left : left + WIDTH // 2] = color
    return card


CARD = make_card()


def copy(path, target, notices=None, **selected):
    """Copy a clip without painting it, and return the notices."""
    collected = [] if notices is None else notices
    clip = open_clip(path, notice=collected.append)
    store = FrameStore(target.with_name(f"{target.name}.frames"), {})
    size = None
    source = FrameSource(clip, Selection(**selected), (clip.format.width, clip.format.height))
    for index, frame in enumerate(source.read_frames()):
        levels = frame.load()
        size = levels.shape[1], levels.shape[0]
        store.save(index, StoredFrame(frame.time, 0, levels, ""), levels)
    write_painted_film(
        target, store, FrameSource(clip, source.selection, size), notice=collected.append
    )
    return collected


def load(path):
    return [(frame.time, frame.load()) for frame in open_clip(path).read_frames()]


def set_matrix(path, a, b, c, d):
    """Replace the display matrix of an MP4's only track."""
    data = bytearray(path.read_bytes())
    place = data.index(b"tkhd") + 4 + 40
    numbers = [n * 65_536 for n in (a, b, 0, c, d, 0, 0, 0)]
    data[place : place + 36] = struct.pack(">8iI", *numbers, 2**30)
    path.write_bytes(data)


SIGNS = [(1, 1), (1, -1), (-1, 1), (-1, -1)]


@pytest.mark.parametrize(
    ("a", "b", "c", "d"), [(a, 0, 0, d) for a, d in SIGNS] + [(0, b, c, 0) for b, c in SIGNS]
)
def test_every_matrix_of_turns_and_mirrors_is_applied(a, b, c, d, tmp_path):
    path = write_clip(tmp_path / "clip.mp4", [CARD] * 2)
    set_matrix(path, a, b, c, d)
    frame = load(path)[0][1].astype(int)
    height, width = frame.shape[:2]
    assert (width, height) == ((WIDTH, HEIGHT) if a else (HEIGHT, WIDTH))
    for place, color in enumerate(COLORS):
        x, y = (place % 2 * 2 - 1), (place // 2 * 2 - 1)  # of a quarter, from the middle
        right, down = a * x + c * y, b * x + d * y
        corner = frame[height // 2 + down * height // 4, width // 2 + right * width // 4]
        assert np.abs(corner - color).max() < 30


def test_a_placement_flips_after_it_has_transposed():
    pixels = np.arange(6).reshape(2, 3)
    turned = Placement(transposes=True, mirrors=True).apply(pixels)
    assert np.array_equal(turned, np.rot90(pixels, -1))


def write_streams(path, streams):
    """Write films of (codec, frames, disposition); a still has one frame."""
    with av.open(str(path), "w") as container:
        pairs = []
        for codec, frames, disposition in streams:
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height = WIDTH, HEIGHT
            stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
            stream.disposition = disposition
            pairs.append((stream, frames))
        for stream, frames in pairs:
            for index, pixels in enumerate(frames):
                frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 10)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return path


GRAY = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
COVER = int(av.stream.Disposition.attached_pic)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("disposition", [0, COVER])
@pytest.mark.parametrize("is_first", [True, False])
def test_the_film_is_the_moving_picture(is_first, disposition, suffix, tmp_path):
    streams = [("mjpeg", [GRAY], disposition), ("libx264", [CARD] * 5, 0)]
    path = write_streams(tmp_path / f"a.{suffix}", streams if is_first else streams[::-1])
    frames = load(path)
    assert len(frames) == 5
    assert np.abs(frames[0][1].astype(int) - CARD).mean() < 12


def test_of_two_films_the_longer_one_is_taken(tmp_path):
    path = write_streams(
        tmp_path / "a.mkv", [("libx264", [GRAY] * 3, 0), ("libx264", [CARD] * 6, 0)]
    )
    assert len(load(path)) == 6
    with path.open("rb") as stream:  # a pipe cannot be read twice: the first film is taken
        assert len([*ContainerClip(stream, print).read_frames()]) == 3


def write_animation(path, kind, durations, *, loop=0, alpha=None):
    frames = []
    for shade in range(len(durations)):
        pixels = np.clip(CARD.astype(int) + 9 * shade, 0, 255).astype(np.uint8)
        frames.append(Image.fromarray(pixels if alpha is None else np.dstack([pixels, alpha])))
    options = {} if loop is None else {"loop": loop}
    if kind == "WEBP":
        options["lossless"] = True
    frames[0].save(
        path, kind, save_all=True, append_images=frames[1:], duration=durations, **options
    )
    return path


@pytest.mark.parametrize(
    ("kind", "loop", "expected"),
    [
        ("GIF", 0, 0),
        ("GIF", 3, 3),
        ("GIF", None, None),
        ("WEBP", 0, 0),
        ("WEBP", 3, 2),
        ("WEBP", 1, None),
        ("PNG", 0, 0),
        ("PNG", 4, 3),
        ("PNG", 1, None),
    ],
)
@pytest.mark.parametrize("last", [2000, 50])
def test_delays_and_loops_are_kept(kind, loop, expected, last, tmp_path):
    path = write_animation(tmp_path / f"a.{kind.lower()}", kind, [100, 500, 40, last], loop=loop)
    notices = copy(path, tmp_path / "film.gif")
    assert notices == []
    with Image.open(tmp_path / "film.gif") as image:
        assert image.info.get("loop") == expected
        durations = []
        for index in range(image.n_frames):
            image.seek(index)
            durations.append(image.info["duration"])
    assert durations == [100, 500, 40, last]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "webm"])
def test_a_last_frame_that_is_held_is_held_in_the_film(suffix, tmp_path):
    path = write_animation(tmp_path / "a.gif", "GIF", [100, 100, 1500])
    copy(path, tmp_path / f"film.{suffix}")
    with av.open(str(tmp_path / f"film.{suffix}")) as container:
        assert container.duration / av.time_base == pytest.approx(1.7, abs=0.05)


def test_a_last_frame_that_is_short_is_short_in_the_film(tmp_path):
    path = write_animation(tmp_path / "a.gif", "GIF", [1000, 1000, 100])
    copy(path, tmp_path / "film.mp4")
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert container.duration / av.time_base == pytest.approx(2.1, abs=0.05)


def test_a_clip_that_is_cut_ends_as_asked(tmp_path):
    path = write_animation(tmp_path / "a.gif", "GIF", [100, 100, 100, 1500])
    copy(path, tmp_path / "film.mp4", end=Fraction(2, 10))
    with av.open(str(tmp_path / "film.mp4")) as container:
        assert container.duration / av.time_base < 1


def test_animated_webp_and_png_are_read(tmp_path):
    for kind in ("WEBP", "PNG"):
        path = write_animation(tmp_path / f"a.{kind.lower()}", kind, [100, 50, 200])
        frames = load(path)
        assert [float(time) for time, _ in frames] == pytest.approx([0, 0.1, 0.15])
        assert all(
            np.array_equal(p[:, :, 0].max(), min(255, 200 + 9 * n))
            for n, (_, p) in enumerate(frames)
        )
        assert open_clip(path).format.frames in (3, None)
    (tmp_path / "bad.webp").write_bytes(path.read_bytes()[:12] and b"RIFF\x10\0\0\0WEBPVP8 junk")
    with pytest.raises(ClipError):
        open_clip(tmp_path / "bad.webp")


def write_interlaced(path):
    """Film a bar that moves between the two fields of each frame."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"flags": "+ildct+ilme"}
        stream.bit_rate = 4_000_000
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=WIDTH, height=HEIGHT, format="yuv420p", time_base=Fraction(1, 25)
        )
        marks, sink = graph.add("setfield", "mode=tff"), graph.add("buffersink")
        source.link_to(marks)
        marks.link_to(sink)
        graph.configure()
        for index in range(6):
            pixels = np.full((HEIGHT, WIDTH, 3), 30, np.uint8)
            for field in (0, 1):
                left = 8 * index + 4 * field
                pixels[field::2, left : left + 12] = 220
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            graph.push(frame)
            container.mux(stream.encode(graph.pull()))
        container.mux(stream.encode())
    return path


def measure_combs(pixels):
    lines = pixels[..., 1].astype(int)
    return np.abs(2 * lines[1:-1] - lines[:-2] - lines[2:]).mean()


def test_interlaced_frames_are_deinterlaced_and_said(tmp_path):
    path = write_interlaced(tmp_path / "a.mpg")
    notices = []
    clip = open_clip(path, notice=notices.append)
    frames = [(frame.time, frame.load()) for frame in clip.read_frames()]
    with av.open(str(path)) as container:
        combed = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
    assert notices == [f"{path}: is interlaced, and is deinterlaced"]
    assert len(frames) == len(combed)
    assert all(later - time == Fraction(1, 25) for (time, _), (later, _) in pairwise(frames))
    assert measure_combs(frames[2][1]) < measure_combs(combed[2]) / 3


HOLE = np.full((HEIGHT, WIDTH), 255, np.uint8)
HOLE[:, : WIDTH // 2] = 0


@pytest.mark.parametrize("suffix", ["gif", "webm", "mov"])
@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_transparency_is_kept_where_the_film_can(kind, suffix, tmp_path):
    path = write_animation(tmp_path / f"a.{kind.lower()}", kind, [100] * 3, alpha=HOLE)
    target = tmp_path / f"film.{suffix}"
    assert copy(path, target) == []
    clip = open_clip(target)
    count = 0
    for frame in clip.read_frames():
        alpha = frame.load_alpha()
        count += 1
        assert np.abs(alpha.astype(int) - HOLE)[:, [4, -4]].max() < 20
    assert count == 3


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_transparency_that_cannot_be_kept_is_said(suffix, tmp_path):
    path = write_animation(tmp_path / "a.gif", "GIF", [100] * 2, alpha=HOLE)
    notices = copy(path, tmp_path / f"film.{suffix}")
    assert notices == [
        f"transparency: omitted, because .{suffix} files are opaque; .gif, .webm and .mov can "
        "keep it"
    ]
    opaque = write_animation(tmp_path / "b.gif", "GIF", [100] * 2)
    assert copy(opaque, tmp_path / f"opaque.{suffix}") == []


def write_tracks(path, subtitles=None):
    """A film with two sound tracks, chapters, and perhaps subtitles and a font."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sounds = []
        for language, disposition in (("eng", 0), ("deu", av.stream.Disposition.default)):
            sound = container.add_stream("aac", rate=44_100, layout="mono")
            sound.metadata["language"], sound.metadata["title"] = language, f"in {language}"
            sound.disposition = disposition
            sounds.append(sound)
        if subtitles is not None:
            with av.open(str(subtitles)) as source:
                container.add_stream_from_template(source.streams.subtitles[0])
            container.add_attachment("a.ttf", "font/ttf", b"a font")
        chapter = {"id": 1, "start": 0, "end": 500, "time_base": Fraction(1, 1000)}
        container.set_chapters(
            [
                {**chapter, "metadata": {"title": "One"}},
                {**chapter, "id": 2, "start": 500, "end": 1000, "metadata": {"title": "Two"}},
            ]
        )
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(CARD, "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(video.encode(frame))
        container.mux(video.encode())
        for sound in sounds:
            for begin in range(0, 44_100, 1024):
                tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
                tone.sample_rate, tone.pts, tone.time_base = 44_100, begin, Fraction(1, 44_100)
                container.mux(sound.encode(tone))
            container.mux(sound.encode())
    return path


@pytest.mark.parametrize(
    ("suffix", "names"),
    [
        ("mkv", ["attachments"]),
        ("mp4", ["subtitles", "attachments"]),
        ("webm", ["sound", "subtitles", "attachments"]),
        ("gif", ["sound", "subtitles", "chapters", "attachments"]),
    ],
)
def test_tracks_that_are_not_kept_are_said_once_each(suffix, names, tmp_path):
    (tmp_path / "a.srt").write_text("1\n00:00:00,100 --> 00:00:00,400\nHello\n")
    path = write_tracks(tmp_path / "a.mkv", tmp_path / "a.srt")
    notices = copy(path, tmp_path / f"film.{suffix}")
    assert [each.partition(":")[0] for each in notices] == names


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_languages_titles_and_default_flags_of_sound_are_kept(suffix, tmp_path):
    path = write_tracks(tmp_path / "a.mkv")
    copy(path, tmp_path / f"film.{suffix}")
    with av.open(str(tmp_path / f"film.{suffix}")) as container:
        sounds = container.streams.audio
        assert [each.metadata["language"] for each in sounds] == ["eng", "deu"]
        flags = [bool(each.disposition & each.disposition.default) for each in sounds]
        assert flags == [False, True]
        if suffix == "mkv":
            assert [each.metadata["title"] for each in sounds] == ["in eng", "in deu"]


def test_quicktime_keeps_languages_by_its_own_codes(tmp_path):
    copy(write_tracks(tmp_path / "a.mkv"), tmp_path / "film.mov")
    with av.open(str(tmp_path / "film.mov")) as container:
        assert [each.metadata["language"] for each in container.streams.audio] == ["eng", "ger"]


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "webm"])
def test_chapters_are_kept_and_follow_a_cut(suffix, tmp_path):
    path = write_tracks(tmp_path / "a.mkv")
    copy(path, tmp_path / f"film.{suffix}")
    copy(path, tmp_path / "cut.mkv", begin=Fraction(7, 10))
    with av.open(str(tmp_path / f"film.{suffix}")) as container:
        titles = [each["metadata"]["title"] for each in container.chapters()]
        assert titles == ["One", "Two"]
    with av.open(str(tmp_path / "cut.mkv")) as container:
        (chapter,) = container.chapters()
        assert chapter["metadata"]["title"] == "Two"
        assert chapter["start"] * chapter["time_base"] == 0
        assert float(chapter["end"] * chapter["time_base"]) == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("name", ["*.png", "a%3d.png", "a###.png"])
def test_other_patterns_get_a_line_with_ours(name, tmp_path):
    with pytest.raises(ClipError, match=r"by a pattern such as frames/%05d\.png"):
        open_clip(tmp_path / name)
    with pytest.raises(ClipError, match="no such folder"):
        open_clip(tmp_path / "gone" / "%05d.png")


def encode_pq(light):
    power = (light * SDR_WHITE / 10_000) ** (2610 / 16_384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def test_hdr_films_are_tone_mapped_and_said(tmp_path):
    shades = np.linspace(0, 0.7, WIDTH)
    values = np.broadcast_to(encode_pq(shades)[None, :, None], (HEIGHT, WIDTH, 3))
    levels = np.rint(values * 255).astype(np.uint8)
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 2}
    path = write_clip(tmp_path / "a.mp4", [levels] * 2, pix_fmt="yuv420p10le", tags=tags)
    notices = []
    clip = open_clip(path, notice=notices.append)
    frame = next(iter(clip.read_frames())).load()
    expected = 255 * np.where(shades < 0.0031, 12.92 * shades, 1.055 * shades ** (1 / 2.4) - 0.055)
    assert np.abs(frame[20, 4:-4, 1] - expected[4:-4]).mean() < 8
    assert notices == [
        f"{path}: is HDR (PQ): 203 cd/m2 is shown as white, and brighter light is compressed"
    ]
    assert clip.format.colors.transfer == 1
    assert clip.format.colors.primaries == 1


def test_a_percent_sign_is_a_pattern_only_for_pictures_that_do_not_exist(tmp_path):
    film = write_clip(tmp_path / "50%d.mp4", [CARD] * 2)
    assert len(load(film)) == 2
    assert not names_numbered_clip(str(film))
    assert names_numbered_clip(str(tmp_path / "%05d.png"))
    Image.fromarray(CARD).save(tmp_path / "a%d.png")
    assert not names_numbered_clip(str(tmp_path / "a%d.png"))
    assert names_numbered_files(tmp_path / "b%03d.png")
    assert not names_numbered_files(tmp_path / "b%03d.mp4")
    folder = tmp_path / "100%"
    assert name_numbered_file(folder / "a%03d%.png", 7) == folder / "a007%.png"

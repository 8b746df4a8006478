"""Clips and films: what was written is read back, and errors are one line."""

from __future__ import annotations

import io
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from clips import make_pan, write_clip, write_sound
from impasto.errors import ClipError, ImpastoError, InputError, LimitError
from impasto.video.clip.film_writer import (
    FilmFrame,
    FilmSound,
    check_film_target,
    needs_even_sides,
    write_film,
    write_numbered_frames,
)
from impasto.video.clip.frames import Format
from impasto.video.clip.reading import list_numbered_files, open_clip

FRAMES = make_pan(6)


def load_frames(clip):
    return [(frame.time, frame.load()) for frame in clip.read_frames()]


def attach_times(frames, times):
    return [FilmFrame(Fraction(t), lambda p=p: p) for p, t in zip(frames, times, strict=True)]


def are_close(decoded, frames, tolerance=4):
    """Tell whether pictures are alike on average, as far as the codec allows."""
    assert len(decoded) == len(frames)
    return all(
        np.abs(a.astype(int) - b.astype(int)).mean() < tolerance
        for a, b in zip(decoded, frames, strict=True)
    )


def test_reading_a_file_gives_its_frames_times_and_format(tmp_path):
    notices = []
    path = write_clip(tmp_path / "clip.mp4", FRAMES, sound=True)
    clip = open_clip(path, notice=notices.append)
    form = clip.format
    assert (form.width, form.height, form.rate, form.frames) == (64, 48, 12, 6)
    assert clip.sound == path
    for _ in range(2):  # a file can be read again
        decoded = load_frames(clip)
        assert [time for time, _ in decoded] == [Fraction(i, 12) for i in range(6)]
        assert are_close([pixels for _, pixels in decoded], FRAMES)
    assert not notices


def test_variable_frame_rate_is_kept(tmp_path):
    times = [0, 10, 15, 40, 70, 75]
    source = open_clip(write_clip(tmp_path / "clip.mkv", FRAMES, times=times))
    decoded = load_frames(source)
    assert [float(t) for t, _ in decoded] == pytest.approx([t / 120 for t in times], abs=1e-3)
    for name in ("again.mp4", "again.mkv", "again.webm", "again.gif"):
        target = tmp_path / name
        write_film(
            target, attach_times([p for _, p in decoded], [t for t, _ in decoded]), source.format
        )
        again = load_frames(open_clip(target))
        bound = 0.006 if name.endswith("gif") else 0.0011
        assert [float(t) for t, _ in again] == pytest.approx([t / 120 for t in times], abs=bound)
        assert are_close([p for _, p in again], FRAMES, 8)


@pytest.mark.parametrize("degrees", [90, 180, -90])
def test_rotated_clips_are_turned_upright(tmp_path, degrees):
    path = write_clip(tmp_path / "clip.mp4", FRAMES, rotation=degrees)
    with av.open(str(path)) as container:
        rotation = next(container.decode(video=0)).rotation
    assert abs(rotation) == abs(degrees)
    clip = open_clip(path)
    upright = [np.rot90(frame, rotation // 90) for frame in FRAMES]
    assert (clip.format.height, clip.format.width) == upright[0].shape[:2]
    assert are_close([p for _, p in load_frames(clip)], upright)


def make_color_bars():
    bars = np.zeros((48, 64, 3), np.uint8)
    for index, color in enumerate([(200, 30, 30), (30, 180, 40), (40, 50, 210), (220, 210, 60)]):
        bars[:, 16 * index : 16 * index + 16] = color
    return bars


TAGS = [
    {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1},
    {"colorspace": 5, "color_primaries": 5, "color_trc": 6, "color_range": 1},
    {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 2},
    {},
]


@pytest.mark.parametrize("tags", TAGS)
def test_colors_and_their_tags_are_kept(tmp_path, tags):
    source, again = tmp_path / "clip.mp4", tmp_path / "again.mp4"
    full, matrix = tags.get("color_range") == 2, tags.get("colorspace", 5)
    with av.open(str(source), "w") as container:
        video = container.add_stream("libx264", rate=12)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.options = {"crf": "4"}
        for name, value in tags.items():
            setattr(video.codec_context, name, value)
        frame = av.VideoFrame.from_ndarray(make_color_bars(), "rgb24").reformat(
            format="yuv420p", dst_colorspace=matrix, dst_color_range="JPEG" if full else "MPEG"
        )
        frame.pts = 0
        container.mux(video.encode(frame))
        container.mux(video.encode())
    clip = open_clip(source)
    (decoded,) = load_frames(clip)
    middles = np.s_[8:40, 6::16]
    assert np.abs(decoded[1][middles].astype(int) - make_color_bars()[middles]).max() < 8
    write_film(again, attach_times([decoded[1]], [decoded[0]]), clip.format)
    second = open_clip(again)
    assert second.format.colors == clip.format.colors
    assert (
        np.abs(load_frames(second)[0][1][middles].astype(int) - make_color_bars()[middles]).max()
        < 10
    )


def test_sound_is_copied_packet_by_packet(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", FRAMES, sound=True)
    clip, target = open_clip(path), tmp_path / "again.mp4"
    times, frames = zip(*load_frames(clip), strict=True)
    write_film(target, attach_times(frames, times), clip.format, FilmSound(path))

    def read_packets(file, begin=None):
        with av.open(str(file)) as container:
            return [
                bytes(p)
                for p in container.demux(audio=0)
                if p.size and (begin is None or p.pts * p.time_base >= begin)
            ]

    def decode_sound(file):
        with av.open(str(file)) as container:
            return np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])

    assert read_packets(target) == read_packets(path)
    assert np.array_equal(
        decode_sound(target), decode_sound(path)
    )  # from the first sample, which needs run-up
    part = FilmSound(path, Fraction(1, 4), Fraction(2, 5))
    write_film(tmp_path / "part.mkv", attach_times(frames[3:], times[:3]), clip.format, part)
    packets = read_packets(tmp_path / "part.mkv")
    assert packets == read_packets(path, 0.25)[: len(packets)]
    assert len(packets) == pytest.approx(0.15 * 44_100 / 1024, abs=2)


def test_times_begin_at_zero_wherever_the_file_begins(tmp_path):
    path = write_clip(tmp_path / "clip.ts", FRAMES, times=range(300, 360, 10))
    with av.open(str(path)) as container:
        assert container.start_time == 2_500_000  # microseconds
    times = [float(time) for time, _ in load_frames(open_clip(path))]
    assert times == pytest.approx([i / 12 for i in range(6)], abs=2e-3)


def test_sound_that_does_not_fit_is_omitted_and_reported(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", FRAMES, sound=True)
    notices = []
    write_film(
        tmp_path / "again.webm",
        attach_times(FRAMES, range(6)),
        open_clip(path).format,
        FilmSound(path),
        notices.append,
    )
    assert len(notices) == 1
    assert ".mkv" in notices[0]
    assert open_clip(tmp_path / "again.webm").sound is None


def test_the_same_frames_make_the_same_film_whatever_the_memory_alignment(tmp_path):
    """By default, about one in twenty x264 films of these frames differs."""
    form, times = Format(48, 36, Fraction(1), Fraction(1, 15_360)), range(6)
    grain = np.random.default_rng(0).normal(0, 12, (6, 36, 48, 3))
    frames = [
        np.clip(each[:36, :48] + more, 0, 255).astype(np.uint8)
        for each, more in zip(FRAMES, grain, strict=True)
    ]
    path, other, films = tmp_path / "film.mp4", [], set()
    for number in range(50):
        other.append(np.full(1 + 9_973 * number % 400_000, number, np.uint8))
        del other[: len(other) - 5]
        write_film(path, attach_times(frames, times), form)
        films.add(path.read_bytes())
    assert len(films) == 1


def test_the_record_is_in_the_film(tmp_path):
    path = tmp_path / "film.mp4"
    form = Format(64, 48, Fraction(1), Fraction(1))
    write_film(path, attach_times(FRAMES, range(6)), form, texts={"comment": "me"})
    with av.open(str(path)) as container:
        assert container.metadata["comment"] == "me"


def test_a_damaged_end_is_reported_and_the_rest_is_kept(tmp_path):
    whole = write_clip(tmp_path / "clip.mkv", make_pan(40))
    data = whole.read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(data[: len(data) * 6 // 10])
    notices = []
    decoded = load_frames(open_clip(cut, notice=notices.append))
    assert 4 <= len(decoded) < 40
    assert are_close([p for _, p in decoded][:4], make_pan(4))
    assert len(notices) <= 2
    assert "cut.mkv: ends early" in notices[-1]


def test_damage_in_the_middle_is_reported(tmp_path):
    whole = write_clip(tmp_path / "clip.mkv", make_pan(40))
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    whole.write_bytes(bytes(data))
    notices = []
    decoded = load_frames(open_clip(whole, notice=notices.append))
    assert len(decoded) > 10
    assert len(notices) <= 2


def test_ten_bits_are_reported(tmp_path):
    deep = write_clip(tmp_path / "deep.mp4", FRAMES, pix_fmt="yuv420p10le")
    notices = []
    assert are_close([p for _, p in load_frames(open_clip(deep, notice=notices.append))], FRAMES)
    assert notices == [f"{deep}: its 10 bits per channel are reduced to 8"]


def test_files_that_are_not_clips_are_refused_in_one_line(tmp_path):
    (tmp_path / "text.mp4").write_text("no film, only words\n" * 100)
    (tmp_path / "text.txt").write_text("no film, only words\n" * 100)
    (tmp_path / "text.jpg").write_text("no picture, only words\n" * 100)
    (tmp_path / "empty.mp4").write_bytes(b"")
    write_sound(tmp_path / "tone.mp4")
    for name, words in (
        ("text.mp4", "not a readable clip"),
        ("text.txt", "not a readable clip"),
        ("text.jpg", "no frame that can be decoded"),
        ("empty.mp4", "not a readable clip"),
        ("tone.mp4", "no video, only sound"),
        ("gone.mp4", "no such file"),
        (".", "is a folder"),
        ("f/%05d.png", "no such folder"),
        ("%05d.png", "no such files"),
        ("f/%05d-%05d.png", "exactly one %d"),
    ):
        with pytest.raises(ClipError, match=words) as caught:
            open_clip(tmp_path / name)
        assert "\n" not in str(caught.value)


def test_an_mp4_with_its_index_at_the_end_cannot_be_piped(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (12, 240, 320, 3), np.uint8)
    path = write_clip(tmp_path / "clip.mp4", frames)
    data = path.read_bytes()
    assert data.index(b"mdat") < data.index(b"moov")
    notices = []
    with (
        subprocess.Popen(["cat", str(path)], stdout=subprocess.PIPE) as process,
        pytest.raises(ClipError, match="cannot be piped, pass its path"),
    ):
        open_clip(process.stdout, notice=notices.append)
    assert not notices


def test_a_clip_without_frames_is_refused(tmp_path):
    path = write_clip(tmp_path / "clip.mkv", FRAMES)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(bytes.fromhex("1F43B675"))])  # before the first cluster
    with pytest.raises(ClipError, match=r"no frame that can be decoded|not a readable clip"):
        open_clip(path)


def test_one_picture_is_a_clip_of_one_frame(tmp_path):
    Image.fromarray(FRAMES[0]).save(tmp_path / "one.png")
    assert [np.array_equal(p, FRAMES[0]) for _, p in load_frames(open_clip(tmp_path / "one.png"))]


def test_numbered_pictures_replace_none_and_leave_no_part(tmp_path):
    pattern = tmp_path / "%03d.png"
    (tmp_path / "003.png").write_bytes(b"somebody's")
    with pytest.raises(InputError, match="exists already"):
        write_numbered_frames(pattern, attach_times(FRAMES, range(6)), overwrite=False)
    assert [each.name for each in tmp_path.iterdir()] == ["003.png"]
    assert (tmp_path / "003.png").read_bytes() == b"somebody's"


def test_numbered_pictures_are_written_and_read(tmp_path):
    pattern = tmp_path / "%03d.png"
    write_numbered_frames(pattern, attach_times(FRAMES, range(6)))
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"00{i}.png" for i in range(1, 7)]
    clip = open_clip(pattern, rate=Fraction(5))
    decoded = load_frames(clip)
    assert [t for t, _ in decoded] == [Fraction(i, 5) for i in range(6)]
    assert all(np.array_equal(a, b) for (_, a), b in zip(decoded, FRAMES, strict=True))
    (tmp_path / "0010.png").write_bytes(b"")  # of another pattern
    assert len(list_numbered_files(str(pattern))) == 6
    (tmp_path / "003.png").unlink()
    with pytest.raises(ClipError, match=r"003\.png: missing from"):
        open_clip(pattern)
    Image.fromarray(FRAMES[0][:40]).save(tmp_path / "003.png")
    with pytest.raises(ClipError, match=r"003.png: is 64x40 px, but the first frame is 64x48"):
        load_frames(open_clip(pattern))


def test_gifs_keep_their_size_and_nearly_their_colors(tmp_path):
    odd = [frame[:47, :63] for frame in FRAMES]
    form = Format(63, 47, Fraction(10), Fraction(1, 10))
    write_film(tmp_path / "film.gif", attach_times(odd, [Fraction(i, 10) for i in range(6)]), form)
    with Image.open(tmp_path / "film.gif") as image:
        assert (image.n_frames, image.size) == (6, (63, 47))
    clip = open_clip(tmp_path / "film.gif")
    assert are_close([p for _, p in load_frames(clip)], odd, 8)


def test_raw_pixels_are_read_from_a_pipe():
    form = Format(64, 48, Fraction(24), Fraction(1, 24))
    data = b"".join(frame.tobytes() for frame in FRAMES)
    decoded = load_frames(open_clip(io.BytesIO(data), raw=form))
    assert all(np.array_equal(a, b) for (_, a), b in zip(decoded, FRAMES, strict=True))
    assert decoded[5][0] == Fraction(5, 24)
    with pytest.raises(ClipError, match="ends within frame 5, after 9215 of 9216 bytes"):
        load_frames(open_clip(io.BytesIO(data[:-1]), raw=form))
    with pytest.raises(ClipError, match="contains no frame"):
        load_frames(open_clip(io.BytesIO(b""), raw=form))
    with pytest.raises(LimitError, match="over the limit"):
        open_clip(io.BytesIO(b""), raw=Format(60_000, 60_000, Fraction(1), Fraction(1)))


def test_encoded_video_is_read_from_a_pipe(tmp_path):
    path = write_clip(tmp_path / "clip.mkv", FRAMES)
    clip = open_clip(io.BytesIO(path.read_bytes()))
    assert are_close([p for _, p in load_frames(clip)], FRAMES)
    with pytest.raises(ClipError, match="only once"):
        next(clip.read_frames())


def test_only_known_kinds_of_films_are_accepted(tmp_path):
    for name in ("a.mp4", "a.MOV", "a.mkv", "a.webm", "a.gif", "f/%05d.png"):
        check_film_target(tmp_path / name)
    for name in ("a.avi", "a", "%d.gif"):
        with pytest.raises(InputError, match=r"expected one of|numbered frames"):
            check_film_target(tmp_path / name)
    assert needs_even_sides(tmp_path / "a.mp4")
    assert not needs_even_sides(tmp_path / "a.gif")


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    path = write_clip(folder / "clip.mp4", FRAMES[:3], sound=True)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    complaints = []
    try:
        load_frames(open_clip(path))
    except ImpastoError as error:
        complaints.append(str(error))
    assert not any("\n" in each for each in complaints)

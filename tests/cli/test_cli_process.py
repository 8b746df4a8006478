"""What only a real process shows: signals, closed streams, missing packages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import forks
from impasto.image.files.decode import read_picture
from processes import running

pytestmark = pytest.mark.usefixtures("narrow_encoder", "in_work")

IMPASTO = [sys.executable, "-m", "impasto"]


def start(*arguments: str) -> AbstractContextManager[subprocess.Popen]:
    job = ["photo.png", "--style", "painting.png", "-o", "out.png", "--size", "32"]
    job += ["--iterations", "100000", "--snapshots", "s", "--snapshot-every", "2"]
    return running([*IMPASTO, *job, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_work(process: subprocess.Popen) -> None:
    while not Path("s/step-000002.png").exists():
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)


def test_sigterm_keeps_the_best_picture_its_film_and_its_report():
    with start("--json", "--timelapse", "run.gif", "--quiet") as process:
        wait_for_work(process)
        process.send_signal(signal.SIGTERM)
        out, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert errors.decode().startswith("impasto: stopped after ")
    report = json.loads(out.splitlines()[-1])
    assert report["interrupted"]
    assert 2 <= report["iterations"] < 100_000
    assert (report["width"], report["height"]) == (32, 24)
    picture = read_picture(Path("out.png"))
    assert (picture.width, picture.height) == (32, 24)
    assert Path("run.gif").read_bytes()[:3] == b"GIF"


def test_a_second_signal_ends_it_at_once():
    script = (
        "import os, signal, sys, time\n"
        "from impasto.record.snapshots import Snapshots\n"
        "see = Snapshots.record\n"
        "def hang(self, step):\n"
        "    see(self, step)\n"
        "    if step.iteration == 2:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(0.1)\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        time.sleep(600)\n"
        "Snapshots.record = hang\n"
        "from impasto.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    job = ["photo.png", "--style", "painting.png", "-o", "out.png", "--size", "32", "--quiet"]
    command = [sys.executable, "-c", script, *job, "--snapshots", "s", "--snapshot-every", "1"]
    process = forks.run(command, capture_output=True, timeout=120)
    assert process.returncode == 130
    assert process.stderr == b"impasto: interrupted\n"
    assert not Path("out.png").exists()
    assert [p.name for p in Path().iterdir() if p.name.startswith(".")] == []


def test_a_signal_while_the_result_is_written_does_not_lose_it():
    script = (
        "import os, signal, sys\n"
        "from impasto.image.files import encode\n"
        "write = encode.write_atomically\n"
        "def interrupted(target, data, **options):\n"
        "    if target.name == 'out.png': os.kill(os.getpid(), signal.SIGINT)\n"
        "    write(target, data, **options)\n"
        "encode.write_atomically = interrupted\n"
        "from impasto.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    job = ["photo.png", "--style", "painting.png", "-o", "out.png", "--size", "32", "--quiet"]
    command = [sys.executable, "-c", script, *job, "--iterations", "2"]
    process = forks.run(command, capture_output=True, timeout=120)
    assert process.returncode == 0, process.stderr
    assert read_picture(Path("out.png")).width == 32


def test_a_reader_that_leaves_early_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as broken:
        process = subprocess.run(
            [*IMPASTO, "recipes"], stdout=broken, stderr=subprocess.PIPE, check=False
        )
    assert process.returncode == 0
    assert process.stderr == b""


def test_a_closed_standard_error_does_not_spill_into_standard_output():
    line = f'"{sys.executable}" -m impasto none.png --style painting.png 2>&-'
    process = subprocess.run(["sh", "-c", line], stdout=subprocess.PIPE, check=False)
    assert process.returncode == 2
    assert process.stdout == b""
    line = (
        f'"{sys.executable}" -m impasto photo.png --style painting.png -o - --size 32 '
        "--iterations 1 2>&- > piped.png"
    )
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 0
    assert read_picture(Path("piped.png")).width == 32


@pytest.mark.parametrize(
    ("arguments", "closed", "says"),
    [
        ("- --style painting.png -o out.png", "<&-", "-: standard input is closed"),
        ("photo.png --style painting.png -o -", ">&-", "-o -: standard output is closed"),
    ],
)
def test_a_closed_stream_that_is_needed_is_one_line_before_the_work(arguments, closed, says):
    script = (
        "import sys; from impasto.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "assert 'torch' not in sys.modules; sys.exit(code)"
    )
    line = f'"{sys.executable}" -c "{script}" {arguments} {closed}'
    process = subprocess.run(["sh", "-c", line], capture_output=True, check=False)
    (message,) = process.stderr.decode().splitlines()
    assert message.startswith(f"impasto: error: {says}")
    assert process.returncode == 2


@pytest.mark.parametrize("gone", ["torch", "pydantic"])
def test_doctor_says_what_is_missing(gone):
    script = (
        f"import sys; sys.modules[{gone!r}] = None\n"
        "from impasto.cli import main; sys.exit(main(['doctor', '--json']))"
    )
    process = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert process.returncode == 4, process.stderr
    report = json.loads(process.stdout)
    assert not report["ready"]
    assert gone in report["error"]


def test_doctor_without_weights_is_not_ready(work):
    script = (
        "import sys; from pathlib import Path; from impasto.encoders import weights\n"
        "weights.find_wheel_file = lambda: Path('none.bin')\n"
        "weights.load_wheel_parameters.cache_clear()\n"
        "from impasto.cli import main; sys.exit(main(['doctor']))"
    )
    environment = {**os.environ, "IMPASTO_CACHE": str(work)}
    command = [sys.executable, "-c", script]
    process = forks.run(command, capture_output=True, env=environment)
    assert process.returncode == 4, process.stderr
    assert b"none.bin: is missing" in process.stdout


def test_doctor_names_the_weights_that_a_run_would_use(work):
    process = forks.run([*IMPASTO, "doctor", "--json"], capture_output=True, check=True)
    report = json.loads(process.stdout)
    from impasto.encoders.weight_sources import find_wheel_file, hash_file

    assert report["weights"]["file"] == find_wheel_file().name
    assert report["weights"]["sha256"] == hash_file(find_wheel_file())
    assert report["device"]["cores"] == os.cpu_count()
    assert "missing" not in report["packages"].values()


def test_on_a_real_terminal_the_bar_runs_to_the_end():
    import pty

    terminal, inner = pty.openpty()
    job = ["photo.png", "--style", "painting.png", "-o", "out.png", "--size", "32"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    painting = [*IMPASTO, *job, "--iterations", "5"]
    with running(painting, stderr=inner, env=environment) as process:
        os.close(inner)
        text = b""
        while True:
            try:
                text += os.read(terminal, 65_536)
            except OSError:  # how Linux says that the other end has closed
                break
        process.wait()
    os.close(terminal)
    assert process.returncode == 0, text.decode()
    assert b"5/5" in text
    assert b"out.png (32x24)" in text

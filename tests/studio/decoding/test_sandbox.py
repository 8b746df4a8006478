"""What the processes that decode clients' files can do, tried by the processes themselves."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from images import png_file
from impasto.errors import ClipError, ImageError, LimitError
from impasto.image.files.limits import MIB, Limits
from impasto.studio.decoding import landlock, sandbox
from impasto.studio.decoding.conversation import Conversation, ForkLauncher, name_box, remove_boxes
from impasto.studio.decoding.decoder import LANES, Decoder, examine_sandbox
from impasto.studio.decoding.sandbox import Restrictions, confine
from sandbox_probe import NO_LANDLOCK
from studios import PHOTO

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="restrictions of Linux",
)
TOKEN = "correct-horse-battery"
CALLS = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "pidfd_open", "pidfd_getfd", "kill"),
    *("kill the parent", "tgkill", "tkill", "fcntl F_SETOWN", "fork", "clone3", "execve"),
    *("unshare", "setns", "mount", "chroot", "bpf", "perf_event_open", "keyctl", "add_key"),
    *("userfaultfd", "io_uring_setup", "memfd_create", "socket", "unix socket", "socketpair"),
    *("shmget", "personality", "setpriority", "sched_setaffinity", "setrlimit"),
    *("prlimit of others", "setuid", "be dumpable", "ioctl TIOCSTI", "a call of the future"),
)
FILES = (
    *("memory of the server", "environment of the server", "files of the server", "a secret"),
    *("list another folder", "change another file", "make another file", "change the upload"),
    *("make a file beside the upload", "remove the upload", "replace the upload", "link out"),
    *("hard link", "pipe", "permissions", "times", "attributes", "truncate", "users", "a device"),
)


@pytest.fixture(scope="module")
def launcher():
    before = os.environ.get("IMPASTO_TOKEN")
    os.environ["IMPASTO_TOKEN"] = TOKEN
    launcher = ForkLauncher("sandbox_probe")
    yield launcher
    launcher.close()
    os.environ.pop("IMPASTO_TOKEN")
    if before is not None:
        os.environ["IMPASTO_TOKEN"] = before


def converse(launcher, folder, patience=30.0, **fields) -> Conversation:
    (folder / "upload").write_bytes(b"sent")
    restrictions = {"memory": 2**31, "seconds": 30, "file_bytes": 2**20} | fields
    box = name_box(folder)
    return Conversation(
        launcher,
        Limits(),
        Restrictions(str(folder), str(box), **restrictions),
        seconds=patience,
    )


def start_victim() -> subprocess.Popen[bytes]:
    """Start a process without more rights than a decoder, even where the tests are root's."""
    code = "from impasto.studio.decoding.linux_calls import drop_capabilities as drop"
    command = [sys.executable, "-c", f"{code}; drop(); print(flush=True); input()"]
    victim = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    victim.stdout.readline()
    return victim


@pytest.fixture(scope="module")
def calls(launcher, tmp_path_factory):
    """What a decoder can do where the kernel has no Landlock, which refuses some calls as well."""
    folder, victim = tmp_path_factory.mktemp("job"), start_victim()
    (folder / NO_LANDLOCK).touch()
    conversation = converse(launcher, folder)
    answer = conversation.ask("probe_calls", folder / "upload", "upload", victim.pid)
    conversation.close()
    victim.communicate(b"\n")
    assert conversation.confinement.missing[0].endswith("left out")
    return answer


@pytest.fixture(scope="module")
def report(launcher, tmp_path_factory):
    folder, outside = tmp_path_factory.mktemp("job"), tmp_path_factory.mktemp("outside")
    (outside / "secret").write_text(TOKEN)
    victim = start_victim()
    conversation = converse(launcher, folder)
    arguments = (str(conversation.box), str(outside), victim.pid)
    report = conversation.ask("probe", folder / "upload", "upload", *arguments)
    conversation.close()
    victim.communicate(b"\n")
    assert (outside / "secret").read_text() == TOKEN
    assert [path.name for path in folder.iterdir()] == ["upload"]
    return report


def test_every_attempt_has_a_test(report):
    assert (*report["calls"],) == CALLS
    assert (*report["files"],) == FILES


@pytest.mark.parametrize("name", CALLS)
def test_a_decoder_cannot(report, calls, name):
    expected = {"a call of the future": "ENOSYS", "clone3": "ENOSYS"}.get(name, "EPERM")
    assert (report["calls"][name], calls[name]) == (expected, expected)


@pytest.mark.parametrize("name", FILES)
def test_a_decoder_has_no_access_to(report, name):
    if not landlock.find_version():
        pytest.skip("this kernel has no Landlock")
    assert report["files"][name] in ("EACCES", "EPERM", "EXDEV")


def test_a_decoder_can_do_what_it_has_to(report):
    assert set(report["allowed"].values()) == {"allowed"}, report["allowed"]


def test_a_decoder_knows_no_secrets(report):
    assert TOKEN not in str(report["environment"]) + str(report["arguments"])
    allowed = {"LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "PYTHONPATH"}
    allowed |= {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOMP_SPINCOUNT"}
    assert set(report["environment"]) <= allowed
    assert report["open"] == [0, 1, 2, 3]  # nothing, and its line


def test_it_is_known_which_restrictions_are_in_force():
    line = examine_sandbox().describe()
    assert "seccomp (system calls)" in line
    if landlock.find_version():
        assert line.startswith("Landlock ")
        assert "missing" not in line
    else:
        assert "missing: Landlock (files): the kernel has none" in line


def test_what_the_system_refuses_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox.landlock, "restrict_files", lambda _: "none")
    for name, answer in (
        *(("set_limits", lambda _: "refused"), ("set_filter", lambda: "none")),
        *(("set_not_dumpable", lambda: False), ("drop_capabilities", lambda: False)),
    ):
        monkeypatch.setattr(sandbox, name, answer)
    confinement = confine(Restrictions(str(tmp_path), str(tmp_path), 1, 1, 1))
    assert confinement.in_force == ()
    names = [line.partition(":")[0].partition(" (")[0] for line in confinement.missing]
    names[0] = names[0].split()[0]
    assert names == [
        *("Landlock", "resource limits", "unreadable memory", "no capabilities", "seccomp")
    ]


@pytest.mark.skipif(os.name == "nt", reason="looks into /proc")
def test_a_decoder_has_no_capabilities(launcher, tmp_path):
    conversation = converse(launcher, tmp_path)
    lines = Path(f"/proc/{conversation.process.id}/status").read_text().splitlines()
    conversation.close()
    sets = {line.partition(":")[0]: int(line.split()[1], 16) for line in lines if "Cap" in line}
    assert (sets["CapEff"], sets["CapPrm"]) == (0, 0)


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ("time", LimitError, "decoding takes longer than 1 s"),
        ("crash", ImageError, "crashed the decoder"),
        ("answer", ImageError, "crashed the decoder"),
        ("pause", LimitError, "decoding takes longer than 0.1 s"),
    ],
)
def test_a_file_that_takes_too_much_is_refused(launcher, tmp_path, how, error, says):
    conversation = converse(launcher, tmp_path, 0.1 if how == "pause" else 1, seconds=1)
    start = time.process_time()
    with pytest.raises(error, match=says):
        conversation.ask("exhaust", tmp_path / "upload", "evil", how)
    assert time.process_time() < start + 1
    assert [path.name for path in tmp_path.iterdir()] == ["upload"]


def test_a_decoder_cannot_fill_the_disk(launcher, tmp_path):
    conversation = converse(launcher, tmp_path, file_bytes=1000)
    with pytest.raises(Exception, match="cannot be processed"):
        conversation.ask("exhaust", conversation.box / "output", "large", "disk")
    conversation.close()


def test_what_a_decoder_says_is_checked(launcher, tmp_path):
    decoder = Decoder(Limits(), 2**31, 10)
    conversation = converse(launcher, tmp_path)
    answer = conversation.ask("exhaust", tmp_path / "upload", "upload", "lie")
    with pytest.raises(LimitError):
        decoder._read_size(answer, "upload")
    for lie in ({"width": "9", "height": 9}, {}, {"width": None, "height": 9}):
        with pytest.raises(ImageError):
            decoder._read_size(lie, "upload")
    sound = {"width": 9, "height": 9, "frames": 5, "rate": "25"}
    assert decoder._read_format(sound, "upload").frames == 5
    for field, lie in (
        *(("frames", 10**10), ("frames", 0), ("frames", [5]), ("rate", "0"), ("rate", "-25")),
        *(("rate", "1e-400"), ("rate", "1/0"), ("time_base", "0")),
    ):
        with pytest.raises(ClipError):
            decoder._read_format(sound | {field: lie}, "upload")
    link = conversation.box / "output"
    link.symlink_to("/etc/passwd")  # as if it could
    with pytest.raises(ImageError, match="wrote nothing"):
        conversation.take("output", tmp_path / "view")
    conversation.close()
    assert not (tmp_path / "view").exists()


def test_an_answer_that_is_too_deep_costs_its_picture_only(launcher, tmp_path, monkeypatch):
    conversation = converse(launcher, tmp_path)
    line = type(conversation.process.line)
    monkeypatch.setattr(line, "recv_bytes", lambda *_: b"[" * 100_000)
    with pytest.raises(ImageError, match="crashed the decoder"):
        conversation.ask("exhaust", tmp_path / "upload", "upload", "lie")


def test_only_boxes_of_processes_that_ended_are_removed(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    mine, old, other = name_box(tmp_path), tmp_path / f".decoding-{ended.pid}-ab", tmp_path / "a"
    for folder in (mine, old, other):
        folder.mkdir()
    remove_boxes(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted((mine, other))


def test_decoders_end_with_their_server(tmp_path):
    launcher = ForkLauncher()
    conversation = converse(launcher, tmp_path)
    process = conversation.process.id
    launcher._server.kill()
    assert conversation.process.line.poll(20)
    with pytest.raises(EOFError):
        conversation.process.line.recv_bytes()
    assert not os.path.exists(f"/proc/{process}/fd/3")  # noqa: PTH110
    conversation.close()
    again = converse(launcher, tmp_path)  # and the next picture gets a new one
    again.close()
    launcher.close()


@pytest.mark.timeout(60)
def test_a_file_that_takes_long_does_not_delay_others(launcher, tmp_path):
    decoder = Decoder(Limits(), 2**31, 20)
    decoder._launcher = launcher
    (tmp_path / "upload").write_bytes(PHOTO)
    conversations, waiting = [], []

    def wait() -> None:
        with decoder._converse(tmp_path / "upload") as conversation:
            conversations.append(conversation)
            with contextlib.suppress(ImageError):
                conversation.ask("exhaust", tmp_path / "upload", "slow", "pause")

    for _ in range(LANES["small"] - 1):
        waiting.append(threading.Thread(target=wait))
        waiting[-1].start()
    assert decoder.check(tmp_path / "upload", "it") == (64, 48)
    assert all(thread.is_alive() for thread in waiting)
    while len(conversations) < len(waiting):
        time.sleep(0.01)
    for conversation in conversations:
        launcher.kill(conversation.process.id)
    for thread in waiting:
        thread.join()


def test_the_memory_and_the_lane_follow_from_the_header(tmp_path):
    decoder = Decoder(Limits(), 2**33, 20)
    used = []
    decoder._open = lambda folder, seconds, memory: used.append(memory) or _Nothing()
    for size, extra in ((100, 96 * 10_000), (4000, 96 * 16_000_000)):
        path = tmp_path / "a.png"
        path.write_bytes(png_file((size, size, 8, 2, 0), b""))
        with decoder._converse(path):
            free = {lane: places._value for lane, places in decoder._lanes.items()}
        assert used.pop() == 512 * MIB + path.stat().st_size + extra
        assert free == LANES | ({"small": 7} if size == 100 else {"large": 1})
    path.write_bytes(b"nothing")
    with decoder._converse(path):
        assert used.pop() == 2**33


class _Nothing:
    def close(self) -> None: ...

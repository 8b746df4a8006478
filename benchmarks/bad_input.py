"""Give the command line and the studio what people give them by mistake, each for real.

Usage::

    python benchmarks/bad_input.py --csv benchmarks/bad-input.csv

Every input of the command line is a process of its own, and all requests go to one server. The CSV
file has a row for each: the input, its exit code or its status and problem type, and the line that
the user reads. The script fails if there is a traceback, more than one line for an error, an exit
code that is not documented, or a 500. Takes about two minutes and needs no network.
"""

from __future__ import annotations

import argparse
import base64
import csv
import datetime
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

DOCUMENTED = (0, 1, 2, 3, 4)
"""Exit codes; 130 is for runs that the user stops."""
COLUMNS = ("interface", "input", "exit code or status", "problem", "line", "fault")
SOURCES = ("machine", "date", "command")
WAIT_S = 120
IMPASTO = [sys.executable, "-m", "impasto"]
STYLE = ["--style", "painting.png"]
JOB = ["photo.png", *STYLE, "-o", "o.png"]


@dataclass(frozen=True)
class Line:
    """A command line.

    Attributes:
        arguments: the arguments after ``impasto``.
        says: what the line must contain.
        codes: the exit codes that are right.
        environment: variables that differ from those of this process; None unsets one.
        closed: the streams that are closed: 0, 1 or 2.
        is_homeless: whether the current folder is deleted before the command starts.
        note: what is odd, where the arguments do not show it.
    """

    arguments: list[str]
    says: str = ""
    codes: tuple[int, ...] = (2,)
    environment: dict[str, str | None] = field(default_factory=dict)
    closed: tuple[int, ...] = ()
    is_homeless: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        """The input in words."""
        command = " ".join(
            ["impasto", *(f'"{a}"' if " " in a or not a else a for a in self.arguments)]
        )
        return f"{command} ({self.note})" if self.note else command


@dataclass(frozen=True)
class Outcome:
    """What became of an input."""

    interface: str
    input: str
    code: int
    problem: str
    line: str
    fault: str


def make_files(folder: Path) -> None:
    """Write the files that the command lines name."""
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8))
    photo.save(folder / "photo.png")
    photo.transpose(Image.Transpose.ROTATE_90).save(folder / "painting.png")
    Image.new("RGB", (24, 32)).save(folder / "black.png")
    Image.new("L", (32, 24), 0).save(folder / "nothing.png")
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("This is not a picture.\n")
    (folder / "cut.png").write_bytes((folder / "photo.png").read_bytes()[:60])
    (folder / "page.jpg").write_text("<!doctype html><title>404</title>")
    (folder / "film.mp4").write_bytes(b"\0\0\0\x18ftypisom\0\0\2\0isomiso2avc1mp41" + bytes(64))
    (folder / "song.mp3").write_bytes(b"ID3\3\0\0\0\0\0\0" + bytes(64))
    (folder / "scan.pdf").write_bytes(b"%PDF-1.7\n")
    (folder / "raw.cr2").write_bytes(b"II*\0\x10\0\0\0CR\2\0" + bytes(64))
    (folder / "net.safetensors").write_bytes(b"\xff" * 64)
    (folder / "weights.h5").write_bytes(b"no weights")
    (folder / "state").write_bytes(b"no checkpoint")
    (folder / "bad.toml").write_text("strength = \n")
    (folder / "odd.toml").write_text('base = "standart"\n')
    (folder / "jobs.csv").write_text("picture,style\nphoto.png,painting.png\n")
    (folder / "semicolons.csv").write_text("photo;style\nphoto.png;painting.png\n")
    (folder / "jobs.tsv").write_text("photo\tstyle\nphoto.png\tpainting.png\n")
    (folder / "jobs.jsonl").write_text('{"photo": "photo.png"\n')
    (folder / "folder").mkdir()
    (folder / "taken.png").write_bytes(b"precious")
    (folder / "locked").mkdir(mode=0o500)


def list_lines() -> list[Line]:
    """List the command lines."""
    here = Line
    return [
        # Pictures that are none.
        here(["none.png", *STYLE], "no such file"),
        here(["nowhere/photo.png", *STYLE], "no such folder nowhere"),
        here(["https://example.org/photo.jpg", *STYLE], "is an address"),
        here(["photo.png", "--style", "https://example.org/a.jpg"], "is an address"),
        here(["folder", *STYLE], "is a folder"),
        here(["photo.png", "--style", "folder"], "is a folder"),
        here(["empty.png", *STYLE], "empty"),
        here(["text.png", *STYLE], "looks like text"),
        here(["cut.png", *STYLE]),
        here(["page.jpg", *STYLE]),
        here(["film.mp4", *STYLE], "`impasto video`"),
        here(["photo.png", "--style", "song.mp3"]),
        here(["scan.pdf", *STYLE]),
        here(["raw.cr2", *STYLE]),
        here(["-", *STYLE, "-o", "o.png"], "standard input", closed=(0,)),
        here(["-", *STYLE, "-o", "o.png"], note="nothing on standard input"),
        # Options.
        here([], "PHOTO"),
        here(["photo.png"], "--style"),
        here(["sketchy", "photo.png"], "sketchy"),
        here(["photo.png", *STYLE, "extra.png"], "extra.png"),
        here(["photo.png", "--style", ""], "--style"),
        here(["photo.png", "--style", "blue woodcut"], "words:"),
        here(["photo.png", "--style", "words:"], "description is empty"),
        here(["photo.png", "--style", "words: qwertz"], "qwertz"),
        here([*JOB, "--size", "0"], "--size"),
        here([*JOB, "--size", "huge"], "--size"),
        here([*JOB, "--size", "999999"], "--size", (2, 3)),
        here([*JOB, "--strength", "2"], "--strength"),
        here([*JOB, "--iterations", "-5"], "--iterations"),
        here([*JOB, "--recipe", "standart"], "standard"),
        here([*JOB, "--quality", "high"]),
        here([*JOB, "--recipe", "bad.toml"], "not valid TOML"),
        here([*JOB, "--recipe", "odd.toml"], "standart"),
        here([*JOB, "--recipe", "net.safetensors"]),
        here([*JOB, "--set", "style.scael=2"], "style.scale"),
        here([*JOB, "--set", "strength"], "KEY=VALUE"),
        here([*JOB, "--set", "style.layers.relu9_9=1"], "relu9_9"),
        here([*JOB, "--colour", "style"]),
        here([*JOB, "--mask", "persn"], "person"),
        here([*JOB, "--mask", "rect:1,2,3"], "rect:"),
        here([*JOB, "--mask", "none.png"], "none.png"),
        here([*JOB, "--mask", "nothing.png"], "nothing.png"),
        here([*JOB, "--mask", "photo.png", "--mask", "photo.png"]),
        here([*JOB, "--print", "60x40cm@5000000dpi"], "65535", (3,)),
        here([*JOB, "--device", "gpu"], "cuda"),
        here([*JOB, "--device", "cuda:7"], "cuda:7", (2, 4)),
        here([*JOB, "--max-memory", "lots"], "--max-memory"),
        here([*JOB, "--weights", "none.h5"], "none.h5"),
        here([*JOB, "--weights", "weights.h5"], "weights.h5"),
        here([*JOB, "--resume", "state"], "state"),
        here([*JOB, "--scratch", "nowhere"], "nowhere"),
        # Outputs.
        here([*JOB, "-o", "photo.png", "--force"], "inputs are never replaced"),
        here([*JOB, "-o", "taken.png"], "--force"),
        here([*JOB, "-o", "folder"], "is a folder"),
        here([*JOB, "-o", "nowhere/o.png"], "no such folder"),
        here([*JOB, "-o", "o.gif"], "extension"),
        here([*JOB, "-o", "o"], "extension"),
        here([*JOB, "-o", ""], "--output"),
        here([*JOB, "-o", "o.jpg", "--depth", "16"], "16 bits"),
        here([*JOB, "--timelapse", "t.avi"], ".gif or .mp4"),
        here([*JOB, "--snapshots", "photo.png"], "folder", (2, 4)),
        here(["photo.png", *STYLE, "-o", "-", "--json"], "standard output"),
        here(["photo.png", *STYLE, "-o", "-"], "closed", closed=(1,)),
        # Other commands.
        here(["replay", "photo.png"], "contains no impasto recipe"),
        here(["refine", "photo.png", "--region", "1,1,8,8"], "contains no impasto recipe"),
        here(["refine", "photo.png", "--region", "1,1"], "X,Y,WIDTH,HEIGHT"),
        here(["mask", "photo.png", "rect:1,1,8,8", "-o", "taken.png"], "--force"),
        here(["mask", "photo.png", "persn", "-o", "m.png"], "person"),
        here(["words", "", "-o", "w.png"]),
        here(["sheet", *JOB, "--strengths", "a,b"], "expected a number"),
        here(["batch", "jobs.csv", *STYLE, "-o", "out"], "photo"),
        here(["batch", "semicolons.csv", "-o", "out"], "commas"),
        here(["batch", "jobs.tsv", "-o", "out"], ".csv"),
        here(["batch", "jobs.jsonl", *STYLE, "-o", "out"], "line 1"),
        here(["batch", "nowhere", *STYLE, "-o", "out"], "nowhere"),
        here(["batch", "folder", *STYLE, "-o", "out"]),
        here(["batch", "photo[1].png", *STYLE, "-o", "out"], "wildcards"),
        here(["video", "photo.txt", *STYLE, "-o", "v.mp4"], "no such file"),
        here(["video", "text.png", *STYLE, "-o", "v.mp4"]),
        here(["video", "frames/%05d.png", *STYLE, "-o", "v.mp4"], "frames/%05d.png"),
        here(["video", "film.mp4", *STYLE, "-o", "v.txt"], ".mp4"),
        here(["compare", "photo.png", "painting.png"], "RESULT"),
        here(["train", "style", "none.png", "--photos", "folder"], "none.png"),
        here(["export", "none.safetensors"], "none.safetensors"),
        here(["weights", "verify", "weights.h5"], "weights.h5"),
        here(["weights", "download", "vgg20"], "vgg20"),
        here(["recipes", "standart"], "standard"),
        here(["serve", "--port", "99999"], "--port"),
        # Machines.
        here(
            ["recipes"],
            "current folder has been deleted",
            is_homeless=True,
            note="the current folder is deleted",
        ),
        here(
            ["words", "blue woodcut", "-o", "1.png"],
            codes=(0,),
            environment={"TMPDIR": "/nonexistent"},
            note="stale TMPDIR",
        ),
        here(
            ["words", "blue woodcut", "-o", "2.png"],
            codes=(0,),
            environment={"HOME": None, "XDG_CACHE_HOME": None},
            note="no HOME",
        ),
        here(
            ["plan", *JOB, "--size", "32"],
            codes=(0,),
            environment={"HOME": "locked", "XDG_CACHE_HOME": None},
            note="HOME cannot be written",
        ),
        here(
            ["plan", *JOB, "--size", "32"],
            codes=(0,),
            environment={"TMPDIR": "/nonexistent"},
            note="stale TMPDIR",
        ),
        here(
            ["words", "blue woodcut", "-o", "b\u00e4ume-\u6728.png"],
            codes=(0,),
            environment={
                "LC_ALL": "C",
                "PYTHONIOENCODING": "ascii",
                "PYTHONUTF8": "0",
                "PYTHONCOERCECLOCALE": "0",
            },
            note="locale C, ASCII output",
        ),
        here(
            ["b\u00e4ume.png", *STYLE],
            "no such file",
            environment={
                "LC_ALL": "C",
                "PYTHONIOENCODING": "ascii",
                "PYTHONUTF8": "0",
                "PYTHONCOERCECLOCALE": "0",
            },
            note="locale C, ASCII output",
        ),
        here(["recipes"], codes=(0,), closed=(1,), note="standard output is closed"),
        here(
            ["plan", *JOB, "--size", "32"],
            codes=(0,),
            closed=(0, 1, 2),
            note="all streams are closed",
        ),
    ]


def run_line(line: Line, folder: Path) -> Outcome:
    """Run a command line in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    for name, value in line.environment.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    place = folder
    if line.is_homeless:
        place = folder / "gone"
        place.mkdir()

    def prepare() -> None:
        if line.is_homeless:
            place.rmdir()
        for stream in line.closed:
            os.close(stream)

    process = subprocess.run(
        [*IMPASTO, *line.arguments],
        cwd=place,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        preexec_fn=prepare,
        timeout=WAIT_S,
        check=False,
    )
    errors = process.stderr.decode("utf-8", "backslashreplace")
    lines = [each for each in errors.splitlines() if each]
    last = lines[-1] if lines else ""
    return Outcome(
        "command line",
        line.name,
        process.returncode,
        "",
        last,
        _find_fault(line, process.returncode, lines),
    )


def _find_fault(line: Line, code: int, lines: list[str]) -> str:
    if any("Traceback" in each for each in lines):
        return "traceback"
    if code not in DOCUMENTED:
        return f"exit code {code}"
    if code not in line.codes:
        return f"exit code {code}, not {line.codes}"
    if code and 2 not in line.closed:
        if len(lines) != 1:
            return f"{len(lines)} lines"
        if not lines[0].startswith("impasto: error: "):
            return "not an error's line"
        if line.says not in lines[0]:
            return f"does not say {line.says!r}"
    elif any(not each.startswith("impasto: ") for each in lines):
        return "a line that is not impasto's"
    return ""


@dataclass(frozen=True)
class Call:
    """A request.

    Attributes:
        name: what is wrong with it.
        path: the address below the server.
        code: the code of the problem that is right.
        method: the method.
        body: the body.
        headers: headers besides the usual ones.
    """

    name: str
    path: str
    code: str
    method: str = "GET"
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


def _post_json(name: str, code: str, body: bytes | dict[str, Any], **headers: str) -> Call:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {"content-type": "application/json", **headers}
    return Call(name, "/v1/jobs", code, "POST", data, kind)


def _post_parts(
    name: str, code: str, parts: list[tuple[str, bytes | str]], path: str = "/v1/jobs"
) -> Call:
    boundary = "impasto-bad-input"
    body = b""
    for part, value in parts:
        file = '; filename="a.png"' if isinstance(value, bytes) else ""
        data = value if isinstance(value, bytes) else value.encode()
        head = f'--{boundary}\r\ncontent-disposition: form-data; name="{part}"{file}\r\n\r\n'
        body += head.encode() + data + b"\r\n"
    body += f"--{boundary}--\r\n".encode()
    kind = {"content-type": f"multipart/form-data; boundary={boundary}"}
    return Call(name, path, code, "POST", body, kind)


def list_calls(folder: Path) -> list[Call]:
    """List the requests."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    photo, painting = ("photo", files["photo.png"]), ("style", files["painting.png"])
    data = {name: {"data": base64.b64encode(file).decode()} for name, file in files.items()}
    whole = {"photo": data["photo.png"], "styles": [data["painting.png"]]}
    nobody = "0" * 32

    def job(**fields: Any) -> tuple[str, str]:
        return "job", json.dumps(fields)

    def change(name: str, code: str, **fields: Any) -> Call:
        return _post_json(name, code, {**whole, **fields})

    return [
        # The body.
        _post_json("no JSON", "bad_request", b"{"),
        _post_json("empty body", "bad_request", b""),
        _post_json("not UTF-8", "bad_request", b'{"title": "\xff\xfe"}'),
        _post_json("a list", "bad_parameter", b"[]"),
        _post_json("no pictures", "bad_input", {}),
        _post_json("NaN", "bad_parameter", b'{"stability": NaN}'),
        _post_json(
            "deep nesting", "bad_request", b'{"recipe": ' + b'{"a":' * 5000 + b"1" + b"}" * 5001
        ),
        _post_json("text", "wrong_type", b"photo=a", **{"content-type": "text/plain"}),
        Call(
            "multipart without a boundary",
            "/v1/jobs",
            "bad_request",
            "POST",
            b"--x",
            {"content-type": "multipart/form-data"},
        ),
        _post_json(
            "content-length too large", "too_large", b"{}", **{"content-length": "99999999999"}
        ),
        # Parts.
        _post_parts("no photo", "bad_input", [painting]),
        _post_parts("no painting", "bad_input", [photo]),
        _post_parts("two photos", "bad_input", [photo, photo, painting]),
        _post_parts(
            "unknown part", "bad_input", [photo, painting, ("picture", files["photo.png"])]
        ),
        _post_parts("photo as text", "bad_input", [("photo", "photo.png"), painting]),
        _post_parts("two jobs", "bad_input", [photo, painting, job(), job()]),
        _post_parts("nine paintings", "bad_input", [photo, *[painting] * 9]),
        _post_parts("style that is not there", "not_found", [photo, ("style_name", "mona-lisa")]),
        _post_parts("unknown mask word", "bad_input", [photo, painting, ("mask_word", "persn")]),
        _post_parts(
            "masks and paintings",
            "bad_input",
            [photo, painting, ("mask", files["photo.png"]), ("mask", files["photo.png"])],
        ),
        # Pictures.
        *(
            _post_parts(f"{name} as photo", code, [("photo", files[name]), painting])
            for name, code in (
                ("empty.png", "not_a_picture"),
                ("text.png", "not_a_picture"),
                ("cut.png", "not_a_picture"),
                ("page.jpg", "not_a_picture"),
                ("film.mp4", "not_a_picture"),
                ("raw.cr2", "not_a_picture"),
            )
        ),
        _post_parts("a picture as clip", "not_a_clip", [("clip", files["text.png"]), painting]),
        _post_parts("black mask", "bad_input", [photo, painting, ("mask", files["nothing.png"])]),
        change("no base64", "bad_input", photo={"data": "%%%"}),
        change("part that was not sent", "bad_input", photo={"file": 0}),
        change("picture of an unknown job", "not_found", photo={"job": nobody, "what": "result"}),
        # Fields.
        change("unknown field", "bad_parameter", pictures=1),
        change("depth 12", "bad_parameter", depth=12),
        change("stability 2", "bad_parameter", stability=2),
        change("long title", "bad_parameter", title="x" * 300),
        change("photo and clip", "bad_input", clip=data["film.mp4"]),
        change("unknown recipe", "bad_recipe", recipe="standart"),
        change("path as recipe", "bad_recipe", recipe="../../etc/passwd"),
        change("value out of range", "bad_recipe", set={"strength": 7}),
        change("text for a number", "bad_recipe", set={"size": "large"}),
        change("unknown key", "bad_recipe", set={"style.scael": 2}),
        change(
            "file of the server",
            "path_refused",
            set={"start.base": "image", "start.image": "/etc/passwd"},
        ),
        change("two weights for one painting", "bad_input", set={"style.weights": [1, 2]}),
        # Addresses and methods.
        Call("unknown job", f"/v1/jobs/{nobody}", "not_found"),
        Call("no id", "/v1/jobs/1", "bad_parameter"),
        Call("unknown address", "/v2/jobs", "not_found"),
        Call("traversal", "/v1/styles/..%2f..%2fsecret", "not_found"),
        Call("wrong method", "/v1/jobs", "method_not_allowed", "PUT"),
        Call("page size", "/v1/jobs?limit=0", "bad_parameter"),
        Call("stop an unknown job", f"/v1/jobs/{nobody}/stop", "not_found", "POST"),
        Call("delete an unknown job", f"/v1/jobs/{nobody}", "not_found", "DELETE"),
        _post_parts(
            "restore from a picture without a record",
            "no_record",
            [("picture", files["photo.png"])],
            "/v1/restore",
        ),
        Call("foreign host", "/v1/jobs", "foreign_host", headers={"host": "evil.example"}),
        Call(
            "foreign page",
            "/v1/jobs",
            "foreign_origin",
            "POST",
            b"{}",
            {"origin": "https://evil.example", "content-type": "application/json"},
        ),
    ]


@contextmanager
def start_server(data: Path) -> Iterator[tuple[str, int]]:
    """Start the studio and yield its host and port."""
    command = [*IMPASTO, "serve", "--no-open", "--port", "0", "--data", str(data), "--threads", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            match = None
            for line in process.stderr:
                match = re.search(r"the studio is at http://([^:/\s]+):(\d+)", line)
                if match:
                    break
            if match is None:
                raise RuntimeError("the studio did not start")
            reader = threading.Thread(target=process.stderr.read, daemon=True)
            reader.start()
            yield match[1], int(match[2])
        finally:
            process.terminate()


def run_call(call: Call, host: str, port: int) -> Outcome:
    """Send a request."""
    connection = http.client.HTTPConnection(host, port, timeout=WAIT_S)
    try:
        connection.request(call.method, call.path, call.body, call.headers)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    finally:
        connection.close()
    name = f"{call.method} {call.path[:40]}: {call.name}"
    try:
        problem = json.loads(text)
        code, detail = str(problem["code"]), str(problem["detail"])
    except (ValueError, KeyError, TypeError):
        return Outcome("HTTP", name, answer.status, "", text[:100], "no problem by RFC 9457")
    fault = ""
    if answer.status == 500:
        fault = "status 500"
    elif "Traceback" in text or "\n" in detail:
        fault = "more than one line"
    elif code != call.code:
        fault = f"{code}, not {call.code}"
    elif "/tmp" in detail or tempfile.gettempdir() in detail:
        fault = "names a folder of the server"
    return Outcome("HTTP", name, answer.status, code, detail, fault)


def write_outcomes(path: Path, outcomes: Sequence[Outcome], machine: str) -> None:
    """Write the outcomes and their counts, with where and when they were measured."""
    date = datetime.datetime.now(datetime.UTC).date().isoformat()
    command = "benchmarks/bad_input.py --csv benchmarks/bad-input.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow((*COLUMNS, *SOURCES))
        for each in outcomes:
            writer.writerow((*astuple(each), machine, date, command))
    counts = Counter((each.interface, each.code) for each in outcomes)
    faults = Counter((each.interface, each.code) for each in outcomes if each.fault)
    with path.with_stem(f"{path.stem}-counts").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("interface", COLUMNS[2], "inputs", "faults", *SOURCES))
        for key in sorted(counts):
            writer.writerow((*key, counts[key], faults[key], machine, date, command))


def main() -> int:
    """Run everything, write the CSV file, and print the faults."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--csv", type=Path, help="file of the outcomes")
    parser.add_argument("--machine", default="unknown", help="name of this machine")
    parser.add_argument("--only", default="", help="only inputs that contain this text")
    options = parser.parse_args()
    outcomes = []

    def add(outcome: Outcome) -> None:
        outcomes.append(outcome)
        mark = f"FAULT ({outcome.fault})" if outcome.fault else "right"
        print(
            f"{mark} {outcome.code} {outcome.problem} {outcome.input}\n    {outcome.line}",
            flush=True,
        )

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder)
        calls = [call for call in list_calls(folder) if options.only in call.name]
        if calls:
            with start_server(folder / "studio") as (host, port):
                for call in calls:
                    add(run_call(call, host, port))
        for line in list_lines():
            if options.only in line.name:
                add(run_line(line, folder))
    if options.csv is not None:
        write_outcomes(options.csv, outcomes, options.machine)
    faults = sum(bool(each.fault) for each in outcomes)
    print(f"{len(outcomes)} inputs, {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())

"""Servers and workers that are killed: no job is lost, none is doubled, and none is changed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest

pytest.importorskip("fastapi")

from PIL import Image

from clips import make_pan, write_clip
from conftest import REPOSITORY
from studios import PAINTING, Server, accepted, children, inside, is_alive, post, serving, work

pytestmark = [
    pytest.mark.usefixtures("narrow_encoder"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]
JOB = {"size": 48, "schedule.total": 150}


@pytest.fixture
def server(tmp_path):
    """One that does not outlive the test, whatever comes of it."""
    started = Server(tmp_path / "wild").start()
    yield started
    if started.process.poll() is None:
        started.kill()


@pytest.mark.slow
def test_a_job_survives_everything_and_is_the_same(tmp_path, server):
    with inside(tmp_path / "calm") as calm:
        whole = accepted(post(calm, set=JOB))
        work(calm)
        expected = calm.get(f"/v1/jobs/{whole['id']}/result").content

    job = server.post(set=JOB, title="unlucky")
    others = [server.post(set={"size": 40, "schedule.total": 2}) for _ in range(2)]
    server.until_iteration(job, 3)
    folder = tmp_path / "wild" / "jobs" / job

    processes = children(server.process.pid)
    assert server.end() == 0  # the clean end
    server.wait(lambda: not any(map(is_alive, processes)), 20)
    assert (folder / "checkpoint").exists()
    assert not [line for line in server.lines if "Traceback" in line]

    server.start()
    assert server.job(job)["progress"]["iteration"] >= 3
    server.until_iteration(job, server.job(job)["progress"]["iteration"] + 2)
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    server.wait(lambda: server.workers() not in ([], [worker]))
    server.until(job, "running")
    server.until_iteration(job, server.job(job)["progress"]["iteration"] + 2)

    processes = children(server.process.pid)
    assert processes
    server.kill()
    server.wait(lambda: not any(map(is_alive, processes)), 20)  # nobody works on unseen

    server.start()
    assert server.until(job)["state"] == "done"
    assert server.result(job) == expected
    for other in others:
        assert server.until(other)["state"] == "done"
    listed = server.client.get("/v1/jobs").json()["jobs"]
    assert [each["id"] for each in listed] == [*others[::-1], job]
    figures = server.client.get("/metrics").text
    assert 'impasto_jobs_ended_total{state="done"} 3.0' in figures
    assert "impasto_workers_lost_total 1.0" in figures
    assert not list(folder.glob(".impasto*"))
    assert server.end() == 0


def test_a_clip_goes_on_at_the_frame_after_kills(tmp_path, server):
    pytest.importorskip("cv2")
    clip = write_clip(tmp_path / "clip.mp4", make_pan(8), rate=8, sound=True).read_bytes()

    def sent(client):
        job = {"recipe": "sketch", "set": {"size": 64, "schedule.total": 8}}
        files = [("clip", ("clip.mp4", clip)), ("style", ("p.png", PAINTING))]
        return accepted(client.post("/v1/jobs", files=[*files, ("job", (None, json.dumps(job)))]))[
            "id"
        ]

    with inside(tmp_path / "calm") as calm:
        whole = sent(calm)
        work(calm)
        expected = calm.get(f"/v1/jobs/{whole}/result").content

    job = sent(server.client)
    frames = tmp_path / "wild" / "jobs" / job / "frames"
    server.until_iteration(job, 2)
    (worker,) = server.workers()
    os.kill(worker, signal.SIGKILL)
    frames_before = {each.name: each.read_bytes() for each in frames.glob("*[0-9].png")}
    assert len(frames_before) >= 2
    server.until_iteration(job, len(frames_before) + 1)
    assert all((frames / name).read_bytes() == data for name, data in frames_before.items())
    server.kill()
    server.start()
    assert server.until(job)["state"] == "done"
    assert server.job(job)["progress"]["iteration"] == 8
    assert server.result(job) == expected
    assert not frames.exists()
    assert server.end() == 0


def test_two_servers_do_not_share_a_folder_and_the_client_of_the_docs_works(tmp_path, pictures):
    with serving(tmp_path / "studio") as first:
        for name in ("photo", "painting"):
            (tmp_path / f"{name}.jpg").write_bytes((pictures / f"{name}.png").read_bytes())
        text = (REPOSITORY / "docs" / "studio.md").read_text()
        client = re.search("```python\n(.+?)```", text, re.DOTALL)[1]
        assert len(client.splitlines()) == 10
        client = client.replace("http://127.0.0.1:8484", str(first.client.base_url).rstrip("/"))
        client = client.replace('{"size": 512}', '{"size": 40, "schedule.total": 2}')
        subprocess.run([sys.executable, "-c", client], cwd=tmp_path, check=True)
        with Image.open(tmp_path / "out.png") as image:
            assert image.size == (40, 30)
        second = subprocess.run(first.command, capture_output=True, text=True, check=False)
        assert second.returncode == 2
        assert "another `impasto serve` uses this folder" in second.stderr
        assert first.client.get("/healthz").status_code == 200


def test_ctrl_c_ends_it_while_somebody_follows_a_job(server):
    job = server.post(set={"size": 256, "schedule.total": 2000})
    with server.client.stream("GET", f"/v1/jobs/{job}/events") as answer:
        lines = answer.iter_lines()
        while next(lines) != "event: step":
            pass
        server.process.send_signal(signal.SIGINT)
        events = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        # The stream ends, though the job has not.
        assert {each.get("state", "running") for each in events} <= {"queued", "running"}
    assert server.end() == 0
    assert not [line for line in server.lines if "Traceback" in line]

"""Actors of a real Ray cluster on this machine: room, losses, and URLs."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from impasto.batch.batch_job import BatchJob, WorkerSettings
from impasto.batch.processes.executors import WorkerLost
from impasto.batch.processes.patience import NoWorkersError, Patience
from impasto.batch.processes.ray_executor import RayExecutor
from impasto.cli import main
from impasto.errors import InputError
from impasto.recipe.recipe import load_recipe

ray = pytest.importorskip("ray")


@pytest.fixture(autouse=True)
def ended(monkeypatch):
    monkeypatch.setenv("RAY_worker_niceness", "0")
    yield
    ray.shutdown()


@pytest.mark.slow
def test_more_workers_than_the_cluster_has_room_for_are_refused(monkeypatch):
    init = ray.init
    monkeypatch.setattr(ray, "init", lambda **how: init(**{**how, "num_cpus": 1}))
    with pytest.raises(InputError, match="has room for 1 worker, not for 2"):
        RayExecutor(WorkerSettings(), workers=2)
    assert not ray.is_initialized()


@pytest.mark.slow
def test_work_continues_without_a_lost_worker_until_there_is_room_for_another(in_work: Path):
    """Another actor takes the room, as if a machine were lost. Files are read through fsspec."""
    here = f"local://{in_work}"
    recipe = load_recipe("sketch").with_changes({"size": 32, "schedule.total": 1})
    photo, painting, output = (f"{here}/{each}.png" for each in ("photo", "painting", "out"))
    job = BatchJob("out.png", photo, (painting,), output, recipe, "id", "1-1-1")
    notices: list[str] = []
    executor = RayExecutor(WorkerSettings(), workers=2, patience=Patience(4.0, notices.append))
    blocker = ray.remote(num_cpus=2)(Counter).remote()
    ray.get(blocker.total.remote())
    with pytest.raises(NoWorkersError, match="no worker available for 4 s"):
        executor.probe(job)
    assert len(notices) == 1
    ray.kill(blocker)
    assert executor.start_workers(None) == 2
    other = ray.remote(num_cpus=1)(Counter).remote()
    ray.kill(executor._actors[0]._handle)
    ray.get(other.total.remote())
    with pytest.raises(WorkerLost):
        executor.submit([job]).result(60)
    assert executor.is_free
    work = executor.submit([job])
    assert not executor.is_free
    (outcome,) = work.result(120)
    assert (outcome.error, outcome.width) == (None, 32)
    assert Path("out.png").stat().st_size == outcome.bytes
    executor.submit([job])
    ray.kill(other)
    while not all(actor.is_free for actor in executor._actors):
        time.sleep(0.05)


@pytest.mark.slow
def test_a_batch_that_loses_all_machines_gives_up_and_can_be_resumed(in_work: Path, capsys):
    """The cluster has two nodes: one without cores that keeps it alive, and one with all cores."""
    from ray.cluster_utils import Cluster

    Path("photos").mkdir()
    for number in range(5):
        Path(f"photos/{number}.png").write_bytes(Path("photo.png").read_bytes())
    job = ["batch", "photos", "--style", "painting.png", "-o", "out", "--size", "64"]
    job += ["--iterations", "12", "--recipe", "sketch"]
    head = {"num_cpus": 0, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    ended = threading.Event()
    try:
        machine = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()

        def pull_the_plug() -> None:
            while not list(Path("out").glob("*.png")) and not ended.wait(0.01):
                pass
            cluster.remove_node(machine, allow_graceful=False)

        plug = threading.Thread(target=pull_the_plug)
        plug.start()
        ray_flags = ["--executor", "ray", "--ray-address", cluster.address, "--ray-timeout", "15"]
        code = main([*job, *ray_flags])
        ended.set()
        plug.join()
        assert code == 4
    finally:
        ray.shutdown()
        cluster.shutdown()
    messages = capsys.readouterr().err
    assert "no worker available for" in messages
    assert "no worker available for 15 s: " in messages
    assert "to do: the same command continues" in messages
    there = {path.name: path.stat().st_mtime_ns for path in Path("out").glob("*.png")}
    assert 1 <= len(there) < 5
    assert main([*job, "--executor", "serial", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (report["done_before"], report["made"]) == (len(there), 5 - len(there))
    assert all(Path("out", name).stat().st_mtime_ns == time for name, time in there.items())

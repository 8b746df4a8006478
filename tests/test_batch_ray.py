"""Actors of a real Ray cluster of this machine: room, loss, and files by URL."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from impasto.batch.executors import WorkerLost
from impasto.batch.job import Job, Settings
from impasto.batch.ray_actors import RayActors
from impasto.errors import InputError
from impasto.recipe import load_recipe

ray = pytest.importorskip("ray")


@pytest.fixture(autouse=True)
def ended(monkeypatch):
    monkeypatch.setenv("RAY_worker_niceness", "0")
    yield
    ray.shutdown()


def test_more_workers_than_the_cluster_has_room_for_are_refused(monkeypatch):
    init = ray.init
    monkeypatch.setattr(ray, "init", lambda **how: init(**{**how, "num_cpus": 1}))
    with pytest.raises(InputError, match="has room for 1 worker, not for 2"):
        RayActors(Settings(), workers=2)
    assert not ray.is_initialized()


def test_work_goes_on_without_a_lost_worker_until_there_is_room_for_another(in_work: Path):
    """As when a machine is lost: something else takes the room. Files go through fsspec."""
    here = f"local://{in_work}"
    recipe = load_recipe("draft").with_changes({"size": 32, "schedule.total": 1})
    photo, painting, output = (f"{here}/{each}.png" for each in ("photo", "painting", "out"))
    job = Job("out.png", photo, (painting,), output, recipe, "id", "1-1-1")
    executor = RayActors(Settings(), workers=2)
    assert executor.staffed(None) == 2
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

"""Requests made up from the OpenAPI document itself: every answer is one that it promises."""

from __future__ import annotations

import itertools
import socket
import threading
import time

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("schemathesis")

import httpx2
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from impasto.studio.server import StudioServer
from impasto.studio.settings import StudioSettings
from impasto.studio.studio import Studio
from impasto.studio.workers.supervisor import Supervisor
from studios import accepted, parts

PROMISES = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
    schemathesis.checks.unsupported_method,
    schemathesis.checks.negative_data_rejection,
]


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """The document of a server in this process, where nobody works."""
    folder = tmp_path_factory.mktemp("studio")
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr(
        Supervisor, "count_alive", lambda self: 1
    )  # for 503 is no failure of /healthz
    server = StudioServer(Studio(StudioSettings(data=folder, workers=0, max_queue=10_000)))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        port = listening.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        yield url, schemathesis.openapi.from_url(f"{url}/openapi.json")
        server.should_exit = True
        thread.join()
    monkeypatch.undo()


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_every_answer_is_promised(api, mode):
    """Of requests as the document wants them, and of others."""
    (url, document), tried = api, 0
    posted = [httpx2.post(f"{url}/v1/jobs", files=parts()) for _ in range(4)]
    jobs = itertools.cycle([accepted(answer)["id"] for answer in posted])
    for entry in document.get_all_operations():
        operation = entry.ok()

        @settings(
            max_examples=10,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            database=None,
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def keeps_its_promises(case):
            if mode == schemathesis.GenerationMode.POSITIVE and "id" in case.path_parameters:
                case.path_parameters["id"] = next(jobs)
            case.call_and_validate(checks=PROMISES)

        try:
            keeps_its_promises()
            tried += 1
        except Unsatisfiable:  # there is no wrong way to ask for it
            assert mode == schemathesis.GenerationMode.NEGATIVE
    assert tried >= 15

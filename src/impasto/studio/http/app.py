"""The application: pages, routes, and what becomes of errors."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.types import Scope

from impasto._version import __version__
from impasto.errors import ImpastoError
from impasto.studio.http import catalog
from impasto.studio.http import job_routes as jobs
from impasto.studio.http import picture_routes as pictures
from impasto.studio.http.guard import Guard, Seen
from impasto.studio.http.openapi import document
from impasto.studio.http.prometheus import Metrics
from impasto.studio.http.reference import reference_page
from impasto.studio.http.routes import problems
from impasto.studio.http.schema import Health
from impasto.studio.problems import MEDIA_TYPE, Problem, problem_of
from impasto.studio.studio import Studio

STATIC = Path(__file__).parents[1] / "page" / "static"
_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}

log = logging.getLogger("impasto.studio")


def create_app(studio: Studio) -> FastAPI:
    """The studio over HTTP."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        studio.start()
        yield
        studio.close()

    app = FastAPI(
        title="impasto studio",
        version=__version__,
        summary="Photos repainted in the style of paintings, as jobs in a queue.",
        lifespan=lifespan,
        responses=problems(),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.studio = studio
    app.openapi = partial(document, app)  # type: ignore[method-assign]
    app.include_router(jobs.router)
    app.include_router(pictures.router)
    app.include_router(catalog.router)
    metrics = Metrics(studio)
    _add_pages(app, studio, metrics)

    async def told(_: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.code == "queue_full":
            wait = await run_in_threadpool(studio.seconds_until_room)
            problem.headers["retry-after"] = str(wait)
        return answer(problem)

    for kind in (Problem, ImpastoError):
        app.add_exception_handler(kind, told)
    app.add_exception_handler(RequestValidationError, _bad_parameter)
    app.add_exception_handler(HTTPException, _by_status)
    app.add_middleware(Guard, settings=studio.settings, seen=_seen(metrics))
    return app


def _add_pages(app: FastAPI, studio: Studio, metrics: Metrics) -> None:
    @app.get(
        "/healthz",
        tags=["operation"],
        responses={503: {"model": Health, "description": "There are no workers"}},
    )
    def health(response: Response) -> Health:
        """Whether there are workers and a queue; 503 if not."""
        states, alive = studio.queue.states(), studio.supervisor.alive()
        if not alive:
            response.status_code = 503
        return Health(
            status="ok" if alive else "ailing",
            version=__version__,
            workers=alive,
            device=studio.queue.fact("device") or studio.settings.device,
            upload_limit=studio.settings.max_upload,
            queued=states.get("queued", 0),
            running=states.get("running", 0),
        )

    @app.get(
        "/metrics",
        tags=["operation"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    def figures() -> Response:
        """Figures for Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/docs", include_in_schema=False)
    def reference() -> HTMLResponse:
        return HTMLResponse(reference_page(app.openapi()))

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    app.mount("/static", _Static(directory=STATIC))


class _Static(StaticFiles):
    """The page's files, asked for anew each time, for the next version has the same names."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        return response


def answer(problem: Problem) -> Response:
    """A problem as a response."""
    return JSONResponse(problem.body(), problem.status, problem.headers, MEDIA_TYPE)


async def _bad_parameter(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return answer(Problem("bad_parameter", f"{where}: {first['msg']}"))


async def _by_status(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _OF_STATUS.get(error.status_code, "bad_request")
    return answer(Problem(code, str(error.detail), error.headers))


def _seen(metrics: Metrics) -> Seen:
    """What is done about a request that has been answered."""

    def seen(scope: Scope, status: int, seconds: float) -> None:
        metrics.see(scope, status, seconds)
        client = scope.get("client") or ("",)
        log.info(
            "request",
            extra={
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "ms": round(1000 * seconds, 1),
                "client": client[0],
            },
        )

    return seen

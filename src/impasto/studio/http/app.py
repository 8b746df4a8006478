"""Build the application: its routes, its pages, and its answers to errors."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from collections.abc import AsyncIterator
from functools import cache, partial
from pathlib import Path
from typing import Any

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
from impasto.recipe.invalid_values import describe_problem
from impasto.studio.http.api_document import build_document, render_reference
from impasto.studio.http.guard import Guard, LogRequest
from impasto.studio.http.prometheus import StudioMetrics
from impasto.studio.http.routes import catalog, job_routes, login, picture_routes
from impasto.studio.http.routes.range_response import RangeResponse
from impasto.studio.http.routes.routing import describe_problems
from impasto.studio.http.schema import Health
from impasto.studio.problems import MEDIA_TYPE, Problem, is_disk_fault, make_problem, refuse_field
from impasto.studio.studio import Studio

STATIC = Path(__file__).parents[1] / "page" / "static"
_CODES_BY_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}

log = logging.getLogger("impasto.studio")


def create_app(studio: Studio) -> FastAPI:
    """Make the application that serves a studio over HTTP."""

    @contextlib.asynccontextmanager
    async def run_studio(_: FastAPI) -> AsyncIterator[None]:
        studio.start()
        yield
        studio.close()

    app = FastAPI(
        title="impasto studio",
        version=__version__,
        summary="Repaints photos in the style of paintings, as jobs in a queue.",
        lifespan=run_studio,
        responses=describe_problems(),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.studio = studio
    app.openapi = partial(build_document, app)  # type: ignore[method-assign]
    app.include_router(job_routes.router)
    app.include_router(picture_routes.router)
    app.include_router(catalog.router)
    app.include_router(login.router)
    metrics = StudioMetrics(studio)
    _add_pages(app, studio, metrics)

    async def answer_error(_: Request, error: Exception) -> Response:
        problem = make_problem(error, studio.settings.data)
        if is_disk_fault(error):
            log.error("request failed", extra={"reason": str(error)})
        if problem.code == "queue_full":
            wait = await run_in_threadpool(studio.estimate_wait)
            problem.headers["retry-after"] = str(wait)
        return make_response(problem)

    for kind in (Problem, ImpastoError, sqlite3.OperationalError, sqlite3.DatabaseError, OSError):
        app.add_exception_handler(kind, answer_error)
    app.add_exception_handler(RequestValidationError, _answer_bad_parameter)
    app.add_exception_handler(HTTPException, _answer_http_error)
    app.add_middleware(
        Guard,
        settings=studio.settings,
        connections=studio.connections,
        log_request=_make_request_log(metrics),
    )
    return app


def _add_pages(app: FastAPI, studio: Studio, metrics: StudioMetrics) -> None:
    @app.get(
        "/healthz",
        name="health",
        tags=["operation"],
        responses={503: {"model": Health, "description": "No worker is alive"}},
    )
    def get_health(response: Response) -> Health:
        """Tell whether workers are alive and how long the queue is; 503 if none is alive."""
        states, alive = studio.queue.count_states(), studio.supervisor.count_alive()
        if not alive:
            response.status_code = 503
        return Health(
            status="ok" if alive else "unhealthy",
            version=__version__,
            workers=alive,
            device=studio.queue.read_fact("device") or studio.settings.hardware.device,
            upload_limit=studio.settings.max_upload,
            queued=states.get("queued", 0),
            running=states.get("running", 0),
        )

    @app.get(
        "/metrics",
        name="figures",
        tags=["operation"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    def get_metrics() -> Response:
        """Return metrics for Prometheus."""
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)

    @cache
    def render() -> str:  # once, because anybody may ask for it
        return render_reference(app.openapi())

    @app.get("/docs", include_in_schema=False)
    def get_reference() -> HTMLResponse:
        return HTMLResponse(render())

    @app.get("/", include_in_schema=False)
    def get_page() -> FileResponse:
        return RangeResponse(STATIC / "index.html", headers={"cache-control": "no-cache"})

    app.mount("/static", _FreshStaticFiles(directory=STATIC))


class _FreshStaticFiles(StaticFiles):
    """The page's files; browsers check them each time, since their names never change."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["cache-control"] = "no-cache"
        return response

    def file_response(
        self, full_path: Any, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        response = super().file_response(full_path, stat_result, scope, status_code)
        if isinstance(response, FileResponse):
            return RangeResponse(full_path, status_code, stat_result=stat_result)
        return response


def make_response(problem: Problem) -> Response:
    """Return a problem as a response."""
    return JSONResponse(problem.to_body(), problem.status, problem.headers, MEDIA_TYPE)


async def _answer_bad_parameter(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return make_response(refuse_field(where, describe_problem(first), "bad_parameter"))


async def _answer_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _CODES_BY_STATUS.get(error.status_code, "bad_request")
    return make_response(Problem(code, str(error.detail), error.headers))


def _make_request_log(metrics: StudioMetrics) -> LogRequest:
    """Return the function that counts and logs each answered request."""

    def log_request(scope: Scope, status: int, seconds: float) -> None:
        metrics.count_request(scope, status, seconds)
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

    return log_request

"""Send files as answers, whole or in part."""

from __future__ import annotations

from fastapi.responses import FileResponse
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from impasto.studio.problems import Problem


class RangeResponse(FileResponse):
    """A file, whole or in part; a part that does not exist is a problem."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_or_raise(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] >= 400:
                length = Headers(raw=message["headers"]).get("content-range", "")
                headers = {"content-range": length} if length else None
                raise Problem("bad_range", "expected Range: bytes=FROM-TO within the file", headers)
            await send(message)

        await super().__call__(scope, receive, send_or_raise)

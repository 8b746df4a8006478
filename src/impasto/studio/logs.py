"""What the server and its workers say: lines of JSON for a log, or lines for a person."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

Format = Literal["json", "text"]
_OWN = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


def begin(form: Format) -> None:
    """Send this process's log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(form))
    for name, level in (("impasto.studio", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False


class Lines(logging.Formatter):
    def __init__(self, form: Format) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, Any] = {
            key: value
            for key, value in vars(record).items()
            if key not in _OWN and value is not None
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        if self._form == "json":
            head = {"time": when.isoformat(timespec="milliseconds"), "level": record.levelname}
            return json.dumps(head | {"event": record.getMessage()} | fields, default=str)
        told = " ".join(f"{key}={_plain(value)}" for key, value in fields.items())
        return f"{when:%H:%M:%S} {record.getMessage()} {told}".rstrip()


def _plain(value: Any) -> str:
    """A value as it is, or quoted where it could be taken for another line or field."""
    text = str(value)
    return text if text.isprintable() and " " not in text else json.dumps(text)

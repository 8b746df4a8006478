"""Write the log of the server and its workers: JSON lines, or plain lines for a person."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["json", "text"]
_STANDARD_FIELDS = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


def start_logging(form: LogFormat) -> None:
    """Send this process's log to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter(form))
    # It warns about odd forms, each of which is answered with a problem.
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    for name, level in (("impasto.studio", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False


class LogFormatter(logging.Formatter):
    """Formats an event and its additional fields as one line."""

    def __init__(self, form: LogFormat) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, Any] = {
            key: value
            for key, value in vars(record).items()
            if key not in _STANDARD_FIELDS and value is not None
        }
        if record.exc_info:
            fields["error"] = self.formatException(record.exc_info)
        if self._form == "json":
            head = {"time": when.isoformat(timespec="milliseconds"), "level": record.levelname}
            return json.dumps(head | {"event": record.getMessage()} | fields, default=str)
        text = " ".join(f"{key}={_quote_if_needed(value)}" for key, value in fields.items())
        return f"{when:%H:%M:%S} {record.getMessage()} {text}".rstrip()


def _quote_if_needed(value: Any) -> str:
    """Write a value so that it cannot be mistaken for another line or field."""
    text = str(value)
    return text if text.isprintable() and " " not in text else json.dumps(text)

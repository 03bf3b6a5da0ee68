"""Structured logs: one JSON object a line, with request, actor and run from the context."""

import json
import logging
from datetime import UTC, datetime

from crowetrade_site.core import context

STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class ContextFilter(logging.Filter):
    """Put the context's request id, actor and run id on every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = context.request_id.get()
        record.actor = context.actor_name.get()
        record.run_id = context.run_id.get()
        return True


class JsonFormatter(logging.Formatter):
    """Render a record and its `extra` as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        extra = {name: value for name, value in vars(record).items() if name not in STANDARD}
        line |= {n: v for n, v in extra.items() if n not in line and not _is_blank(v)}
        try:
            return json.dumps(line, default=str, allow_nan=False)
        except (TypeError, ValueError):  # a log line is never lost to what JSON has no word for
            return json.dumps({name: str(value) for name, value in line.items()})


def _is_blank(value: object) -> bool:
    return isinstance(value, str) and not value

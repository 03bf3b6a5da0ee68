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
            **{
                name: value
                for name, value in vars(record).items()
                if name not in STANDARD and value != ""
            },
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)

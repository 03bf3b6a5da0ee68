"""Who asks, and under which request id: carried in context variables."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import uuid4

request_id: ContextVar[str] = ContextVar("request_id", default="")
actor_name: ContextVar[str] = ContextVar("actor_name", default="")
run_id: ContextVar[str] = ContextVar("run_id", default="")


@contextmanager
def acting(*, request: str = "", actor: str = "", run: str = "") -> Iterator[str]:
    """Set the context for a block and return the request id in force (a new one if none)."""
    request = request or request_id.get() or uuid4().hex
    tokens = (
        (request_id, request_id.set(request)),
        (actor_name, actor_name.set(actor or actor_name.get())),
        (run_id, run_id.set(run or run_id.get())),
    )
    try:
        yield request
    finally:
        for variable, token in tokens:
            variable.reset(token)

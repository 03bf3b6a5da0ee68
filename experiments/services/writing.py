"""How rows are written by hand: arrays as PostgreSQL reads them, and who adds to which shard."""

import threading
from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.db import connection
from numpy.typing import NDArray

N_SHARDS: Final = 8


def shard() -> int:
    """Return the rows that this thread adds to: threads of one process have neighboring ids."""
    return threading.get_native_id() % N_SHARDS


def rows(query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return what a statement returns."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def run(query: str, *values: Any) -> None:
    """Run a statement that returns nothing."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)


def plain(words: Sequence[str]) -> str:
    """Return words without special signs as PostgreSQL writes an array."""
    return "{" + ",".join(words) + "}"


def texts(words: Iterable[str]) -> str:
    """Return any words as PostgreSQL writes an array."""
    quoted = [one.replace("\\", "\\\\").replace('"', '\\"') for one in words]
    return '{"' + '","'.join(quoted) + '"}' if quoted else "{}"


def numbers(values: NDArray[Any]) -> str:
    """Return finite numbers as PostgreSQL writes an array, each to its last bit."""
    return "{" + ",".join(map(repr, values.tolist())) + "}"

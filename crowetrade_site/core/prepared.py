"""Statements that PostgreSQL plans once for each connection: for what is asked many times a second.

Planning costs such a statement several times its execution. A pooler between us and the server that
hands out another connection for each transaction must know prepared statements (PgBouncer 1.21).
"""

import copy
import select
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

import psycopg
from django.db import connection, connections
from django.db.models import Model, QuerySet
from django.db.models.query import ModelIterable

_Row = TypeVar("_Row", bound=Model)

_TRUSTED = 5.0  # seconds since its last use that a quiet connection is taken to be there
_USED = "_crowetrade_used"
_AT_WILL = 2**31  # of psycopg: nothing is prepared by itself, and everything that is asked to be


class _Cursor(psycopg.Cursor[Any]):
    """A cursor whose statements are prepared at once."""

    def execute(self, query: Any, params: Any = None, **more: Any) -> Any:
        return super().execute(query, params, **more | {"prepare": True})

    def _send_query_prepared(self, name: bytes, pgq: Any, **more: Any) -> None:
        self._query = pgq  # where Django's log of queries looks for the text
        super()._send_query_prepared(name, pgq, **more)


def first(query: str, *values: Any) -> Any:
    """Return the first row of a statement; None without one."""
    with _cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchone()


def rows(query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return all rows of a statement."""
    with _cursor() as cursor:
        cursor.execute(query, values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
        return found


def _cursor() -> Any:
    """Return a cursor of Django's connection: errors, tests and logs see it as any other."""
    django: Any = connection
    now = time.monotonic()
    if now - vars(django).get(_USED, -_TRUSTED) < _TRUSTED and _is_quiet(django.connection):
        django.health_check_done = True
    vars(django)[_USED] = now
    django.close_if_health_check_failed()
    django.ensure_connection()
    raw: psycopg.Connection[Any] = django.connection
    if raw.prepare_threshold is None:
        raw.prepare_threshold = _AT_WILL
    return django._prepare_cursor(_Cursor(raw))  # noqa: SLF001 - what `cursor()` itself does


def _is_quiet(raw: psycopg.Connection[Any] | None) -> bool:
    """Return whether nothing came over a connection that was used a moment ago.

    A server that ended it would have said so; to ask it whether it is there costs as much as what
    is asked of it. One that was idle for longer is asked: a network forgets without a word.
    """
    if raw is None or raw.closed:
        return False
    socket = select.poll()
    socket.register(raw.fileno(), select.POLLIN)
    return not socket.poll(0)


class Lookup(Generic[_Row]):
    """A queryset that is compiled once for the process: that costs more than its execution.

    Parameters
    ----------
    build : callable
        Returns the queryset for some values. It is called once, with `marks`.
    *marks
        A value for each of the values to come, of its type; all different, and different from
        whatever else the statement holds.
    """

    def __init__(self, build: Callable[..., QuerySet[_Row]], *marks: Any) -> None:
        self._build, self._marks = build, marks

    def first(self, *values: Any) -> _Row | None:
        """Return the first row for some values, with all that the queryset brings along."""
        query, places, compiler = self._compiled
        found = rows(query, *(place(values) for place in places))
        compiler = copy.copy(compiler)
        compiler.connection = connections[connection.alias]  # of this thread
        answered: Any = SimpleNamespace(
            db=connection.alias, _known_related_objects={},
            query=SimpleNamespace(get_compiler=lambda using: _Answered(compiler, found)),  # noqa: ARG005
        )  # fmt: skip
        return next(iter(ModelIterable(answered)), None)

    @cached_property
    def _compiled(self) -> tuple[str, list[Callable[[Sequence[Any]], Any]], Any]:
        """Return the statement, what fills each of its places, and the compiler that reads rows."""
        queryset = self._build(*self._marks)[:1]
        if queryset._prefetch_related_lookups:  # type: ignore[attr-defined] # noqa: SLF001
            raise TypeError("A lookup is one statement: it prefetches nothing.")
        compiler = queryset.query.get_compiler(connection.alias)
        query, given = compiler.as_sql()
        # What turns columns into values is the same for every row of every answer.
        converters = compiler.get_converters([column for column, *_ in compiler.select])
        compiler.get_converters = lambda _: converters
        compiler.connection = None
        return query, [_place(self._marks, one) for one in given], compiler


class _Answered:
    """A compiler whose statement was executed already."""

    def __init__(self, compiler: Any, found: list[tuple[Any, ...]]) -> None:
        self.select, self.klass_info = compiler.select, compiler.klass_info
        self.annotation_col_map = compiler.annotation_col_map
        self._read, self._found = compiler.results_iter, found

    def execute_sql(self, **_: Any) -> list[list[tuple[Any, ...]]]:
        return [self._found]

    def results_iter(self, results: Any) -> Iterator[Any]:
        read: Iterator[Any] = self._read(results)
        return read


def _place(marks: Sequence[Any], one: Any) -> Callable[[Sequence[Any]], Any]:
    if one in marks:
        number = marks.index(one)
        return lambda values: values[number]
    return lambda _: one

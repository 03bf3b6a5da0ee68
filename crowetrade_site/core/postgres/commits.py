"""Rows and the COMMIT of their transaction in one message of the extended protocol.

Each statement is planned once for a connection. A pooler between us and the server that hands out
another connection for each transaction must know prepared statements (PgBouncer 1.21).
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import suppress
from itertools import count
from typing import Any
from weakref import WeakKeyDictionary

from django.db import DatabaseError
from psycopg import Connection, errors, pq
from psycopg.waiting import Ready, Wait

Row = Sequence[bytes]
_COMMIT = "COMMIT"
_CANCEL_SECONDS = 5.0
# By connection, since a pool may hand one from wrapper to wrapper.
_PREPARED: WeakKeyDictionary[Connection[Any], dict[str, bytes]] = WeakKeyDictionary()
_NUMBERS = count(1)  # of names; none twice, since one may be lost here and known to the server


class RowRefused(DatabaseError):
    """The server refused a row that had waited.

    It is met by whatever statement comes next, so it is no `IntegrityError`: who expects one of
    that statement would take it for their own.
    """


def commit(connection: Connection[Any], waiting: Mapping[str, Sequence[Row]]) -> None:
    """Insert rows and commit.

    Parameters
    ----------
    connection : Connection
        In a transaction.
    waiting : mapping of str to rows
        By ``INSERT INTO table (columns)``; values in the text form of their types.

    Raises
    ------
    RowRefused
        The server refuses a row; nothing is committed.
    psycopg.Error
        It refuses the COMMIT, cannot plan an INSERT, lost a plan (DISCARD ALL), or is gone.
    """
    prepared = _PREPARED.get(connection)
    if prepared is None:
        prepared = _PREPARED.setdefault(connection, {})
    sent: list[tuple[str, Row]] = [(into, row) for into, rows in waiting.items() for row in rows]
    sent.append((_COMMIT, ()))
    missing = {
        text: (b"waiting_%d" % next(_NUMBERS), len(row)) for text, row in sent
        if text not in prepared
    }  # fmt: skip
    names = prepared | {text: name for text, (name, _) in missing.items()} if missing else prepared
    answers = _ask(connection, missing, [(names[text], row) for text, row in sent])
    for text, answer in zip(missing, answers, strict=False):
        if answer.status == pq.ExecStatus.COMMAND_OK:
            prepared[text] = names[text]
    for number, answer in enumerate(answers):
        if answer.status == pq.ExecStatus.FATAL_ERROR:
            refusal = errors.error_from_result(answer, encoding=connection.info.encoding)
            if isinstance(refusal, errors.InvalidSqlStatementName):
                prepared.clear()
            is_of_row = number < len(missing) + len(sent) - 1
            if is_of_row and isinstance(refusal, errors.IntegrityError | errors.DataError):
                raise RowRefused(f"A row that had waited was refused: {refusal}") from refusal
            raise refusal


def _ask(
    connection: Connection[Any],
    to_prepare: Mapping[str, tuple[bytes, int]],
    to_execute: Sequence[tuple[bytes, Row]],
) -> list[pq.abc.PGresult]:
    """Return the answers, 20 microseconds sooner than by a cursor in psycopg's own pipeline."""
    pgconn, encoding = connection.pgconn, connection.info.encoding
    with connection.lock:
        pgconn.enter_pipeline_mode()
        try:
            for text, (name, n_values) in to_prepare.items():
                places = ", ".join(f"${place}" for place in range(1, n_values + 1))
                statement = f"{text} VALUES ({places})" if places else text
                pgconn.send_prepare(name, statement.encode(encoding))
            for name, row in to_execute:
                pgconn.send_query_prepared(name, row or None)
            pgconn.pipeline_sync()
            answers = connection.wait(_read(pgconn, len(to_prepare) + len(to_execute)))
        except BaseException:
            with suppress(errors.Error):  # a server that is not told goes on, and commits
                connection.cancel_safe(timeout=_CANCEL_SECONDS)
            pgconn.finish()  # answers to come would be taken for those of what is asked next
            raise
        if pgconn.status == pq.ConnStatus.OK:
            pgconn.exit_pipeline_mode()
        return answers


def _read(
    pgconn: pq.abc.PGconn, n_sent: int
) -> Generator[Wait, Ready | int, list[pq.abc.PGresult]]:
    """Send what a pipeline holds, and read an answer to each of it and to its end."""
    answers: list[pq.abc.PGresult] = []
    try:
        while pgconn.flush():
            if (yield Wait.RW) & Ready.R:
                pgconn.consume_input()
        while len(answers) <= n_sent:
            answers.append((yield from _answer(pgconn)))
    except errors.OperationalError:  # the server is gone: its last word may say why
        if all(answer.status != pq.ExecStatus.FATAL_ERROR for answer in answers):
            raise
    return answers


def _answer(pgconn: pq.abc.PGconn) -> Generator[Wait, Ready | int, pq.abc.PGresult]:
    while True:
        while pgconn.is_busy():
            yield Wait.R
            pgconn.consume_input()
        answer = pgconn.get_result()  # None comes between two answers, and where none will come
        if answer is not None:
            return answer
        if pgconn.status != pq.ConnStatus.OK:
            raise errors.OperationalError(pgconn.get_error_message())

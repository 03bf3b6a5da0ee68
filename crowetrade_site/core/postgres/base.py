"""The database wrapper Django looks for in an engine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import DatabaseError, DataError, IntegrityError
from django.db.backends.postgresql import base
from django.db.transaction import TransactionManagementError
from django.utils.asyncio import async_unsafe
from psycopg import errors, generators, pq
from psycopg.types.datetime import TimestamptzLoader

MOST_WAITING = 500  # rows, about 0.4 MB of statement
MOST_BYTES_WAITING = 1 << 20
_STILL_OPEN = frozenset({pq.TransactionStatus.IDLE, pq.TransactionStatus.INTRANS})


class RowRefused(DatabaseError):
    """The server refused a row that had waited.

    It is met by whatever statement comes next, so it is no `IntegrityError`: who expects one of
    that statement would take it for their own.
    """


class _MomentLoader(TimestamptzLoader):
    """A moment in UTC, read as Python reads ISO 8601: in a third of the time.

    A page of fifty rows has hundreds.
    """

    timezone = UTC  # where Django looks whether it still is that of the connection

    def load(self, data: Any) -> datetime:
        text = bytes(data)
        if text.endswith(b"+00") and text[4:5] == b"-":
            return datetime.fromisoformat(text.decode())
        return super().load(data).astimezone(UTC)  # another offset, or no year of four digits


class DatabaseWrapper(base.DatabaseWrapper):
    """PostgreSQL that can leave a row of the transaction until its next statement or COMMIT.

    With many writers on few processors it is the way to the server and back that costs, more
    than the row: sent in one message with the COMMIT, the row is spared its own. It belongs to
    the transaction as if it had been sent at once: whatever is executed next, a SAVEPOINT too,
    goes after it; a rollback forgets it; and where it is refused, the COMMIT is not looked at.
    What goes past Django's cursors neither sees the rows that wait nor sends them: `COPY`, and
    `transaction` or `execute` of psycopg's own connection.

    A transaction that the server has given up is not committed: its COMMIT would be a ROLLBACK
    without a word, after which whoever waits for the commit would be called.
    """

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        super().__init__(settings_dict, alias)
        self._waiting: dict[str, list[bytes]] = {}
        self._n_bytes_waiting = 0

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """Return a connection that reads moments fast."""
        connection = super().get_new_connection(conn_params)
        if self.timezone is UTC:
            connection.adapters.register_loader("timestamptz", _MomentLoader)
        return connection

    def insert_later(self, into: str, row: Sequence[str]) -> None:
        """Leave a row to be inserted before anything else of this transaction is executed.

        Parameters
        ----------
        into : str
            ``INSERT INTO table (columns)``; rows that wait for the same go in one statement.
        row : sequence of str
            The values, in the server's text form of their types.

        Raises
        ------
        ValueError
            A value holds the character NUL, which PostgreSQL has no place for, or one that the
            encoding of the connection has not.
        TransactionManagementError
            The transaction is broken already.
        RowRefused
            So many rows wait that they are sent, and the server refuses one.
        """
        self.validate_no_broken_transaction()
        quoted = pq.Escaping(self.connection.pgconn).escape_literal
        text = "\0".join(row)
        if text.count("\0") != len(row) - 1:  # libpq would cut the value there, and say nothing
            raise ValueError("A text to be stored holds the character NUL (0x00); take it out.")
        encoding = self.connection.info.encoding
        values = b",".join([quoted(value.encode(encoding)) for value in row])
        if not self._waiting:
            self.execute_wrappers.insert(0, self._send_first)
        waiting = self._waiting.setdefault(into, [])
        waiting.append(b"(" + values + b")")
        self._n_bytes_waiting += len(values)
        if len(waiting) >= MOST_WAITING or self._n_bytes_waiting >= MOST_BYTES_WAITING:
            self._send_waiting()

    def _send_first(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: bool,
        context: Mapping[str, Any],
    ) -> Any:  # fmt: skip
        self._send_waiting()
        return execute(sql, params, many, context)

    def _send_waiting(self) -> None:
        if not self._waiting:
            return
        encoding = self.connection.info.encoding
        is_sent = False

        def note(execute: Callable[..., Any], *args: Any) -> Any:
            nonlocal is_sent
            done = execute(*args)
            is_sent = True
            return done

        try:
            with (
                self._kept_unless(lambda: is_sent) as statements,
                self.execute_wrapper(note),  # the innermost
                self.cursor() as cursor,
            ):
                cursor.execute(b";".join(statements).decode(encoding))
        except (IntegrityError, DataError) as refusal:
            raise RowRefused(f"A row that had waited was refused: {refusal}") from refusal

    @contextmanager
    def _kept_unless(self, is_sent: Callable[[], bool]) -> Iterator[list[bytes]]:
        """Give the statements to send; whoever fails before the server has them leaves the rows."""
        encoding = self.connection.info.encoding
        waiting, n_bytes = self._waiting, self._n_bytes_waiting
        statements = [
            into.encode(encoding) + b" VALUES " + b",".join(rows) for into, rows in waiting.items()
        ]
        self._forget_waiting()
        try:
            yield statements
        except BaseException:
            if not is_sent() and self._status() in _STILL_OPEN:
                self._waiting, self._n_bytes_waiting = waiting, n_bytes
                self.execute_wrappers.insert(0, self._send_first)
            raise

    def _status(self) -> pq.TransactionStatus:
        if self.connection is None:
            return pq.TransactionStatus.UNKNOWN
        status: pq.TransactionStatus = self.connection.info.transaction_status
        return status

    def _forget_waiting(self) -> None:
        if self._waiting:
            self._waiting, self._n_bytes_waiting = {}, 0
            self.execute_wrappers.remove(self._send_first)

    @async_unsafe
    def _commit(self) -> None:
        status = self._status()
        if status == pq.TransactionStatus.INERROR:
            raise TransactionManagementError(
                "The transaction cannot be committed: a statement of it has failed."
            )
        # One by one where a log shows them, and where no BEGIN was sent that a COMMIT would end.
        if self.queries_logged or status == pq.TransactionStatus.IDLE:
            self._send_waiting()
        if not self._waiting:
            return super()._commit()  # type: ignore[misc]  # not in the stubs
        with self._kept_unless(lambda: False) as statements, self.wrap_database_errors:
            self._execute_plainly(statements)
        return None

    def _execute_plainly(self, inserts: Sequence[bytes]) -> None:
        """Execute inserts and COMMIT, 40 microseconds sooner than by a cursor of psycopg."""
        connection = self.connection
        with connection.lock:
            connection.pgconn.send_query(b";".join([*inserts, b"COMMIT"]))
            results = connection.wait(generators.execute(connection.pgconn))
        for number, result in enumerate(results):
            if result.status == pq.ExecStatus.FATAL_ERROR:
                refusal = errors.error_from_result(result, encoding=connection.info.encoding)
                if number < len(inserts) and isinstance(
                    refusal, errors.IntegrityError | errors.DataError
                ):
                    raise RowRefused(f"A row that had waited was refused: {refusal}") from refusal
                raise refusal

    @async_unsafe
    def _rollback(self) -> None:
        self._forget_waiting()
        super()._rollback()  # type: ignore[misc]  # not in the stubs

    def _savepoint_rollback(self, sid: str) -> None:
        self._forget_waiting()  # since the SAVEPOINT: that sent what had waited before
        super()._savepoint_rollback(sid)  # type: ignore[misc]  # not in the stubs

    @async_unsafe
    def _close(self) -> None:
        self._forget_waiting()
        super()._close()  # type: ignore[misc]  # not in the stubs

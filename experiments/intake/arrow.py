"""Tables of Arrow as columns of outcomes; this module alone needs pyarrow."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from experiments.intake.columns import (
    MOST_ROWS,
    NO_TIME,
    Sent,
    misplaced,
    require_fields,
    require_rows,
    units_of,
    words_of,
)
from experiments.intake.errors import IntakeError, TooManyOutcomes


def of_stream(body: bytes) -> Sent:
    """Return an Arrow IPC stream as columns.

    Raises
    ------
    IntakeError
        It is no such stream, or a column is unknown or of a type that cannot be meant.
    TooManyOutcomes
        More rows than a batch may have.
    """
    try:
        with pa.ipc.open_stream(BytesIO(body)) as reader:
            require_fields(reader.schema.names)
            batches, n_rows = [], 0
            for batch in reader:
                n_rows += batch.num_rows
                if n_rows > MOST_ROWS:
                    raise TooManyOutcomes(f"More than {MOST_ROWS} outcomes; send several batches.")
                batches.append(batch)
            table = pa.Table.from_batches(batches, reader.schema)
        table.validate(full=True)  # offsets of a forged stream could point anywhere
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise IntakeError(f"The body is no Arrow IPC stream: {str(error)[:200]}") from None
    return of_table(table)


def of_table(table: pa.Table) -> Sent:
    """Return a table as columns; `metric`, `value`, `at`, `unit` or `arm`, `key`, `x`.

    Raises
    ------
    IntakeError, TooManyOutcomes
        As `of_stream`.
    """
    require_rows(table.num_rows)
    require_fields(table.column_names)
    given = _words(table, "key")
    key = words_of(given)
    return Sent(
        metric=words_of(_words(table, "metric")),
        value=_numbers(table, "value"),
        at=_times(table),
        unit=units_of(_words(table, "unit")),
        arm=words_of(_words(table, "arm")),
        key=key,
        x=_numbers(table, "x"),
        bad_keys=misplaced(given, key),
    )


def _column(table: pa.Table, name: str) -> Any:
    if name not in table.column_names:
        return None
    if table.column_names.count(name) > 1:
        raise IntakeError(f"There are two columns {name!r}.")
    column = table.column(name)
    return None if pa.types.is_null(column.type) else column


def _words(table: pa.Table, name: str) -> list[str | None]:
    column = _column(table, name)
    if column is None:
        return [None] * table.num_rows
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise IntakeError(f"The column {name} is {column.type}; it is text.")
    found: list[str | None] = column.to_pylist()
    return found


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64]:
    column = _column(table, name)
    if column is None:
        return np.full(table.num_rows, np.nan)
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise IntakeError(f"The column {name} is {kind}; it holds numbers.")
    numbers = column.cast(pa.float64(), safe=False).fill_null(float("nan"))
    return np.array(numbers, dtype=np.float64)


def _times(table: pa.Table) -> NDArray[np.int64]:
    column = _column(table, "at")
    if column is None:
        return np.full(table.num_rows, NO_TIME)
    kind = column.type
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            raise IntakeError("The column at has no time zone; write it as UTC.")
        try:
            column = column.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
        except pa.ArrowInvalid:
            raise IntakeError("The column at has times beyond those of nanoseconds.") from None
    elif not pa.types.is_int64(kind):
        raise IntakeError(f"The column at is {kind}; it is a timestamp with a zone, or UTC ns.")
    return np.array(pc.fill_null(column, NO_TIME), dtype=np.int64)


def slices(table: pa.Table, n_rows: int) -> Sequence[pa.Table]:
    """Return a table in pieces of so many rows."""
    return [table.slice(at, n_rows) for at in range(0, table.num_rows, n_rows)]

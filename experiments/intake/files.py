"""Files of outcomes, read in batches."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from experiments.intake.arrow import of_table, slices
from experiments.intake.columns import FIELDS, Sent, times_of
from experiments.intake.errors import IntakeError

_ARROWS_ROW = re.compile(r"Row #(\d+):")
_TEXTS, _NUMBERS = ("metric", "unit", "arm", "key"), ("value", "x")


def batches(path: Path, n_rows: int) -> Iterator[Sent]:
    """Return the outcomes of a CSV, Parquet or Arrow file, so many at a time.

    Raises
    ------
    IntakeError
        It cannot be read, or has other columns than outcomes have.
    """
    try:
        table = _table(path)
    except (pa.ArrowException, OSError) as error:
        raise IntakeError(f"{path.name} cannot be read: {_with_line(path, error)[:200]}") from None
    return (of_table(piece) for piece in slices(table, n_rows))


def places(path: Path, rows: Sequence[int]) -> list[str]:
    """Return where rows stand in a file, as whoever opens it finds them.

    Parameters
    ----------
    rows : sequence of int
        Counted from 0, ascending.
    """
    if path.suffix != ".csv":
        return [f"row {row} (counted from 0)" for row in rows]
    return [f"line {line}" for line in _lines(path, [row + 1 for row in rows])]


def _lines(path: Path, wanted: Sequence[int]) -> list[int]:
    """Return the lines, from 1, of the lines that are not blank, from 0 with the header."""
    found: list[int] = []
    passed = 0
    with path.open("rb") as stream:
        filled = (line for line, text in enumerate(stream, start=1) if text.rstrip(b"\r\n"))
        for place in wanted:
            found += islice(filled, place - passed, place - passed + 1)
            passed = place + 1
    return found


def _with_line(path: Path, error: Exception) -> str:
    """Return what Arrow says of a text, which counts no blank lines, with the line of the file."""
    return _ARROWS_ROW.sub(lambda row: f"line {_lines(path, [int(row[1]) - 1])[0]}:", str(error))


def _table(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pq.read_table(path)
    if path.suffix == ".csv":
        return _with_zone(_csv(path))
    with pa.memory_map(str(path)) as source:
        try:
            return pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_stream(source).read_all()


def _csv(path: Path) -> pa.Table:
    """Return a CSV file; a cell that is no number is none, and costs its row alone."""
    try:
        return _read_csv(path, pa.float64())
    except pa.ArrowInvalid:  # a cell is no number, or a line has too few or too many
        table = _read_csv(path, pa.string())
    for name in set(_NUMBERS) & set(table.column_names):
        place = table.column_names.index(name)
        numbers = [_number_of(text) for text in table.column(place).to_pylist()]
        table = table.set_column(place, name, pa.array(numbers, pa.float64()))
    return table


def _read_csv(path: Path, kind_of_numbers: pa.DataType) -> pa.Table:
    kinds = dict.fromkeys(_TEXTS, pa.string()) | dict.fromkeys(_NUMBERS, kind_of_numbers)
    options = pc.ConvertOptions(
        column_types={name: kinds[name] for name in FIELDS if name in kinds},
        strings_can_be_null=True,
    )
    # one thread: of several, none knows which line it is at, and a refusal would not say
    return pc.read_csv(path, pc.ReadOptions(use_threads=False), convert_options=options)


def _number_of(text: str | None) -> float | None:
    """Return the number that a cell holds; None where it holds none."""
    if text is None or not text.isascii() or "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _with_zone(table: pa.Table) -> pa.Table:
    """Return a table whose times of CSV are in UTC where they were written with a zone.

    Arrow leaves a column as text of which one cell is no such time; that cell alone is wrong.
    """
    place = table.schema.get_field_index("at")
    kind = table.schema.field(place).type if place >= 0 else pa.null()
    if pa.types.is_string(kind):
        moments = pa.array(times_of(table.column(place).to_pylist()))
        return table.set_column(place, "at", moments)
    if not pa.types.is_timestamp(kind):
        return table
    if kind.tz is None:
        raise IntakeError("The times of the file have no zone, such as 2026-01-05T08:00:00Z.")
    return table.set_column(place, "at", table.column(place).cast(pa.timestamp("ns", "UTC")))

"""Files of outcomes, read in batches."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from experiments.intake.arrow import of_table, slices
from experiments.intake.columns import FIELDS, Sent
from experiments.intake.errors import IntakeError

_TEXTS = ("metric", "unit", "arm", "key")


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
        raise IntakeError(f"{path.name} cannot be read: {str(error)[:200]}") from None
    return (of_table(piece) for piece in slices(table, n_rows))


def _table(path: Path) -> pa.Table:
    if path.suffix == ".parquet":
        return pq.read_table(path)
    if path.suffix == ".csv":
        kinds = dict.fromkeys(_TEXTS, pa.string()) | {"value": pa.float64(), "x": pa.float64()}
        options = pc.ConvertOptions(
            column_types={name: kinds[name] for name in FIELDS if name in kinds},
            strings_can_be_null=True,
        )
        table = pc.read_csv(path, convert_options=options)
        return _with_zone(table)
    with pa.memory_map(str(path)) as source:
        try:
            return pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            return pa.ipc.open_stream(source).read_all()


def _with_zone(table: pa.Table) -> pa.Table:
    """Return a table whose times of CSV are in UTC where they were written with a zone."""
    place = table.schema.get_field_index("at")
    if place < 0 or not pa.types.is_timestamp(table.schema.field(place).type):
        return table
    kind = table.schema.field(place).type
    if kind.tz is None:
        raise IntakeError("The times of the file have no zone, such as 2026-01-05T08:00:00Z.")
    return table.set_column(place, "at", table.column(place).cast(pa.timestamp("ns", "UTC")))

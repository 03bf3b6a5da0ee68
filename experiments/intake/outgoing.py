"""Outcomes and exposures on their way out: CSV or an Arrow IPC stream, batch by batch.

This module needs pyarrow. Nothing grows with the number of rows: a batch is written, handed out
and forgotten.
"""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from io import BytesIO
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

TIME: Final = pa.timestamp("us", tz="UTC")
FORMULA: Final = "^([=+@-])"  # what a spreadsheet computes; no name has tabs or line breaks
NUMBER: Final = r"^[+-]?[0-9]+([.][0-9]+)?$"  # which is what it computes to


def _schema(types: Mapping[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in types.items()])


OUTCOMES: Final = _schema(
    {
        "at": TIME, "received_at": TIME, "metric": pa.string(), "arm": pa.string(),
        "unit": pa.string(), "allocation": pa.int64(), "value": pa.float64(), "x": pa.float64(),
        "key": pa.string(),
    }
)  # fmt: skip
EXPOSURES: Final = _schema(
    {
        "at": TIME, "unit": pa.string(), "arm": pa.string(), "allocation": pa.int64(),
        "context": pa.string(), "probability": pa.float64(), "is_override": pa.bool_(),
        "attributes": pa.string(),
    }
)  # fmt: skip


class Format(StrEnum):
    """How a table leaves; named as its files end."""

    CSV = "csv"
    ARROW = "arrow"

    @property
    def media_type(self) -> str:
        """What HTTP calls it."""
        return "text/csv" if self is Format.CSV else "application/vnd.apache.arrow.stream"


def batch_of(schema: pa.Schema, columns: Mapping[str, Sequence[Any]]) -> pa.RecordBatch:
    """Return columns as a batch; times are integers of UTC microseconds."""
    arrays = [
        pa.array(columns[field.name], pa.int64() if field.type == TIME else field.type).cast(
            field.type
        )
        for field in schema
    ]
    return pa.record_batch(arrays, schema=schema)


def written(schema: pa.Schema, batches: Iterator[pa.RecordBatch], kind: Format) -> Iterator[bytes]:
    """Return a table as bytes, a piece for its head, each batch, and its end.

    Notes
    -----
    An Arrow stream that was cut off lacks its end, which readers notice; a CSV file that was cut
    off they can only know by the transfer that failed. In CSV a time is ISO 8601 with microseconds
    and Z, what is missing an empty cell, and floats have the digits that give them back. A text
    that a spreadsheet would compute has an apostrophe before it: units are named by others than
    those who open the file.
    """
    sink = BytesIO()
    shown = _as_text(schema) if kind is Format.CSV else schema
    open_writer = csv.CSVWriter if kind is Format.CSV else pa.ipc.new_stream
    with open_writer(sink, shown) as writer:
        yield _taken(sink)
        for batch in batches:
            writer.write_batch(_texts(batch, shown) if kind is Format.CSV else batch)
            yield _taken(sink)
    if rest := _taken(sink):
        yield rest


def _as_text(schema: pa.Schema) -> pa.Schema:
    return pa.schema([
        pa.field(one.name, pa.string() if one.type == TIME else one.type) for one in schema
    ])  # fmt: skip


def _texts(batch: pa.RecordBatch, shown: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([_shown(column) for column in batch.columns], schema=shown)


def _shown(column: Any) -> "pa.Array[Any]":
    """Return times as text, and texts so that they stay text."""
    shown: pa.Array[Any] = column
    if column.type == TIME:
        shown = pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ")
    elif column.type == pa.string():
        is_number = pc.match_substring_regex(column, NUMBER)
        quoted = pc.replace_substring_regex(column, FORMULA, r"'\1")
        shown = pc.if_else(is_number, column, quoted)
    return shown


def _taken(sink: BytesIO) -> bytes:
    content = sink.getvalue()
    sink.seek(0)
    sink.truncate()
    return content

"""Tables of Arrow say the same as rows of JSON."""

import io

import numpy as np
import pyarrow as pa
import pytest

from experiments.intake import IntakeError, TooManyOutcomes, of_rows
from experiments.intake.arrow import of_stream, of_table

ROWS = [
    {"metric": "return", "value": 1.5, "at": 10**18, "unit": "AAPL", "key": "k", "x": 2.0},
    {"metric": "filled", "value": 0.0, "at": 10**18 + 1, "unit": "MSFT", "key": None, "x": None},
]


def stream(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def same(one, other) -> None:
    for name in ("metric", "unit", "arm", "key"):
        assert getattr(one, name) == getattr(other, name)
    for name in ("value", "at", "x"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


class TestOfStream:
    def test_reads_what_rows_say(self):
        same(of_stream(stream(pa.Table.from_pylist(ROWS))), of_rows(ROWS))

    def test_reads_timestamps_and_dictionaries(self):
        table = pa.Table.from_pylist(ROWS)
        table = table.set_column(2, "at", table["at"].cast(pa.timestamp("ns", "UTC")))
        table = table.set_column(0, "metric", table["metric"].dictionary_encode())

        same(of_stream(stream(table)), of_rows(ROWS))

    @pytest.mark.parametrize("body", [b"", b"no stream", stream(pa.Table.from_pylist(ROWS))[:100]])
    def test_refuses_what_is_no_stream(self, body):
        with pytest.raises(IntakeError):
            of_stream(body)

    def test_refuses_too_many_rows(self):
        with pytest.raises(TooManyOutcomes):
            of_stream(stream(pa.Table.from_pylist(ROWS * 5_001)))


class TestOfTable:
    @pytest.mark.parametrize(
        "columns",
        [
            {"metric": ["a"], "vlaue": [1.0]},
            {"metric": [1], "value": [1.0]},
            {"metric": ["a"], "value": ["1.0"]},
            {"metric": ["a"], "value": [1.0], "at": ["2026-01-05T00:00:00Z"]},
            {"metric": ["a"], "value": [1.0], "at": pa.array([1], pa.timestamp("ns"))},
            {"metric": []},
        ],
    )
    def test_refuses_columns_that_cannot_be_meant(self, columns):
        with pytest.raises(IntakeError):
            of_table(pa.table(columns))

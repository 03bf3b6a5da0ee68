from __future__ import annotations

import numpy as np
import pytest

from backtests.marketdata import readers
from backtests.marketdata.options import ImportOptions
from backtests.marketdata.readers import open_source


def _rows(path, batch_rows: int = 3) -> list[int]:
    source = open_source(path, ImportOptions())
    batches = list(source.batches(batch_rows))
    return np.concatenate([b.rows for b in batches]).tolist()


class TestOpenSource:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
    def test_finds_the_delimiter_and_keeps_doubled_names(self, delimiter, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text(delimiter.join(["\ufeffdate", "x", "x"]) + "\n")

        assert open_source(path, ImportOptions()).names == ["date", "x", "x"]

    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    @pytest.mark.parametrize("block", [1 << 20, 64, 61])
    def test_names_the_lines_that_an_editor_shows(self, tmp_path, monkeypatch, end, block):
        monkeypatch.setattr(readers, "CSV_BLOCK_BYTES", block)
        path = tmp_path / "a.csv"
        drawn = np.random.default_rng(7).choice(["{},2", "{},2", "{},2", "", "{},2,3"], 500)
        lines = ["a,b", *(one.format(line) for line, one in enumerate(drawn, start=2))]
        path.write_bytes(end.join([*lines, ""]).encode())

        source = open_source(path, ImportOptions())
        batches = list(source.batches(7))

        rows = np.concatenate([batch.rows for batch in batches]).tolist()
        assert rows == [int(cell) for batch in batches for cell in batch.columns[0].to_pylist()]
        assert [(line, f"{line},2,3") for line, _ in source.malformed] == source.malformed
        assert len(rows) == sum(one == "{},2" for one in drawn)

    def test_numbers_rows_by_their_place_across_malformed_lines(self, tmp_path):
        path = tmp_path / "a.csv"
        bad = {2, 3, 7}
        lines = ["1,2,3" if row in bad else "1,2" for row in range(1, 11)]
        path.write_text("a,b\n" + "\n".join(lines) + "\n")

        source = open_source(path, ImportOptions())
        rows = np.concatenate([b.rows for b in source.batches(3)]).tolist()

        assert rows == [2, 5, 6, 7, 9, 10, 11]
        assert [line - 1 for line, _ in source.malformed] == sorted(bad)

    def test_can_be_read_again_from_the_start(self, tmp_path):
        path = tmp_path / "a.csv"
        path.write_text("a\n" + "1\n" * 8)

        source = open_source(path, ImportOptions())

        first = [b.rows.tolist() for b in source.batches(5)]
        assert first == [b.rows.tolist() for b in source.batches(5)]
        assert _rows(path) == list(range(2, 10))

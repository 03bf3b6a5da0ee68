"""Fixtures of the market data tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from backtests.marketdata.importer import ImportOutcome, import_file
from backtests.marketdata.options import ImportOptions


@pytest.fixture
def run_import(tmp_path: Path):
    """Import a file, or CSV text, into a fresh folder."""
    count = 0

    def run(source: Path | str, **options: object) -> ImportOutcome:
        nonlocal count
        count += 1
        if isinstance(source, str):
            path = tmp_path / f"case{count}.csv"
            path.write_text(source)
            source = path
        workdir = tmp_path / f"work{count}"
        workdir.mkdir()
        return import_file(source, ImportOptions(**options), workdir)

    return run

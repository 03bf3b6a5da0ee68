"""The rows taken out of an import, kept with everything the source said in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from backtests.marketdata.columns import Schema
from backtests.marketdata.findings import Ledger
from backtests.marketdata.parsing import to_texts
from backtests.marketdata.readers import Source

FILE_NAME = "quarantined.parquet"


def write_quarantine(
    source: Source, schema: Schema, ledger: Ledger, batch_rows: int, path: Path
) -> int:
    """Read the source again and keep its refused rows.

    Returns
    -------
    int
        Rows written, equal to the report's `n_refused`. Columns: ``line`` (of a text file, from 1
        with its header) or ``row`` (from 0), ``reason`` (a code), ``symbol``, ``text`` (of a
        malformed line), then the source's columns as text; of a wide file only its time column and
        ``value``.
    """
    refused = ledger.refused()
    if refused.empty:
        return 0
    names = ledger.symbols
    parts: list[dict[str, list[Any]]] = []
    numbers = refused["row"].to_numpy()
    for batch in source.batches(batch_rows):
        if not batch.rows.size:
            continue
        inside = refused[(numbers >= batch.rows[0]) & (numbers <= batch.rows[-1])]
        at = np.searchsorted(batch.rows, inside["row"].to_numpy()).clip(0, batch.rows.size - 1)
        held = batch.rows[at] == inside["row"].to_numpy()
        taken = inside[held].assign(at=at[held])
        if held.any():
            parts.append(_rows(source, schema, batch.columns, taken, names))
    parts.append(_malformed(source, refused))
    tables = [pa.table(part) for part in parts if part["reason"]]
    table = pa.concat_tables(tables, promote_options="permissive")
    pq.write_table(table.sort_by(source.unit), path, compression="zstd")
    return int(table.num_rows)


def _rows(
    source: Source, schema: Schema, columns: list[Any], refused: pd.DataFrame, names: list[str]
) -> dict[str, list[Any]]:
    syms, at = refused["sym"].to_numpy(), refused["at"].to_numpy()
    out: dict[str, list[Any]] = {
        source.unit: refused["row"].astype(int).tolist(),
        "reason": refused["code"].tolist(),
        "symbol": [names[s] if 0 <= s < len(names) else "" for s in syms],
        "text": [""] * len(syms),
    }
    where = pa.array(at)
    if schema.layout == "wide":
        taken = to_texts(pc.take(columns[schema.time], where))
        out[f"source: {source.names[schema.time]}"] = taken
        places = [schema.instruments[names[s]] for s in syms]
        out["source: value"] = [
            to_texts(columns[place].slice(int(i), 1))[0]
            for place, i in zip(places, at, strict=True)
        ]
        return out
    for place, name in enumerate(source.names):
        key = f"source: {name}"
        key = key if key not in out else f"{key} ({place})"
        out[key] = to_texts(pc.take(columns[place], where))
    return out


def _malformed(source: Source, refused: pd.DataFrame) -> dict[str, list[Any]]:
    wanted = set(refused.loc[refused["code"] == "malformed_line", "row"])
    lines = [(line, text) for line, text in source.malformed if line in wanted]
    return {
        source.unit: [line for line, _ in lines],
        "reason": ["malformed_line"] * len(lines),
        "symbol": [""] * len(lines),
        "text": [text for _, text in lines],
    }

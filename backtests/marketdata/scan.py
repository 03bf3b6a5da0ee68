"""The first pass over bars: all that rows can tell by themselves, and the spill."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backtests.marketdata.errors import DatasetRefused
from backtests.marketdata.layout import Block, Layout
from backtests.marketdata.product import Job
from backtests.marketdata.quality.order import OrderTracker
from backtests.marketdata.quality.rows import OHLC, check_bars
from backtests.marketdata.spill import Spill, StampUnion

BoolArray = NDArray[np.bool_]


class Scan:
    """The first pass: everything about the rows that needs no neighbour, and the spill."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.layout = Layout(job.source, job.schema, job.options, job.ledger, job.symbol)
        self.order = OrderTracker()
        self.union = StampUnion()
        self.spill: Spill | None = None
        self.counts = np.zeros(0, dtype=np.int64)

    def run(self) -> Spill:
        """Read the whole file.

        Raises
        ------
        DatasetRefused
            The file is empty, or no row of it can be used.
        """
        self._check_adjustable()
        for block, fraction in self.layout.blocks():
            if len(block):
                self._take(block)
            self._job.progress(0.6 * fraction, "reading")
        ledger = self._job.ledger
        if not ledger.report.n_source_rows:
            raise ledger.refusal("empty_file", "The file holds no data row; check the export.")
        if self.spill is None or not self.spill.size:
            raise nothing_left(self._job)
        self._note_empty()
        return self.spill

    def _check_adjustable(self) -> None:
        """Refuse to adjust prices without the columns it takes; say what is left alone."""
        if not self._job.options.adjust_by:
            return
        absent = [n for n in ("close", "adj_close") if n not in self._job.schema.fields]
        if absent:
            raise self._job.ledger.refusal(
                "missing_column",
                f"adjust_by='adj_close' needs the columns close and adj_close; there is no "
                f"{' and no '.join(absent)}.",
            )
        self._job.ledger.note("prices_adjusted", 1)

    def _take(self, block: Block) -> None:
        good, empty = check_bars(block.values, block.marks, self._job.ledger)
        values = stored_values(block.values)
        if self._job.options.adjust_by:
            values = adjusted_values(values)
        acting = _acting(values, empty)
        kept = Block(block.marks, values).take(good & (~empty | acting))
        if self.spill is None:
            self.spill = Spill(self._job.scratch / "spill", list(values))
        back = self.order.follow(kept.marks)
        self.spill.append(kept, back)
        # Refused rows too: the market was open then, which tells where its clock stands.
        self.union.add(block.marks.stamps)
        n_symbols = len(self.layout.symbols.names)
        counts = np.bincount(kept.marks.syms, minlength=n_symbols)
        counts[: self.counts.size] += self.counts
        self.counts = counts

    def _note_empty(self) -> None:
        names = self.layout.symbols.names
        counts = np.zeros(len(names), dtype=np.int64)
        counts[: self.counts.size] = self.counts
        self.counts = counts
        refused = set(self._job.ledger.refused()["sym"])
        for sym in np.flatnonzero(counts == 0):
            if int(sym) not in refused:
                self._job.ledger.note("empty_instrument", 1, symbol=names[sym])


def nothing_left(job: Job) -> DatasetRefused:
    """Return the refusal of a file of which no row can be used, naming the gravest reason."""
    report = job.ledger.settle()
    reason = report.headline if report.errors else "No row matches the filters or holds a price."
    return job.ledger.refusal("nothing_left", f"No row is left to import. {reason}")


def stored_values(values: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Turn source fields into stored ones.

    Bid/ask bars become mid prices, ``(bid + ask) / 2`` for each of open, high, low, close, with
    ``half_spread = (ask_close - bid_close) / 2`` and ``half_spread_open`` likewise, in price units;
    where bid and ask are crossed and that is no error, the half spread is 0. A split of 0 or
    nothing is 1, a dividend of nothing is 0.
    """
    stored = {k: v for k, v in values.items() if not k.startswith(("bid_", "ask_"))}
    if "bid_close" in values:
        mids = {n: 0.5 * (values[f"bid_{n}"] + values[f"ask_{n}"]) for n in OHLC}
        spreads = {
            name: np.maximum(0.5 * (values[f"ask_{side}"] - values[f"bid_{side}"]), 0.0)
            for name, side in (("half_spread", "close"), ("half_spread_open", "open"))
        }
        stored = {**mids, **spreads, **stored}
    if "split" in stored:
        split = stored["split"]
        stored["split"] = np.where(np.isnan(split) | (split == 0.0), 1.0, split)
    if "dividend" in stored:
        stored["dividend"] = np.nan_to_num(stored["dividend"])
    return stored


def adjusted_values(values: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """Multiply prices by ``adj_close / close``, row by row, and leave adj_close out.

    The close becomes adj_close exactly; rounding never puts it outside [low, high].
    """
    adjusted = {name: column for name, column in values.items() if name != "adj_close"}
    close = values["adj_close"]
    factor = close / values["close"]
    for name in OHLC[:3]:
        if name in values:
            adjusted[name] = values[name] * factor
    adjusted["close"] = close
    if "high" in values:
        adjusted["high"] = np.maximum(adjusted["high"], close)
        adjusted["low"] = np.minimum(adjusted["low"], close)
    return adjusted


def _acting(values: dict[str, NDArray[np.float64]], empty: BoolArray) -> BoolArray:
    """Rows without a price that still book a split or a dividend."""
    acting = np.zeros(empty.size, dtype=bool)
    if "split" in values:
        acting |= values["split"] != 1.0
    if "dividend" in values:
        acting |= values["dividend"] != 0.0
    return acting & empty

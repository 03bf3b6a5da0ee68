"""Matching a file's columns to canonical names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from backtests.marketdata.errors import DatasetRefused
from backtests.marketdata.findings import Ledger
from backtests.marketdata.options import ImportOptions, nearest
from backtests.marketdata.parsing import is_text

OHLC = ("open", "high", "low", "close")
SIDES = tuple(f"{side}_{name}" for side in ("bid", "ask") for name in OHLC)
ACTION_FIELDS = ("split", "dividend")
BAR_FIELDS = (*OHLC, "adj_close", "volume", *ACTION_FIELDS, *SIDES)
QUOTE_FIELDS = ("bid", "ask", "bid_size", "ask_size")
TRADE_FIELDS = ("price", "qty", "trade_id")
FIELDS_OF = {"bars": BAR_FIELDS, "quotes": QUOTE_FIELDS, "trades": TRADE_FIELDS}
REQUIRED = {"quotes": ("bid", "ask"), "trades": ("price", "qty")}

TIME_NAMES = (
    "ts", "timestamp", "datetime", "date_time", "recv_ts", "time", "date", "day", "trade_date",
    "month", "ts_local", "open_time", "close_time", "index", "unix",
)  # fmt: skip
SYMBOL_NAMES = ("symbol", "ticker", "instrument", "asset", "sym", "code")
EVENT_NAMES = ("event_ts", "trade_ts", "exchange_ts", "event_time", "exch_ts")
ALIASES = {
    "open": ("o", "open_price"),
    "high": ("h", "high_price"),
    "low": ("l", "low_price"),
    "close": ("c", "close_price", "last"),
    "adj_close": ("adjclose", "adjusted_close", "adj_close_price", "close_adj"),
    "volume": ("vol", "v", "turnover_volume"),
    "split": ("splits", "stock_splits", "stock_split", "split_factor", "split_coefficient"),
    "dividend": ("dividends", "div", "dividend_amount", "cash_dividend"),
    "bid": ("bid_price", "best_bid", "bidprice"),
    "ask": ("ask_price", "best_ask", "askprice", "offer"),
    "bid_size": ("bid_qty", "bidsize", "bid_quantity", "bid_volume"),
    "ask_size": ("ask_qty", "asksize", "ask_quantity", "ask_volume"),
    "price": ("trade_price", "px"),
    "qty": ("quantity", "size", "amount", "trade_size", "quantity_base"),
    "trade_id": ("id", "tradeid", "agg_trade_id"),
}


@dataclass(slots=True)
class Schema:
    """Where each canonical thing stands in the file, by column position.

    Attributes
    ----------
    kind, layout : str
        Settled; never "auto".
    time : int
        Position of the time column, -1 where there is none (static reference tables).
    symbol : int
        Position of the symbol column, -1 where there is none.
    event : int
        Position of a second clock (the exchange's) of ticks, -1 where there is none.
    fields : dict of canonical name to position
        Long layout: the canonical and kept extra columns, in storage order.
    instruments : dict of symbol to position
        Wide layout: one column per instrument.
    """

    kind: str
    layout: str
    time: int = -1
    symbol: int = -1
    event: int = -1
    fields: dict[str, int] = field(default_factory=dict)
    instruments: dict[str, int] = field(default_factory=dict)


def canonical(name: str) -> str:
    """Return a column name in lower case with single underscores."""
    return re.sub(r"[^0-9a-z]+", "_", name.strip().lower()).strip("_")


class Matcher:
    """Finds the columns of one file."""

    def __init__(
        self, names: Sequence[str], types: Sequence[Any], options: ImportOptions, ledger: Ledger
    ) -> None:
        self._names = list(names)
        self._types = list(types)
        self._options = options
        self._ledger = ledger
        self._keys = [canonical(n) for n in names]
        self._overrides = {k: self._position(v) for k, v in options.columns.items()}
        self._where = {self._position(n) for n in options.where}

    def schema(self) -> Schema:
        """Settle kind and layout and place every column.

        Raises
        ------
        DatasetRefused
            A required column is absent, or the kind cannot be told from the columns.
        """
        time = self._first("ts", TIME_NAMES)
        symbol = self._symbol()
        found = {
            name: place
            for name in (*BAR_FIELDS, *QUOTE_FIELDS, *TRADE_FIELDS)
            if (place := self._first(name, (name, *ALIASES.get(name, ())))) >= 0
        }
        kind = self._kind(found, symbol)
        layout = self._layout(kind, found, symbol)
        if time < 0 and kind != "reference":
            raise self._missing("ts", "a time column")
        if kind != "reference":
            self._require_once()
        schema = Schema(kind, layout, time, symbol)
        if kind in ("quotes", "trades"):
            schema.event = self._first("event_ts", EVENT_NAMES)
            schema.event = -1 if schema.event == time else schema.event
        if layout == "wide":
            self._wide(schema)
        elif kind != "reference":
            self._long(schema, found)
        return schema

    def _position(self, source: str) -> int:
        lowered = [n.strip().lower() for n in self._names]
        if source.strip().lower() not in lowered:
            hint = nearest(source, self._names)
            raise self._ledger.refusal("missing_column", f"There is no column {source!r}{hint}.")
        return lowered.index(source.strip().lower())

    def _first(self, name: str, spellings: Sequence[str]) -> int:
        if name in self._overrides:
            return self._overrides[name]
        taken = set(self._overrides.values())
        for spelling in spellings:
            for place, key in enumerate(self._keys):
                if key == spelling and place not in taken:
                    return place
        return -1

    def _symbol(self) -> int:
        if self._options.symbol_column:
            return self._position(self._options.symbol_column)
        place = self._first("symbol", SYMBOL_NAMES)
        # A numeric column called "code" or "asset" is a value; in a CSV file all is text.
        return place if place >= 0 and is_text(self._types[place]) else -1

    def _kind(self, found: dict[str, int], symbol: int) -> str:
        if self._options.kind != "auto":
            return self._options.kind
        if self._options.series or {"kind", "value"} <= set(self._keys) or "month" in self._keys:
            return "reference"
        if "close" in found or {"bid_close", "ask_close"} <= set(found):
            return "bars"
        if {"bid", "ask"} <= set(found):
            return "quotes"
        if {"price", "qty"} <= set(found):
            return "trades"
        if symbol >= 0 and set(OHLC[:3]) <= set(found):
            raise self._missing("close", "the close of each bar")
        raise self._ledger.refusal(
            "kind_unknown",
            "The columns do not tell what the rows are; state kind: bars (a price per column or "
            "open/high/low/close), 'quotes', 'trades' or 'reference'. Columns: "
            + ", ".join(self._names[:12]),
        )

    def _layout(self, kind: str, found: dict[str, int], symbol: int) -> str:
        if self._options.layout != "auto":
            return self._options.layout
        if kind != "bars":
            return "long"
        looks_long = "close" in found or "bid_close" in found or symbol >= 0
        numeric = len(self._names) - 1 - len(self._where)
        near = any(nearest(n, OHLC) for n in self._keys if len(n) > 3)
        return "long" if looks_long or (near and numeric < 8) else "wide"

    def _missing(self, name: str, meaning: str) -> DatasetRefused:
        hint = nearest(name, self._names)
        listing = ", ".join(repr(n) for n in self._names[:12])
        return self._ledger.refusal(
            "missing_column",
            f"There is no column {name!r} ({meaning}){hint} Columns found: {listing}. "
            f"Say what the file calls it, in columns: {name} = its name there.",
        )

    def _require_once(self) -> None:
        seen: dict[str, str] = {}
        for name in self._names:
            key = name.strip().upper()
            if key in seen and key:
                raise self._ledger.refusal(
                    "symbol_twice",
                    f"Column {name!r} stands twice in the header (as {seen[key]!r} before): "
                    "one of them has to go or be renamed.",
                )
            seen[key] = name

    def _wide(self, schema: Schema) -> None:
        skip = {schema.time, schema.symbol, *self._where}
        for place, name in enumerate(self._names):
            unnamed_index = not name.strip() or self._keys[place].startswith("unnamed")
            if place in skip or unnamed_index:
                continue
            schema.instruments[name.strip()] = place
        if not schema.instruments:
            raise self._missing("close", "at least one instrument")

    def _long(self, schema: Schema, found: dict[str, int]) -> None:
        wanted = FIELDS_OF[schema.kind]
        fields = {name: found[name] for name in wanted if name in found}
        if schema.kind == "bars":
            self._bar_fields(fields)
        for name in REQUIRED.get(schema.kind, ()):
            if name not in fields:
                raise self._missing(name, f"a column of {schema.kind}")
        schema.fields = {name: place for name, place in fields.items() if place != schema.time}
        self._extras(schema)

    def _bar_fields(self, fields: dict[str, int]) -> None:
        sided = [n for n in SIDES if n in fields]
        if "close" not in fields and not sided:
            raise self._missing("close", "the close of each bar")
        if "close" in fields:
            for name in sided:
                del fields[name]
        elif len(sided) != len(SIDES):
            absent = next(n for n in SIDES if n not in fields)
            raise self._missing(absent, "bid/ask bars need four prices on each side")
        present = [n for n in OHLC if n in fields]
        if "close" in fields and 1 < len(present) < 4:
            absent = next(n for n in OHLC if n not in fields)
            raise self._missing(
                absent, "bars need all of open, high, low, close, or the close alone"
            )

    def _extras(self, schema: Schema) -> None:
        keep = self._options.keep
        used = {schema.time, schema.symbol, schema.event, *schema.fields.values(), *self._where}
        if keep is not None:
            for name in keep:
                schema.fields.setdefault(canonical(name), self._position(name))
            return
        for place in range(len(self._names)):
            known = self._keys[place] in (*TIME_NAMES, *SYMBOL_NAMES) or not self._keys[place]
            if place not in used and not known:
                schema.fields.setdefault(self._keys[place], place)

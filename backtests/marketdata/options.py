"""What the user states about a file before it is imported."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from backtests.marketdata.errors import OptionsError

KINDS = ("auto", "bars", "quotes", "trades", "reference")
LAYOUTS = ("auto", "long", "wide")
STAMPS = ("auto", "start", "end", "day", "period_start")
PRICES = ("raw", "split", "adjusted")
ADJUSTERS = ("", "adj_close")
TIME_UNITS = ("auto", "s", "ms", "us", "ns")
SERIES = ("", "rates", "factors", "actions", "sectors", "levels")
WIDE_FIELDS = ("open", "high", "low", "close", "adj_close", "volume")
PERIOD_MONTHS = {"1mo": 1, "1q": 3, "1y": 12}

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"^(\d+)\s*(s|m|min|h|d|w|wk)$")


def nearest(name: str, known: list[str] | tuple[str, ...]) -> str:
    """Return a hint ", did you mean 'x'?" for the closest known name, or an empty string."""
    lowered = {k.lower(): k for k in known}
    close = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.5)
    return f", did you mean {lowered[close[0]]!r}?" if close else ""


def parse_duration(text: str) -> int:
    """Return a bar length such as ``"1m"``, ``"4h"`` or ``"1d"`` in nanoseconds.

    Raises
    ------
    OptionsError
        The text is not a whole positive number followed by s, m, h, d or w.
    """
    match = _DURATION.match(text.strip().lower())
    if match is None or int(match[1]) == 0:
        raise OptionsError(f"Bar length {text!r} is not like '30s', '1m', '4h', '1d' or '1w'.")
    return int(match[1]) * _SECONDS[match[2][0]] * 1_000_000_000


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """Everything stated about a file; what is left at its default is inferred or refused.

    Attributes
    ----------
    kind : {"auto", "bars", "quotes", "trades", "reference"}
        What the rows are. A wide table cannot say whether it holds prices or rates: state it.
    layout : {"auto", "long", "wide"}
        One row per instrument and moment, or one column per instrument.
    stamp : {"auto", "start", "end", "day", "period_start"}
        What the time column marks. ``auto`` only works for plain dates (they become ``day``).
    bar : str
        Bar length ("1m", "1h", "1d"); for ``period_start`` "1mo", "1q" or "1y"; inferred if empty.
    timezone : str or None
        IANA zone of naive clock times; None where stamps carry their offset or are plain dates.
    calendar : str or None
        Exchange calendar ("XNYS" ...), "24/7", "fx", or None: no gap is looked for.
    currency : str
        ISO code of the prices, may be empty.
    symbol : str
        Instrument of a file without a symbol column; default: taken from the file's name.
    columns : mapping of canonical name to source column
        Overrides the matching by name, for example ``{"volume": "volume_usd"}``.
    price : str
        The field a wide table holds, one of open, high, low, close, adj_close, volume.
    prices : {"raw", "split", "adjusted"}
        Whether prices are unadjusted, adjusted for splits, or for splits and dividends.
    adjust_by : {"", "adj_close"}
        Turn open, high, low and close into adjusted prices by the factor ``adj_close / close`` of
        each row; the dataset's prices are then "adjusted". Volume stays as it is: the part of the
        factor that is a split cannot be told from the part that is dividends.
    symbol_column : str
        Source column that names the instrument.
    keep : tuple of str or None
        Extra columns kept; None keeps every numeric one, () keeps none.
    quarantine : bool
        Take faulty rows out and keep them apart, instead of refusing the file.
    accept : tuple of str
        Codes of errors the user knows of and takes as warnings, e.g. ``("volume_saturated",)``.
    where : mapping of source column to text
        Only rows where each named column equals its text.
    start, end : str
        First and last moment kept (inclusive), ISO text in the file's own stamps.
    time_format : str
        ``strptime`` format of the time column, where it is not ISO 8601.
    time_unit : {"auto", "s", "ms", "us", "ns"}
        Unit of integer epoch stamps.
    delimiter : str
        Field delimiter of a CSV file; sniffed from the header where empty.
    lag : str
        Publication delay added to ``known_at`` of a reference series ("1d").
    series : {"", "rates", "factors", "actions", "sectors", "levels"}
        What a reference table holds.
    batch_rows : int
        Rows held at a time while streaming.
    memory_mb : int
        Working memory of the fill step [MB].
    """

    kind: str = "auto"
    layout: str = "auto"
    stamp: str = "auto"
    bar: str = ""
    timezone: str | None = None
    calendar: str | None = None
    currency: str = ""
    symbol: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)
    price: str = "close"
    prices: str = "raw"
    adjust_by: str = ""
    symbol_column: str = ""
    keep: tuple[str, ...] | None = None
    quarantine: bool = False
    accept: tuple[str, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    start: str = ""
    end: str = ""
    time_format: str = ""
    time_unit: str = "auto"
    delimiter: str = ""
    lag: str = ""
    series: str = ""
    batch_rows: int = 131_072
    memory_mb: int = 128

    def __post_init__(self) -> None:
        choices = {
            "kind": KINDS,
            "layout": LAYOUTS,
            "stamp": STAMPS,
            "price": WIDE_FIELDS,
            "prices": PRICES,
            "adjust_by": ADJUSTERS,
            "time_unit": TIME_UNITS,
            "series": SERIES,
        }
        for name, allowed in choices.items():
            value = getattr(self, name)
            if value not in allowed:
                listing = ", ".join(repr(a) for a in allowed if a)
                raise OptionsError(f"{name}={value!r} is not one of {listing}.")
        if self.batch_rows < 1 or self.memory_mb < 1:
            raise OptionsError("batch_rows and memory_mb must be at least 1.")
        self._check_lengths()
        self._check_adjustment()

    def _check_lengths(self) -> None:
        if self.stamp == "period_start":
            if self.bar not in PERIOD_MONTHS:
                raise OptionsError("stamp='period_start' needs bar='1mo', '1q' or '1y'.")
        elif self.bar:
            parse_duration(self.bar)
        if self.lag:
            parse_duration(self.lag)

    def _check_adjustment(self) -> None:
        if not self.adjust_by:
            return
        if self.prices == "adjusted":
            raise OptionsError("Prices said to be adjusted cannot be adjusted again by adj_close.")
        if "non_positive_price" in self.accept:
            raise OptionsError(
                "adjust_by divides by the close: no price of zero or less can be accepted with it."
            )

    @property
    def stored_prices(self) -> str:
        """What the prices of the dataset are, after any adjustment on import."""
        return "adjusted" if self.adjust_by else self.prices

    @property
    def bar_ns(self) -> int:
        """Stated bar length [ns], 0 where it is to be inferred or a calendar period."""
        return parse_duration(self.bar) if self.bar and self.bar not in PERIOD_MONTHS else 0

    @property
    def lag_ns(self) -> int:
        """Publication delay [ns]."""
        return parse_duration(self.lag) if self.lag else 0

    def to_json(self) -> dict[str, Any]:
        """Return the options as plain JSON values."""
        plain = asdict(self)
        plain["columns"] = dict(self.columns)
        plain["where"] = dict(self.where)
        plain["accept"] = list(self.accept)
        plain["keep"] = None if self.keep is None else list(self.keep)
        return plain

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> ImportOptions:
        """Build options from a parsed document; an unknown key names the nearest known one.

        Raises
        ------
        OptionsError
            A key is unknown or a value is not allowed.
        """
        known = tuple(f.name for f in fields(cls))
        plain = dict(mapping)
        for key in plain:
            if key not in known:
                raise OptionsError(f"Unknown import option {key!r}{nearest(key, known)}")
        for name in ("accept", "keep"):
            if isinstance(plain.get(name), list):
                plain[name] = tuple(plain[name])
        return cls(**plain)

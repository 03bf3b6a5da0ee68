"""Reading time columns: text, dates, epochs and typed stamps to int64 nanoseconds UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from backtests.marketdata.errors import OptionsError
from backtests.marketdata.findings import Ledger
from backtests.marketdata.options import ImportOptions
from backtests.marketdata.parsing import is_text

if TYPE_CHECKING:
    import pandas as pd

DAY_NS = 86_400_000_000_000
NAT = np.iinfo(np.int64).min
_OFFSET = r"(Z|[+-]\d{2}:?\d{2})$"
_DATE = r"^\d{4}-?\d{2}-?\d{2}$"
_EPOCH_LIMITS = (("s", 1e11), ("ms", 1e14), ("us", 1e17), ("ns", np.inf))

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


@dataclass(slots=True)
class Stamps:
    """Stamps of one batch.

    Attributes
    ----------
    ns : int64 array, shape (n,)
        Nanoseconds UTC, or midnight of the date where `dates`; NAT where missing.
    bad, ambiguous, absent : bool arrays, shape (n,)
        Unreadable; a local time that happened twice; one that never happened.
    dates : bool
        Every stamp of the batch is a plain date.
    """

    ns: Int64Array
    bad: BoolArray
    ambiguous: BoolArray
    absent: BoolArray
    dates: bool


class StampReader:
    """Reads the stamps of one column, batch after batch, by one settled rule."""

    def __init__(self, options: ImportOptions, ledger: Ledger, name: str) -> None:
        self._options = options
        self._ledger = ledger
        self._name = name
        self._unit = options.time_unit
        if options.timezone is not None:
            try:
                ZoneInfo(options.timezone)
            except (ZoneInfoNotFoundError, ValueError) as error:
                raise OptionsError(f"There is no time zone {options.timezone!r}.") from error

    def read(self, column: Any) -> Stamps:
        """Read one batch.

        Raises
        ------
        DatasetRefused
            Clock times carry no offset and no time zone is stated.
        """
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        kind = column.type
        if pa.types.is_null(kind):
            return self._settled(np.full(len(column), NAT), dates=True)
        if pa.types.is_timestamp(kind):
            return self._typed(column)
        if pa.types.is_date(kind):
            ns = _nanoseconds(pc.cast(column, pa.timestamp("ns")))
            return self._settled(ns, dates=True)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind):
            return self._epochs(column)
        if is_text(kind):
            return self._texts(column)
        raise self._ledger.refusal(
            "unparsable", f"Column {self._name!r} of type {kind} cannot be read as a time."
        )

    def _typed(self, column: Any) -> Stamps:
        ns = _nanoseconds(pc.cast(column, pa.timestamp("ns", tz=column.type.tz), safe=False))
        if column.type.tz is None:
            return self._naive(ns)
        if self._options.stamp == "day":
            zone = self._options.timezone or column.type.tz
            return self._settled(_local_midnight(ns, zone), dates=True)
        return self._settled(ns, dates=False)

    def _epochs(self, column: Any) -> Stamps:
        values = np.asarray(pc.fill_null(pc.cast(column, pa.float64(), safe=False), np.nan))
        seen = values[np.isfinite(values)]
        if self._unit == "auto" and seen.size:
            if seen.min() >= 19_000_101 and seen.max() <= 21_991_231:
                return self._texts(pc.cast(pc.cast(column, pa.int64()), pa.string()))
            largest = float(np.abs(seen).max())
            self._unit = next(unit for unit, limit in _EPOCH_LIMITS if largest < limit)
        scale = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}.get(self._unit, 1)
        missing = ~np.isfinite(values)
        if pa.types.is_integer(column.type):
            whole = np.asarray(pc.fill_null(pc.cast(column, pa.int64()), 0))
            ns = whole.astype(np.int64) * scale
        else:
            ns = np.rint(np.where(missing, 0.0, values) * scale).astype(np.int64)
        return self._settled(np.where(missing, NAT, ns), dates=False)

    def _texts(self, column: Any) -> Stamps:
        import pandas as pd

        column = pc.utf8_trim_whitespace(column)
        given = column.drop_null()
        if len(given) and given[0].as_py().isdigit() and len(given[0].as_py()) != 8:
            whole = _whole_numbers(column)
            stamps = self._epochs(whole)
            stamps.bad = np.asarray(whole.is_null()) & ~np.asarray(column.is_null())
            return stamps
        if self._options.time_format:
            parsed = pd.to_datetime(
                pd.Series(column.to_pylist()), format=self._options.time_format, errors="coerce"
            )
            return self._parsed(column, parsed)
        first = given[0].as_py() if len(given) else ""
        aware = bool(pc.any(pc.match_substring_regex(pa.array([first]), _OFFSET)).as_py())
        target = pa.timestamp("ns", tz="UTC") if aware else pa.timestamp("ns")
        try:
            ns = _nanoseconds(pc.cast(column, target))
        except pa.ArrowInvalid:
            return self._salvage(column)
        if aware and self._options.stamp == "day":
            ns = _nanoseconds(pc.cast(pc.utf8_slice_codeunits(column, 0, 10), pa.timestamp("ns")))
        return self._settled(ns, dates=self._options.stamp == "day") if aware else self._naive(ns)

    def _salvage(self, column: Any) -> Stamps:
        """Read what is readable row by row after the fast path met something else."""
        import pandas as pd

        aware = pc.fill_null(pc.match_substring_regex(column, _OFFSET), False)
        dated = pc.fill_null(pc.match_substring_regex(column, _DATE), False)
        with_offset = np.asarray(aware) & ~np.asarray(dated)
        texts = pd.Series(column.to_pylist(), dtype="object")
        if with_offset.any() and self._options.stamp != "day":
            texts[~with_offset] = None
            parsed = pd.to_datetime(texts, format="ISO8601", errors="coerce", utc=True)
            ns = _series_ns(parsed.dt.tz_localize(None))
            missing = np.asarray(column.is_null())
            return self._settled(ns, dates=False, bad=(ns == NAT) & ~missing)
        if self._options.stamp == "day":
            texts = texts.str.slice(0, 10)
        return self._parsed(column, pd.to_datetime(texts, format="ISO8601", errors="coerce"))

    def _parsed(self, column: Any, parsed: pd.Series[pd.Timestamp]) -> Stamps:
        if getattr(parsed.dt, "tz", None) is not None:
            ns = _series_ns(parsed.dt.tz_convert("UTC").dt.tz_localize(None))
            bad = (ns == NAT) & ~np.asarray(column.is_null())
            return self._settled(ns, dates=False, bad=bad)
        ns = _series_ns(parsed)
        bad = (ns == NAT) & ~np.asarray(column.is_null())
        return self._naive(ns, bad=bad)

    def _naive(self, ns: Int64Array, bad: BoolArray | None = None) -> Stamps:
        present = ns[ns != NAT]
        midnight = bool((present % DAY_NS == 0).all())
        if self._options.stamp == "day":
            return self._settled(_floor_day(ns), dates=True, bad=bad)
        if midnight and self._options.timezone is None:
            return self._settled(ns, dates=True, bad=bad)
        zone = self._options.timezone
        if zone is None:
            raise self._ledger.refusal(
                "naive_times",
                f"Column {self._name!r} holds clock times without an offset, such as "
                f"{_show(present)}; state their time zone, for example timezone: UTC or "
                "timezone: America/New_York.",
            )
        return self._localized(ns, zone, bad)

    def _localized(self, ns: Int64Array, zone: str, bad: BoolArray | None) -> Stamps:
        import pandas as pd

        clock = pd.DatetimeIndex(ns.view("M8[ns]"))
        once = clock.tz_localize(zone, ambiguous="NaT", nonexistent="shift_forward")
        exists = clock.tz_localize(
            zone, ambiguous=np.zeros(len(clock), dtype=bool), nonexistent="NaT"
        )
        missing = ns == NAT
        utc = once.tz_convert("UTC").tz_localize(None).to_numpy().astype("M8[ns]").view(np.int64)
        ambiguous = np.asarray(once.isna()) & ~missing
        absent = np.asarray(exists.isna()) & ~missing
        stamps = self._settled(np.where(ambiguous, NAT, utc), dates=False, bad=bad)
        stamps.ambiguous, stamps.absent = ambiguous, absent
        return stamps

    def _settled(self, ns: Int64Array, *, dates: bool, bad: BoolArray | None = None) -> Stamps:
        none = np.zeros(ns.size, dtype=bool)
        return Stamps(ns, none if bad is None else bad, none.copy(), none.copy(), dates)


def _whole_numbers(column: Any) -> Any:
    digits = pc.match_substring_regex(column, r"^-?\d+$")
    return pc.cast(pc.if_else(digits, column, None), pa.int64())


def _nanoseconds(column: Any) -> Int64Array:
    filled = pc.fill_null(pc.cast(column, pa.int64()), NAT)
    return np.array(filled.to_numpy(zero_copy_only=False), dtype=np.int64)


def _series_ns(series: pd.Series[pd.Timestamp]) -> Int64Array:
    return np.array(series.to_numpy().astype("M8[ns]").view(np.int64), dtype=np.int64)


def _floor_day(ns: Int64Array) -> Int64Array:
    return np.where(ns == NAT, NAT, ns - ns % DAY_NS)


def _local_midnight(ns: Int64Array, zone: str) -> Int64Array:
    import pandas as pd

    local = pd.DatetimeIndex(ns.view("M8[ns]"), tz="UTC").tz_convert(zone).tz_localize(None)
    return _floor_day(np.asarray(local.to_numpy().astype("M8[ns]").view(np.int64)))


def _show(present: Int64Array) -> str:
    odd = present[present % DAY_NS != 0]
    return str(odd[:1].view("M8[ns]").astype("M8[s]")[0]).replace("T", " ") if odd.size else ""


def parse_moment(text: str) -> int:
    """Return ISO text as nanoseconds UTC; without an offset it is read as UTC.

    Raises
    ------
    OptionsError
        The text is no ISO 8601 date or time.
    """
    import pandas as pd

    try:
        moment = pd.Timestamp(text)
    except ValueError as error:
        raise OptionsError(f"{text!r} is not an ISO 8601 date or time.") from error
    moment = moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")
    return int(moment.as_unit("ns").value)


def show_moment(ns: int) -> str:
    """Return nanoseconds UTC as ISO text, as short as it is exact."""
    import pandas as pd

    if ns == NAT:
        return ""
    text = str(pd.Timestamp(int(ns), unit="ns", tz="UTC").isoformat())
    return text.replace("+00:00", "Z")

"""Rows of outcomes as columns: each checked for what it is, none yet for what it means.

What a row has wrong stays in its place, as a value that nothing right has: no name, no number, no
time. So one bad row costs no other row anything, and the common case is a few passes in C.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from experiments.assignment import hints
from experiments.assignment.buckets import unit_bytes
from experiments.assignment.errors import AssignmentError
from experiments.intake.errors import IntakeError, TooManyOutcomes

FIELDS: Final = ("metric", "value", "at", "unit", "arm", "key", "x")
_KNOWN: Final = frozenset(FIELDS)
MOST_ROWS: Final = 10_000
NO_TIME: Final = np.iinfo(np.int64).min
LONGEST_WORD: Final = 256
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBERS: Final = frozenset({float, int, bool})


@dataclass(frozen=True, slots=True)
class Sent:
    """Outcomes as they were sent, shape (n_rows,) each.

    Attributes
    ----------
    metric, unit, arm, key : list of str or None
        None where there is none, or where it is no acceptable text.
    value, x : float64 arrays
        NaN where there is no number.
    at : int64 array
        [UTC ns], `NO_TIME` where there is none.
    bad_keys : bool array or None
        Where a key was sent that is no acceptable text; None where there is no such row.
    unknown : dict of int to str
        Rows with a field that outcomes do not have, and what is said of it.
    no_objects : bool array or None
        Where a row is a number, a list or the like; None where there is no such row.
    """

    metric: list[str | None]
    value: NDArray[np.float64]
    at: NDArray[np.int64]
    unit: list[str | None]
    arm: list[str | None]
    key: list[str | None]
    x: NDArray[np.float64]
    bad_keys: NDArray[np.bool_] | None = None
    unknown: Mapping[int, str] = field(default_factory=dict)
    no_objects: NDArray[np.bool_] | None = None

    @property
    def n_rows(self) -> int:
        """Outcomes."""
        return len(self.metric)


def of_rows(rows: Sequence[Any]) -> Sent:
    """Return JSON objects as columns.

    Parameters
    ----------
    rows : sequence of dict
        ``metric``, ``value``, ``at`` (ISO 8601 with a zone, or an integer of UTC ns), ``unit`` or
        ``arm``, and perhaps ``key`` and ``x``.

    Raises
    ------
    IntakeError
        No row is an object, or every row has a field that is unknown: whoever sends them is wrong.
    TooManyOutcomes
        More than `MOST_ROWS`.
    """
    require_rows(len(rows))
    no_objects = np.array([type(row) is not dict for row in rows])
    if no_objects.all():
        raise IntakeError("", ("outcomes.0", "an object is needed."))
    if no_objects.any():
        rows = [row if type(row) is dict else {} for row in rows]
    unknown = _unknown_fields(rows)
    columns = {name: [row.get(name) for row in rows] for name in FIELDS}
    key = words_of(columns["key"])
    return Sent(
        metric=words_of(columns["metric"]),
        value=numbers_of(columns["value"]),
        at=times_of(columns["at"]),
        unit=units_of(columns["unit"]),
        arm=words_of(columns["arm"]),
        key=key,
        x=numbers_of(columns["x"]),
        bad_keys=misplaced(columns["key"], key),
        unknown={row: f"{place}: {text}" for row, (place, text) in unknown.items()},
        no_objects=no_objects if no_objects.any() else None,
    )


def _unknown_fields(rows: Sequence[dict[Any, Any]]) -> dict[int, tuple[str, str]]:
    """Return the place of a field that outcomes do not have, and what is said of it, by row."""
    if set().union(*rows) <= _KNOWN:
        return {}
    found = {}
    for at, row in enumerate(rows):
        if names := [name for name in row if name not in _KNOWN]:
            found[at] = (f"outcomes.{at}.{shown(names[0])}", f"unknown key{nearest(names[0])}")
    if len(found) == len(rows):
        raise IntakeError("", found[0])
    return found


def shown(name: Any) -> str:
    """Return the beginning of a name, without half of a surrogate pair."""
    return str(name)[:60].encode(errors="replace").decode()


def nearest(name: Any) -> str:
    """Return the end of a refusal: the field that a name may have meant, else all of them."""
    return hints.nearest(name, FIELDS)


def require_rows(n_rows: int) -> None:
    """Refuse a batch of no rows, or of too many.

    Raises
    ------
    IntakeError, TooManyOutcomes
        As said.
    """
    if n_rows == 0:
        raise IntakeError("There are no outcomes in it.")
    if n_rows > MOST_ROWS:
        raise TooManyOutcomes(f"{n_rows} outcomes are more than {MOST_ROWS}; send several batches.")


def require_fields(names: Iterable[Any]) -> None:
    """Refuse names of columns that outcomes do not have.

    Raises
    ------
    IntakeError
        As said.
    """
    unknown = sorted(str(name) for name in set(names) - _KNOWN)
    if unknown:
        raise IntakeError(f"An outcome has no field {shown(unknown[0])!r}{nearest(unknown[0])}")


def words_of(values: list[Any]) -> list[str | None]:
    """Return texts of 1 to 256 printable characters, and None for all else."""
    try:
        joined = "".join(values)
    except TypeError:  # some are none, or no texts
        if not any(values):
            return [None] * len(values)
        return [one if is_word(one) else None for one in values]
    if joined.isprintable() and all(values) and max(map(len, values)) <= LONGEST_WORD:
        return values
    return [one if is_word(one) else None for one in values]


def units_of(values: list[Any]) -> list[str | None]:
    """Return names of units that could have been assigned, and None for all else."""
    found = words_of(values)
    if None not in found or not any(values):
        return found
    return [
        one if one is not None or not is_unit(given) else given
        for one, given in zip(found, values, strict=True)
    ]


def is_unit(value: Any) -> bool:
    """Say whether assignment would take this for a unit."""
    try:
        unit_bytes(value)
    except AssignmentError:
        return False
    return True


def is_word(value: Any) -> bool:
    """Say whether this is a text of 1 to 256 printable characters."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_WORD and value.isprintable()


def numbers_of(values: list[Any]) -> NDArray[np.float64]:
    """Return numbers as they are, and NaN for all else: a text is no number."""
    kinds = set(map(type, values))
    if kinds == {type(None)}:
        return np.full(len(values), np.nan)
    if kinds <= _NUMBERS:
        try:
            return np.array(values, dtype=np.float64)
        except OverflowError:
            pass  # an integer of hundreds of digits
    return np.array([_number_of(one) for one in values])


def _number_of(value: Any) -> float:
    if type(value) not in _NUMBERS:
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def times_of(values: list[Any]) -> NDArray[np.int64]:
    """Return moments [UTC ns], and `NO_TIME` for what is none."""
    return np.array([_time_of(one) for one in values], dtype=np.int64)


def _time_of(value: Any) -> int:
    if type(value) is int:
        return value if -(2**63) < value < 2**63 else NO_TIME
    try:
        since = datetime.fromisoformat(value) - _EPOCH
    except (TypeError, ValueError, OverflowError):  # no text, no time, or one without its zone
        return NO_TIME
    seconds = since.days * 86_400 + since.seconds
    ns = (seconds * 1_000_000 + since.microseconds) * 1_000 + _beyond_microseconds(value)
    return ns if -(2**63) < ns < 2**63 else NO_TIME


def _beyond_microseconds(text: str) -> int:
    """Return the seventh to ninth digit of a second, which `datetime` drops [ns]."""
    if len(text) <= 27:  # 2026-01-05T08:00:00.000000Z
        return 0
    digits = text.partition(".")[2]
    end = next((at for at, sign in enumerate(digits) if not sign.isdecimal()), len(digits))
    return int(digits[6 : min(end, 9)].ljust(3, "0")) if end > 6 and digits[6:end].isascii() else 0


def misplaced(given: Sequence[Any], kept: Sequence[str | None]) -> NDArray[np.bool_] | None:
    """Say where something was sent and not kept; None where that is nowhere."""
    found = [one is not None and kept[at] is None for at, one in enumerate(given)]
    return np.array(found) if any(found) else None

"""Which outcomes are taken, and why the others are not.

The first thing that is wrong with a row is its reason. What needs the database (whether a unit was
exposed, whether a key was counted with another value) is added by whoever has asked it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Final

import numpy as np
from numpy.typing import NDArray

from experiments.intake.columns import NO_TIME, Sent
from experiments.intake.terms import Terms

MOST_REFUSALS: Final = 20
LARGEST: Final = 1e60  # beyond it sums of squares are no sums any more
AHEAD_NS: Final = 300 * 1_000_000_000

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class Reason(StrEnum):
    """Why an outcome is refused."""

    NO_OBJECT = "no_object"
    UNKNOWN_FIELD = "unknown_field"
    UNKNOWN_METRIC = "unknown_metric"
    BAD_TIME = "bad_time"
    NOT_FINITE = "not_finite"
    NOT_BINARY = "not_binary"
    MISSING_X = "missing_x"
    BAD_UNIT = "bad_unit"
    UNKNOWN_ARM = "unknown_arm"
    BAD_KEY = "bad_key"
    IN_FUTURE = "in_future"
    BEFORE_START = "before_start"
    NOT_EXPOSED = "not_exposed"
    BEFORE_EXPOSURE = "before_exposure"
    CONFLICTING = "conflicting"


REASONS: Final = tuple(Reason)
DETAILS: Final = {
    Reason.NO_OBJECT: "An outcome is an object, with metric, value and at.",
    Reason.UNKNOWN_FIELD: "An outcome has no such field.",
    Reason.UNKNOWN_METRIC: "The plan has no such metric; it has {metrics}.",
    Reason.BAD_TIME: "at is ISO 8601 with its zone, or an integer of UTC nanoseconds.",
    Reason.NOT_FINITE: "value, and x where it is sent, are finite numbers, at most 1e60 in size.",
    Reason.NOT_BINARY: "The metric is a proportion: its outcomes are 0 or 1.",
    Reason.MISSING_X: "The metric needs x, its covariate or denominator, beside each value.",
    Reason.BAD_UNIT: "An assigned experiment's outcomes are of a unit, of 1 to 256 printable "
    "characters.",
    Reason.UNKNOWN_ARM: "A shadow experiment's outcomes are of an arm; it has {arms}.",
    Reason.BAD_KEY: "A key is a text of 1 to 256 printable characters.",
    Reason.IN_FUTURE: "It lies more than five minutes ahead of this server's clock.",
    Reason.BEFORE_START: "It happened before the experiment started.",
    Reason.NOT_EXPOSED: "The unit has met no arm of this experiment.",
    Reason.BEFORE_EXPOSURE: "It happened before the unit met its arm.",
    Reason.CONFLICTING: "Its key was counted before with another value; the first stays.",
}


@dataclass(slots=True)
class Judged:
    """Rows with what they refer to, and what is wrong with them.

    Attributes
    ----------
    code : int8 array, shape (n_rows,)
        0 where nothing is wrong so far, else one more than the position in `REASONS`.
    metric, arm : int64 arrays
        Positions in the plan; -1 where unknown. Arms of units are filled in by exposure.
    details : dict of int to str
        What is said of a row beyond its reason.
    """

    code: NDArray[np.int8]
    metric: IntArray
    arm: IntArray
    details: Mapping[int, str] = field(default_factory=dict)

    def refuse(self, where: BoolArray, reason: Reason) -> None:
        """Refuse rows with which nothing was wrong before."""
        self.code[where & (self.code == 0)] = REASONS.index(reason) + 1

    @property
    def good(self) -> IntArray:
        """Rows that are not refused, ascending."""
        return np.flatnonzero(self.code == 0)

    def counts(self) -> dict[str, int]:
        """Return how many rows are refused, by reason."""
        n_by_code = np.bincount(self.code, minlength=len(REASONS) + 1)[1:]
        return {str(reason): int(n) for reason, n in zip(REASONS, n_by_code, strict=True) if n > 0}


def judge(sent: Sent, terms: Terms, *, started_ns: int, now_ns: int) -> Judged:
    """Refuse what is wrong by itself, whatever the database says.

    Parameters
    ----------
    started_ns : int
        When the experiment started: what is older was chosen after the fact [UTC ns].
    now_ns : int
        [UTC ns]
    """
    metric = _positions(sent.metric, [one.name for one in terms.metrics])
    arm = np.full(sent.n_rows, -1, dtype=np.int64)
    judged = Judged(np.zeros(sent.n_rows, dtype=np.int8), metric, arm, sent.unknown)
    if sent.no_objects is not None:
        judged.refuse(sent.no_objects, Reason.NO_OBJECT)
    if sent.unknown:
        judged.refuse(np.isin(np.arange(sent.n_rows), list(sent.unknown)), Reason.UNKNOWN_FIELD)
    judged.refuse(metric < 0, Reason.UNKNOWN_METRIC)
    judged.refuse(sent.at == NO_TIME, Reason.BAD_TIME)
    _judge_numbers(judged, sent, terms)
    if terms.is_assigned:
        judged.refuse(np.array([unit is None for unit in sent.unit]), Reason.BAD_UNIT)
    else:
        judged.arm = _positions(sent.arm, terms.arms)
        judged.refuse(judged.arm < 0, Reason.UNKNOWN_ARM)
    if sent.bad_keys is not None:
        judged.refuse(sent.bad_keys, Reason.BAD_KEY)
    judged.refuse(sent.at > now_ns + AHEAD_NS, Reason.IN_FUTURE)
    judged.refuse(sent.at < started_ns, Reason.BEFORE_START)
    return judged


def _judge_numbers(judged: Judged, sent: Sent, terms: Terms) -> None:
    is_x = ~np.isnan(sent.x)
    is_number = np.abs(sent.value) <= LARGEST
    judged.refuse(~is_number | (is_x & (np.abs(sent.x) > LARGEST)), Reason.NOT_FINITE)
    if binary := [at for at, one in enumerate(terms.metrics) if one.is_binary]:
        is_either = (sent.value == 0.0) | (sent.value == 1.0)
        judged.refuse(np.isin(judged.metric, binary) & ~is_either, Reason.NOT_BINARY)
    if needy := [at for at, one in enumerate(terms.metrics) if one.needs_x]:
        judged.refuse(np.isin(judged.metric, needy) & ~is_x, Reason.MISSING_X)


def _positions(words: Sequence[str | None], names: Sequence[str]) -> IntArray:
    place: dict[str | None, int] = {name: at for at, name in enumerate(names)}
    return np.array([place.get(word, -1) for word in words], dtype=np.int64)


def keys_of(sent: Sent, terms: Terms, rows: IntArray) -> list[str]:
    """Return what identifies each of these rows: 32 hexadecimal digits.

    The first half of the SHA-256 of ``unit|metric|key``, with the arm where there are no units:
    one order may be the key of several metrics. Without a key of its own an outcome is known by
    its time, in UTC ns.
    """
    whose = sent.unit if terms.is_assigned else sent.arm
    at = sent.at.tolist()
    texts = [f"{whose[row]}|{sent.metric[row]}|{sent.key[row] or at[row]}" for row in rows.tolist()]
    return [sha256(text.encode()).hexdigest()[:32] for text in texts]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One row that was not taken."""

    row: int
    reason: str
    detail: str


def refusals(judged: Judged, terms: Terms) -> list[Refusal]:
    """Return the first rows that were not taken, each with its reason in words."""
    names = {
        "metrics": ", ".join(metric.name for metric in terms.metrics),
        "arms": ", ".join(terms.arms),
    }
    rows = np.flatnonzero(judged.code)[:MOST_REFUSALS].tolist()
    reasons = [REASONS[judged.code[row] - 1] for row in rows]
    return [
        Refusal(row, str(reason), judged.details.get(row) or DETAILS[reason].format(**names))
        for row, reason in zip(rows, reasons, strict=True)
    ]

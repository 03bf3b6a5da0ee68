"""Outcomes of a batch: checked, joined to exposures, counted once, added up. One transaction.

No row of the experiment is locked. Two batches that bring the same keys wait for each other at the
keys, which are inserted in their order; the sums come after, in their order too, and those of units
last, so that nobody waits in a circle. The statements are written by hand: a batch of a thousand
takes milliseconds.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

import numpy as np
from django.contrib.auth.models import User
from django.db import connection, transaction
from numpy.typing import NDArray

from crowetrade_site.core import roles
from experiments.intake import Judged, Reason, Refusal, Sent, judge, refusals
from experiments.intake.judging import keys_of
from experiments.intake.sums import Bins, Sums, Taken, bins_of, periods_of, sums_of
from experiments.selectors.configuration import Configuration, configuration_of_live, ns_of
from experiments.services import unit_sums, writing

BEHIND_US: Final = 5_000_000  # a client's clock may be: else the quickest outcomes would be lost
_NULL: Final = "\\N"  # as COPY reads it
ACCEPTED, DUPLICATE, LATE, OVERRIDDEN = "accepted", "duplicate", "late", "overridden"

# One look at the index for each unit, whatever the planner believes of a table that grows.
_EXPOSED = """
SELECT asked.unit, met.arm_id, met.allocation, met.is_override, met.us
FROM unnest(%s::text[]) AS asked(unit), LATERAL (
    SELECT arm_id, allocation, is_override, (extract(epoch FROM at) * 1000000)::bigint AS us
    FROM experiments_exposure WHERE experiment_id = %s AND unit = asked.unit LIMIT 1
) AS met
"""
_KEYS = """
INSERT INTO experiments_outcomekey (experiment_id, key, value)
SELECT %s, * FROM unnest(%s::uuid[], %s::float8[])
ON CONFLICT DO NOTHING RETURNING encode(uuid_send(key), 'hex')
"""
_VALUES = """
SELECT encode(uuid_send(key), 'hex'), value FROM experiments_outcomekey
WHERE experiment_id = %s AND key = ANY(%s::uuid[])
"""
_RAW = """
COPY experiments_outcome
(experiment_id, key, at, metric_id, arm_id, allocation, unit, value, x, received_at) FROM STDIN
"""
_NEWEST = """
SELECT max(newest) FROM unnest(%s::bigint[]) AS asked(metric), LATERAL (
    SELECT max(period) AS newest FROM experiments_periodstatistic WHERE metric_id = asked.metric
) AS found
"""
_SUMS = """
INSERT INTO experiments_periodstatistic AS kept
(experiment_id, metric_id, period, allocation, arm_id, shard, n, total, squares, x_total, x_squares,
 x_product, changed_at)
SELECT %s, metric, period, allocation, arm, %s, n, total, squares, x, xx, xy, %s
FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::bigint[], %s::bigint[], %s::float8[],
            %s::float8[], %s::float8[], %s::float8[], %s::float8[])
AS given(metric, period, allocation, arm, n, total, squares, x, xx, xy)
ON CONFLICT (metric_id, period, allocation, arm_id, shard) DO UPDATE SET
n = kept.n + EXCLUDED.n, total = kept.total + EXCLUDED.total,
squares = kept.squares + EXCLUDED.squares, x_total = kept.x_total + EXCLUDED.x_total,
x_squares = kept.x_squares + EXCLUDED.x_squares, x_product = kept.x_product + EXCLUDED.x_product,
changed_at = EXCLUDED.changed_at
"""
_BINS = """
INSERT INTO experiments_sketchbin AS kept (metric_id, arm_id, bin, shard, n)
SELECT metric, arm, bin, %s, n
FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::bigint[]) AS given(metric, arm, bin, n)
ON CONFLICT (metric_id, arm_id, bin, shard) DO UPDATE SET n = kept.n + EXCLUDED.n
"""
_TALLIES = """
INSERT INTO experiments_tally AS kept (experiment_id, reason, shard, n)
SELECT %s, reason, %s, n FROM unnest(%s::text[], %s::bigint[]) AS given(reason, n)
ON CONFLICT (experiment_id, reason, shard) DO UPDATE SET n = kept.n + EXCLUDED.n
"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a batch.

    Attributes
    ----------
    late : int
        Of those accepted: their period could have been analyzed before they came.
    refusals : list
        The first of them, with the reason in words.
    """

    accepted: int
    duplicate: int
    late: int
    refused: dict[str, int] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)


@transaction.atomic(durable=True)
def record_outcomes(*, experiment_id: UUID, sent: Sent, actor: User, at: datetime) -> Receipt:
    """Take a batch of outcomes, each at most once, however often it is sent.

    A row that is wrong is refused and counted, with its reason; the others are taken.

    Raises
    ------
    NotFound, Forbidden
        There is no such experiment (404), or the actor may not feed experiments (403).
    NotRunning
        It has not started, or is over (409).
    """
    roles.require(actor, "experiments:feed")
    setup = configuration_of_live(experiment_id)
    judged = judge(sent, setup.terms, started_ns=setup.started_ns, now_ns=ns_of(at))
    joined = _joined(setup, sent, judged)
    rows, keys = joined.rows, keys_of(sent, setup.terms, joined.rows)
    fresh, n_duplicate = _count_once(setup, sent, judged, rows, keys)
    tallies = {DUPLICATE: n_duplicate}
    if fresh.size:
        taken = joined.taken.at_rows(fresh)
        _keep_raw(setup, sent, taken, rows[fresh], [keys[one] for one in fresh.tolist()], at)
        counts = ~joined.is_override[fresh]
        counted = taken.at_rows(counts)
        tallies |= {
            ACCEPTED: fresh.size,
            LATE: _count_late(setup, taken, ns_of(at)),
            OVERRIDDEN: fresh.size - counted.at.size,
        }
        _add(setup, counted, at)
        if setup.terms.adds_by_unit:
            units = [sent.unit[row] or "" for row in rows[fresh][counts].tolist()]
            unit_sums.add(setup, counted, units, at)
    refused = judged.counts()
    _tally(setup, {**tallies, **refused})
    return Receipt(
        accepted=int(fresh.size), duplicate=n_duplicate, late=tallies.get(LATE, 0),
        refused=refused, refusals=refusals(judged, setup.terms),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Joined:
    """Rows that are good so far, with the arm and the allocation that they belong to."""

    rows: NDArray[np.int64]
    taken: Taken
    is_override: NDArray[np.bool_]


def _joined(setup: Configuration, sent: Sent, judged: Judged) -> _Joined:
    met = _Met.nobody(sent.n_rows)
    if setup.terms.is_assigned:
        met = _join_exposures(setup, sent, judged)
    rows = judged.good
    at = sent.at[rows]
    counted_at = met.at[rows] if setup.terms.counts_by_exposure else at
    taken = Taken(
        judged.metric[rows], judged.arm[rows], met.allocation[rows], at, counted_at,
        sent.value[rows], sent.x[rows],
    )  # fmt: skip
    return _Joined(rows, taken, met.is_override[rows])


@dataclass(frozen=True, slots=True)
class _Met:
    """What the exposures of the units say, row by row."""

    allocation: NDArray[np.int64]
    is_override: NDArray[np.bool_]
    at: NDArray[np.int64]  # [UTC ns]

    @classmethod
    def nobody(cls, n_rows: int) -> "_Met":
        zeros = np.zeros(n_rows, dtype=np.int64)
        return cls(zeros, np.zeros(n_rows, dtype=np.bool_), zeros)


def _join_exposures(setup: Configuration, sent: Sent, judged: Judged) -> _Met:
    """Give every row its unit's arm, and refuse those that have none or come before it."""
    rows = judged.good.tolist()
    units = {unit for row in rows if (unit := sent.unit[row])}
    place = {arm_id: position for position, arm_id in enumerate(setup.arm_ids.tolist())}
    exposed = {
        unit: (place[arm_id], number, override, moment)
        for unit, arm_id, number, override, moment in writing.rows(
            _EXPOSED, writing.texts(units), setup.pk
        )
    }
    found = [exposed.get(unit, _NOBODY) if unit else _NOBODY for unit in sent.unit]
    arm, number, override, moment = (np.array(column) for column in zip(*found, strict=True))
    judged.arm = arm
    judged.refuse(arm < 0, Reason.NOT_EXPOSED)
    judged.refuse(sent.at // 1_000 < moment - BEHIND_US, Reason.BEFORE_EXPOSURE)
    return _Met(number, override, moment * 1_000)


_NOBODY: Final = (-1, 0, False, 0)


def _count_once(
    setup: Configuration, sent: Sent, judged: Judged, rows: NDArray[np.int64], keys: list[str]
) -> tuple[NDArray[np.int64], int]:
    """Insert the keys; return the places (in `rows`) that are new, and how many came before.

    A key that is there with another value refuses its row, be it of this batch or an earlier one.
    """
    if not rows.size:
        return rows, 0
    distinct, first, of = np.unique(np.array(keys), return_index=True, return_inverse=True)
    ordered, values = distinct.tolist(), sent.value[rows]
    new = {
        key
        for (key,) in writing.rows(
            _KEYS, setup.pk, writing.plain(ordered), writing.numbers(values[first])
        )
    }
    is_first = np.zeros(rows.size, dtype=np.bool_)
    is_first[first] = True
    if len(new) == rows.size:
        return np.arange(rows.size), 0
    counted = values[first]
    known = [key for key in ordered if key not in new]
    if known:
        before = dict(writing.rows(_VALUES, setup.pk, writing.plain(known)))
        counted = np.array(
            [before.get(key, value) for key, value in zip(ordered, counted, strict=True)]
        )
    is_new = np.array([key in new for key in ordered])[of] & is_first
    is_other = ~is_new & (values != counted[of])
    conflicting = np.zeros(sent.n_rows, dtype=np.bool_)
    conflicting[rows[is_other]] = True
    judged.refuse(conflicting, Reason.CONFLICTING)
    return np.flatnonzero(is_new), int(np.count_nonzero(~is_new & ~is_other))


def _keep_raw(
    setup: Configuration, sent: Sent, taken: Taken, rows: NDArray[np.int64], keys: list[str],
    at: datetime,
) -> None:  # fmt: skip
    """Copy outcomes as they came into the table of their month."""
    moments = np.datetime_as_string(taken.at.view("datetime64[ns]").astype("datetime64[us]"))
    received = at.isoformat()
    units: list[str] = [""] * len(keys)
    if setup.terms.is_assigned:
        units = [(sent.unit[row] or "").replace("\\", "\\\\") for row in rows.tolist()]
    columns = zip(
        keys, moments.tolist(), setup.metric_ids[taken.metric].tolist(),
        setup.arm_ids[taken.arm].tolist(), taken.allocation.tolist(), units,
        taken.value.tolist(), taken.x.tolist(), strict=True,
    )  # fmt: skip
    lines = [
        f"{setup.pk}\t{key}\t{moment}+00\t{metric}\t{arm}\t{allocation}\t{unit}\t{value!r}\t"
        f"{_NULL if x != x else repr(x)}\t{received}\n"  # noqa: PLR0124 - NaN is not itself
        for key, moment, metric, arm, allocation, unit, value, x in columns
    ]
    with connection.cursor() as cursor, cursor.copy(_RAW) as copy:
        copy.write("".join(lines))


def _count_late(setup: Configuration, taken: Taken, now_ns: int) -> int:
    """Return how many came after their period could have been analyzed."""
    ends = periods_of(taken.counted_at, setup.terms.period_ns) + setup.terms.period_ns
    if setup.terms.counts_by_exposure:  # these are looked at by the clock
        return int(np.count_nonzero(ends + setup.terms.lateness_ns <= now_ns))
    newest = writing.rows(_NEWEST, writing.numbers(setup.metric_ids))[0][0]
    if newest is None:
        return 0
    return int(np.count_nonzero(ends + setup.terms.lateness_ns <= newest))


def _add(setup: Configuration, counted: Taken, at: datetime) -> None:
    """Add outcomes to the sums, and those of quantile metrics to the sketches."""
    if not counted.at.size:
        return
    sums: Sums = sums_of(counted, setup.terms)
    columns = [
        setup.metric_ids[sums.metric], sums.period, sums.allocation, setup.arm_ids[sums.arm],
        sums.n, sums.total, sums.squares, sums.x_total, sums.x_squares, sums.x_product,
    ]  # fmt: skip
    writing.run(_SUMS, setup.pk, writing.shard(), at, *map(writing.numbers, columns))
    bins: Bins | None = bins_of(counted, setup.terms)
    if bins is not None:
        keys = [setup.metric_ids[bins.metric], setup.arm_ids[bins.arm]]
        writing.run(_BINS, writing.shard(), *map(writing.numbers, [*keys, bins.bin, bins.n]))


def _tally(setup: Configuration, counts: dict[str, int]) -> None:
    """Add to what was taken and refused so far."""
    named = sorted(reason for reason, n in counts.items() if n)
    numbers = np.array([counts[reason] for reason in named], dtype=np.int64)
    writing.run(_TALLIES, setup.pk, writing.shard(), writing.plain(named), writing.numbers(numbers))

"""Sums over units are those of all rows together, in whatever batches they come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.intake import MetricTerms, Terms
from experiments.intake.sums import Taken
from experiments.intake.units import NEVER, Known, unit_steps_of, unit_sums_of
from experiments.statistics.clusters import UNIT_SUMS, UnitTable

TERMS = Terms(
    True, ("a", "b"),
    (MetricTerms("cut", bound=1.0), MetricTerms("x", needs_x=True),
     MetricTerms("q", is_quantile=True)),
    10, 0,
)  # fmt: skip
rows = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 5), st.integers(0, 50), st.floats(-5, 5),
        st.floats(-5, 5),
    ),
    min_size=1, max_size=40,
)  # fmt: skip


def taken(some) -> tuple[Taken, list[str]]:
    """Return outcomes; a unit's number says its arm and its allocation."""
    metric, unit, at, value, x = (np.array(column) for column in zip(*some, strict=True))
    return Taken(metric, unit % 2, unit // 2, at, at, value, x), [f"unit-{one}" for one in unit]


class Kept:
    """What a database would keep of units."""

    def __init__(self):
        self.totals = {}

    def add(self, some):
        steps = unit_steps_of(*taken(some), TERMS)
        empty = np.zeros(steps.whole.shape)
        known = Known(empty, np.full(steps.metric.size, NEVER), empty * np.nan)
        for at, key in enumerate(zip(steps.metric.tolist(), steps.unit, strict=True)):
            total, newest, cell = self.totals.get(key, (np.zeros(3), NEVER, np.zeros(3)))
            known.had[at], known.newest[at], known.cell[at] = total, newest, cell
            last = int(steps.newest[at])
            if last >= newest:
                cell = steps.cell[at] + (cell if last == newest else 0.0)
            self.totals[key] = total + steps.whole[at], max(last, newest), cell
        return unit_sums_of(steps, known)


def added(batches) -> dict:
    """Return the sums by metric, arm and allocation over all periods."""
    kept, found = Kept(), {}
    for batch in batches:
        sums = kept.add(batch)
        keys = zip(sums.metric.tolist(), sums.arm.tolist(), sums.allocation.tolist(), strict=True)
        for at, key in enumerate(keys):
            found[key] = found.get(key, 0.0) + sums.sums[at]
    return found


class TestUnitSumsOf:
    def test_match_sums_worked_by_hand(self):
        """One unit makes 2 and 3 in a period and -1 in the next: products 1, then what is added."""
        sums = Kept().add([(1, 0, 3, 2.0, 1.0), (1, 0, 4, 3.0, 1.0), (1, 0, 12, -1.0, 2.0)])

        assert sums.period.tolist() == [0, 10]
        np.testing.assert_allclose(
            sums.sums,
            [
                [1, 2, 5, 2, 4, 10, 4, 25, 10, 4, 4, 10, 4, 25, 10, 4, *[0] * 6],
                [0, 1, -1, 2, 9 - 4, 12 - 10, 12 - 4, 16 - 25, 16 - 10, 16 - 4,
                 1, -1, 2, 1, -2, 4, *[0] * 6],
            ],
        )  # fmt: skip

    def test_go_on_with_the_newest_cell_and_tell_what_comes_late_to_others(self):
        """2 and -2 in one cell make 0; to the cell before, 5 comes late."""
        kept = Kept()
        kept.add([(1, 0, 3, 1.0, 0.0), (1, 0, 12, 2.0, 0.0)])

        sums = kept.add([(1, 0, 13, -2.0, 0.0), (1, 0, 4, 5.0, 0.0)]).sums.sum(axis=0)

        cell_yy, late_yy = sums[13], sums[19]
        assert (cell_yy, late_yy) == (-4.0, 25.0)

    @given(rows, st.integers(0, 40))
    def test_have_the_squares_of_cells_however_batches_cut_them(self, some, cut):
        ordered = sorted(some, key=lambda row: row[2])
        found = added([part for part in (ordered[:cut], ordered[cut:]) if part])

        expected = {}
        for metric, unit, at, value, _ in ordered:
            if metric < 2:
                cell = metric, unit, at // 10
                counted = np.clip(value, -1.0, 1.0) if metric == 0 else value
                expected[cell] = expected.get(cell, 0.0) + counted
        for (metric, arm, allocation), sums in found.items():
            squares = sum(
                total**2 for (m, unit, _), total in expected.items()
                if (m, unit % 2, unit // 2) == (metric, arm, allocation)
            )  # fmt: skip
            assert sums[13] == pytest.approx(squares, abs=1e-9)
            assert not sums[16:].any()

    def test_count_a_late_outcome_from_the_newest_period_of_its_unit_on(self):
        kept = Kept()
        kept.add([(1, 0, 35, 1.0, 0.0)])

        late = kept.add([(1, 0, 3, 2.0, 0.0), (1, 1, 3, 2.0, 0.0)])

        assert dict(zip(late.arm.tolist(), late.period.tolist(), strict=True)) == {0: 30, 1: 0}

    @given(rows, st.integers(0, 40))
    def test_have_first_and_second_moments_of_the_same_outcomes_after_every_period(self, some, cut):
        """Of one unit the products are those of its totals, whichever of its outcomes came late."""
        mine = [(1, 0, *row[2:]) for row in some]
        kept = Kept()
        pieces = [kept.add(part) for part in (mine[:cut], mine[cut:]) if part]
        period = np.concatenate([sums.period for sums in pieces])
        order = np.argsort(period, kind="stable")

        sums = np.cumsum(np.concatenate([sums.sums for sums in pieces])[order], axis=0)

        ends = np.flatnonzero(np.diff(period[order], append=period.max() + 1))
        units, n, y, x, *products = sums[ends, :10].T
        assert (units == 1).all()
        for found, expected in zip(
            products, (n * n, n * y, n * x, y * y, y * x, x * x), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)

    @given(rows, st.integers(0, 40))
    def test_do_not_depend_on_the_batches(self, some, cut):
        whole = added([some])
        pieces = added([part for part in (some[:cut], some[cut:]) if part])

        assert pieces.keys() == whole.keys()
        for key, sums in whole.items():
            np.testing.assert_allclose(pieces[key][:10], sums[:10], rtol=1e-9, atol=1e-9)

    @given(rows)
    def test_are_those_of_the_table_of_the_same_outcomes(self, some):
        of_x = [row for row in some if row[0] == 1]
        if not of_x:
            return
        _, unit, at, value, x = (np.array(column) for column in zip(*of_x, strict=True))

        table = UnitTable.of_outcomes(
            at // 10 * 10, unit % 2, unit, value, covariate=x, allocation=unit // 2
        )

        sums = Kept().add(of_x).sums.sum(axis=0)
        expected = [getattr(table, name).sum() for name in UNIT_SUMS]
        np.testing.assert_allclose(sums, expected, rtol=1e-9, atol=1e-9)

    def test_leave_out_metrics_that_are_no_sums(self):
        assert unit_steps_of(*taken([(2, 0, 3, 2.0, 0.0)]), TERMS).owner.size == 0

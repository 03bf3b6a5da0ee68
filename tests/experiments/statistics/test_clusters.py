"""Clusters of units: agreement with statsmodels, sums that merge, and the level that they keep."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from experiments.statistics.clusters import (
    UnitTable,
    clustered_differences,
    clustered_means,
    product_steps,
)
from experiments.statistics.errors import NotComputedError, SettingsError, ShapeError
from experiments.statistics.sequential import planned_sequence
from experiments.statistics.sequential.boundaries import PlannedBoundary
from experiments.statistics.sequential.running import student_reach
from experiments.statistics.summaries import PeriodTable


def drawn(
    seed,
    *,
    n_periods=60,
    n_units=120,
    level=1.0,
    shock=0.0,
    effect=0.0,
    is_staggered=False,
    tail=None,
):
    """Return period, arm, unit and value of outcomes of units that differ, and report as they like.

    They are there from the start, or come one after the other.
    """
    rng = np.random.default_rng(seed)
    arm_of, own = rng.integers(0, 2, n_units), level * rng.standard_normal(n_units)
    rate = rng.gamma(2.0, 0.5, n_units)
    if tail is not None:
        rate = np.minimum(rng.pareto(tail, n_units), 20.0)
    enters = rng.uniform(0.0, n_periods, n_units) * is_staggered
    counts = rng.poisson(rate * (enters <= np.arange(n_periods)[:, np.newaxis]))
    period, unit = (
        np.repeat(index, counts.ravel()) for index in map(np.ravel, np.indices(counts.shape))
    )
    shocks = shock * rng.standard_normal(n_periods)
    values = own[unit] + rng.standard_normal(unit.size) + shocks[period] + effect * arm_of[unit]
    return period, arm_of[unit], unit, values


def tables(period, arm, unit, values, **more):
    return (
        PeriodTable.of_outcomes(period, arm, values, **more),
        UnitTable.of_outcomes(period, arm, unit, values, **more),
    )


def robust(values, regressors, groups):
    model = sm.OLS(values, np.column_stack([np.ones(values.size), *regressors]))
    settings = {"groups": groups, "use_correction": False}
    return model.fit(cov_type="cluster", cov_kwds=settings)


class TestClusteredDifferences:
    def test_agrees_with_statsmodels_clustered_by_unit(self):
        period, arm, unit, values = drawn(1, n_units=2000, n_periods=12, level=2.0)

        found = clustered_differences(*tables(period, arm, unit, values), 1, [12])

        peer = robust(values, [arm], unit)
        assert found.difference[0] == pytest.approx(peer.params[1], rel=1e-9)
        assert found.error[0] == pytest.approx(peer.bse[1], rel=1e-2)

    def test_agrees_with_statsmodels_clustered_by_unit_and_period(self):
        period, arm, unit, values = drawn(2, n_periods=400, n_units=300, level=0.1)
        values = values + 2.0 * np.random.default_rng(5).standard_normal(400)[period] * arm

        found = clustered_differences(*tables(period, arm, unit, values), 1, [400])

        peer = robust(values, [arm], np.column_stack([unit, period]))
        assert found.difference[0] == pytest.approx(peer.params[1], rel=1e-9)
        assert found.error[0] == pytest.approx(peer.bse[1], rel=1e-2)

    def test_agrees_with_the_delta_method_for_a_ratio(self):
        period, arm, unit, values = drawn(3, n_units=500, n_periods=10)
        x = np.random.default_rng(4).uniform(1.0, 3.0, values.size)

        found = clustered_differences(
            *tables(period, arm, unit, values, covariate=x), 1, [10], is_ratio=True
        )

        ratios, variance = [], 0.0
        for one in (1, 0):
            totals = np.stack(
                [np.bincount(unit[arm == one], w[arm == one], 500) for w in (values, x)]
            )
            totals = totals[:, totals[1] > 0.0]
            ratios.append(totals[0].sum() / totals[1].sum())
            parts = (totals[0] - ratios[-1] * totals[1]) / totals[1].mean()
            few = totals[1].sum() ** 2 / np.sum(totals[1] ** 2)
            variance += np.mean(parts**2) / parts.size * few / (few - 1.0)
        assert found.difference[0] == pytest.approx(ratios[0] - ratios[1], rel=1e-9)
        assert found.error[0] == pytest.approx(np.sqrt(variance), rel=1e-9)

    def test_takes_off_what_a_covariate_explains(self):
        period, arm, unit, values = drawn(6, n_units=400, n_periods=20, level=0.0)
        x = np.random.default_rng(7).standard_normal(400)[unit]
        both = tables(period, arm, unit, values + 2.0 * x, covariate=x)

        plain = clustered_differences(*both, 1, [20])
        adjusted = clustered_differences(*both, 1, [20], is_adjusted=True)

        bare = clustered_differences(*tables(period, arm, unit, values), 1, [20])
        assert adjusted.error[0] < 0.5 * plain.error[0]
        assert adjusted.error[0] == pytest.approx(bare.error[0], rel=0.03)
        assert adjusted.difference[0] == pytest.approx(bare.difference[0], abs=bare.error[0] / 3)

    def test_compares_within_allocations(self):
        """Shares moved from half to nine tenths while units of the second time earned more."""
        rng = np.random.default_rng(8)
        allocation = np.repeat([0, 1], 400)
        arm_of = (rng.random(800) < np.where(allocation, 0.9, 0.5)).astype(int)
        unit = np.repeat(np.arange(800), 5)
        values = 10.0 * allocation[unit] + rng.standard_normal(unit.size)
        period = np.tile(np.arange(5), 800)
        given = tables(period, arm_of[unit], unit, values, allocation=allocation[unit])

        found = clustered_differences(*given, 1, [5])

        assert abs(found.difference[0]) < 4.0 * found.error[0] < 0.5

    def test_a_look_back_is_what_it_was(self):
        rows = np.array(drawn(9))
        early = rows[:, rows[0] < 30]

        whole = clustered_differences(*tables(*rows[:3].astype(int), rows[3]), 1, [20, 30, 60])
        then = clustered_differences(*tables(*early[:3].astype(int), early[3]), 1, [20, 30, 60])

        assert then.periods.tolist() == [20, 30]
        for name in ("difference", "error", "freedom"):
            np.testing.assert_allclose(getattr(whole, name)[:2], getattr(then, name), rtol=1e-9)

    def test_is_no_smaller_for_outcomes_that_are_sent_twice(self):
        period, arm, unit, values = drawn(10)
        twice = [np.tile(column, 2) for column in (period, arm, unit, values)]

        once = clustered_differences(*tables(period, arm, unit, values), 1, [60])
        again = clustered_differences(*tables(*twice), 1, [60])

        assert again.error[0] == pytest.approx(once.error[0], rel=0.02)

    def test_agrees_with_statsmodels_where_outcomes_of_a_period_offset_each_other(self):
        """Two legs a unit and period cancel in its sums: single outcomes vary 30 times as much."""
        rng = np.random.default_rng(15)
        period, unit, leg = (index.ravel() for index in np.indices((400, 300, 2)))
        arm = unit % 2
        shock = 0.1 * rng.standard_normal((400, 1)) * np.where(np.arange(300) % 2, 1.0, -1.0)
        net = 0.1 * rng.standard_normal(300) + shock + rng.standard_normal((400, 300))
        values = net[period, unit] + 30.0 * (2 * leg - 1)

        found = clustered_differences(*tables(period, arm, unit, values), 1, [400])

        peer = robust(values, [arm], np.column_stack([unit, period]))
        assert found.error[0] == pytest.approx(peer.bse[1], rel=1e-2)
        bare = clustered_differences(*tables(period, arm, unit, net[period, unit]), 1, [400])
        assert found.error[0] == pytest.approx(bare.error[0], rel=1e-6)

    def test_is_no_smaller_where_some_came_late(self):
        """The second leg of every tenth cell comes after newer outcomes of its unit."""
        rng = np.random.default_rng(17)
        period, unit, leg = (index.ravel() for index in np.indices((60, 120, 2)))
        values = rng.standard_normal(period.size) + 3.0 * (2 * leg - 1)
        is_late = (leg == 1) & (rng.random(period.size) < 0.1) & (period < 59)
        given = (period, unit % 2, unit, values)

        errors = [
            clustered_differences(
                PeriodTable.of_outcomes(period, unit % 2, values), by_unit, 1, [60]
            ).error[0]
            for by_unit in (
                UnitTable.of_outcomes(*given),
                UnitTable.of_outcomes(*given, counts_from=period + is_late),
            )
        ]

        assert errors[0] < errors[1] < 1.4 * errors[0]

    def test_is_of_the_outcomes_that_count_by_unit(self):
        """A quarter of the units sent the newest day first: their history counts from that on."""
        period, arm, unit, values = drawn(16, n_units=160)
        is_late = unit % 4 == 0
        counts_from = np.where(is_late, 59, period)
        by_unit = UnitTable.of_outcomes(period, arm, unit, values, counts_from=counts_from)
        table = PeriodTable.of_outcomes(period, arm, values)

        found = clustered_differences(table, by_unit, 1, [15, 30, 60])

        kept = [column[~is_late] for column in (period, arm, unit, values)]
        without = clustered_differences(*tables(*kept), 1, [15, 30])
        whole = clustered_differences(*tables(period, arm, unit, values), 1, [60])
        np.testing.assert_allclose(found.difference[:2], without.difference, rtol=1e-9)
        np.testing.assert_allclose(found.error[:2], without.error, rtol=0.1)
        np.testing.assert_allclose(found.difference[2], whole.difference[0], rtol=1e-9)
        assert whole.error[0] <= found.error[2] < 1.1 * whole.error[0]
        assert (found.units[0] < found.units[2]).all()

    def test_has_no_error_of_few_units(self):
        period, arm, unit, values = drawn(11, n_units=12)

        found = clustered_differences(*tables(period, arm, unit, values), 1, [30])

        assert np.isfinite(found.difference[0])
        assert np.isnan(found.error[0])

    def test_has_no_error_where_one_unit_has_nearly_all_outcomes(self):
        period, arm, unit, values = drawn(11)
        of_one = np.repeat(np.flatnonzero(unit == unit[arm == 1][0]), 5_000)
        more = [np.concatenate([column, column[of_one]]) for column in (period, arm, unit, values)]

        found = clustered_differences(*tables(*more), 1, [30])

        assert found.effective[0, 0] < 2.0 < found.effective[0, 1]
        assert np.isnan(found.error[0])

    def test_refuses_what_it_cannot_compare(self):
        period, arm, unit, values = drawn(12)
        given = tables(period, np.zeros_like(arm), unit, values)

        with pytest.raises(NotComputedError, match="one of the two arms has no outcomes"):
            clustered_differences(*given, 1, [10])
        with pytest.raises(SettingsError, match="takes the covariate's place"):
            clustered_differences(*given, 1, [10], is_ratio=True, is_adjusted=True)


class TestClusteredMeans:
    def test_agree_with_statsmodels(self):
        period, arm, unit, values = drawn(13, n_units=1000)

        means, errors = clustered_means(UnitTable.of_outcomes(period, arm, unit, values), 2)

        for one in (0, 1):
            peer = robust(values[arm == one], [], unit[arm == one])
            assert means[one] == pytest.approx(peer.params[0], rel=1e-9)
            assert errors[one] == pytest.approx(peer.bse[0], rel=2e-3)

    def test_of_an_arm_without_outcomes_are_none(self):
        period, arm, unit, values = drawn(14)

        means, errors = clustered_means(UnitTable.of_outcomes(period, arm, unit, values), 3)

        assert np.isnan([means[2], errors[2]]).all()


class TestProductSteps:
    @given(st.lists(st.tuples(st.integers(0, 3), st.floats(-9, 9), st.floats(-9, 9)), min_size=1))
    def test_sum_to_the_products_of_totals(self, rows):
        rows = sorted(rows, key=lambda row: row[0])
        unit = np.array([row[0] for row in rows])
        steps = np.array([[1.0, row[1], row[2]] for row in rows])

        found = product_steps(unit, steps).sum(axis=0)

        totals = np.stack([np.bincount(unit, column) for column in steps.T])
        n, y, x = totals
        np.testing.assert_allclose(
            found, [n @ n, n @ y, n @ x, y @ y, y @ x, x @ x], rtol=1e-9, atol=1e-9
        )

    def test_go_on_from_what_was_there_before(self):
        steps = np.array([[1.0, 2.0, 0.0], [1.0, 3.0, 0.0]])

        whole = product_steps(np.array([7, 7]), steps)
        second = product_steps(np.array([7]), steps[1:], before=steps[:1])

        np.testing.assert_allclose(second, whole[1:])

    @given(
        st.lists(
            st.tuples(st.integers(0, 3), st.integers(-6, 12), st.floats(-9, 9), st.floats(-9, 9)),
            min_size=1, max_size=60,
        )
    )  # fmt: skip
    def test_of_one_unit_do_not_depend_on_how_large_another_is(self, rows):
        """Units of 1e-6 beside units of 1e12, as a return beside a volume."""
        scale = 10.0 ** np.array([-6, 0, 6, 12])
        unit = np.sort([row[0] for row in rows])
        steps = np.array([[1.0, row[2], row[3] * 10.0 ** row[1]] for row in rows])
        steps[:, 1] *= scale[unit]

        found = product_steps(unit, steps)

        for one in np.unique(unit):
            alone = product_steps(unit[unit == one], steps[unit == one])
            np.testing.assert_array_equal(found[unit == one], alone)
            y = steps[unit == one, 1]
            least = 1e-12 * np.abs(y).sum() ** 2
            assert found[unit == one, 3].sum() == pytest.approx(y.sum() ** 2, abs=least)

    def test_of_no_steps_are_none(self):
        assert product_steps(np.array([], dtype=np.int64), np.zeros((0, 3))).shape == (0, 6)


cells = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 2), st.floats(-9, 9), st.floats(-9, 9), st.booleans()
    ),
    min_size=1, max_size=20, unique_by=lambda row: row[:2],
)  # fmt: skip


class TestUnitTable:
    @given(cells)
    def test_bounds_the_squares_of_cells(self, rows):
        """Each cell has one outcome in time, and may get one that comes late."""
        unit, period, first, second, is_late = (np.array(one) for one in zip(*rows, strict=True))
        both = [np.concatenate(pair) for pair in ((unit, unit), (period, period), (first, second))]
        counts_from = np.concatenate([period, np.where(is_late, 9, period)])

        table = UnitTable.of_outcomes(
            both[1], both[0] * 0, both[0], both[2], counts_from=counts_from
        )

        in_order, late = table.cell_yy.sum(), table.late_yy.sum()
        exact = np.sum((first + second) ** 2)
        least = max(np.sqrt(max(in_order, 0.0)) - np.sqrt(late), 0.0) ** 2
        assert least <= exact + 1e-6
        if not is_late.any():
            assert in_order == pytest.approx(exact, abs=1e-6)
            assert late == 0.0

    def test_refuses_columns_that_do_not_fit(self):
        with pytest.raises(ShapeError, match="25 columns"):
            UnitTable.of([1], [0], [0])
        with pytest.raises(ShapeError, match="one length"):
            UnitTable.of([1, 2], *[[0]] * 2, *[[0.0]] * 22)

    def test_ends_with_the_periods_that_have_ended(self):
        table = UnitTable.of_outcomes([0, 10, 20], [0, 0, 0], [1, 1, 2], [1.0, 2.0, 3.0])

        assert table.ended(20, 10).nn.tolist() == [1.0, 3.0]


@pytest.mark.slow
class TestLevel:
    """A/A: how often a difference is ever found where there is none; nominal 5 %."""

    LOOKS = np.arange(15, 61)
    N_RUNS = 400

    def found(self, seed, **kind):
        return self.leaves(clustered_differences(*tables(*drawn(seed, **kind)), 1, self.LOOKS))

    def leaves(self, found):
        reach = PlannedBoundary(0.95, 60, 15).reach(found.periods)
        return bool(
            np.any(np.abs(found.difference) > student_reach(reach, found.freedom) * found.error)
        )

    @pytest.mark.parametrize(
        "kind",
        [
            {"level": 0.0}, {"level": 1.0}, {"level": 3.0}, {"level": 1.0, "shock": 2.0},
            {"level": 1.0, "is_staggered": True}, {"level": 1.0, "tail": 1.5},
        ],
    )  # fmt: skip
    def test_is_kept_whenever_one_looks(self, kind):
        n_found = sum(self.found(seed, **kind) for seed in range(self.N_RUNS))

        assert n_found / self.N_RUNS <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / self.N_RUNS)

    def test_is_kept_where_most_units_send_their_history_last(self):
        n_found = 0
        for seed in range(self.N_RUNS):
            period, arm, unit, values = drawn(seed, level=1.0)
            counts_from = np.where(unit % 10 < 8, 59, period)
            by_unit = UnitTable.of_outcomes(period, arm, unit, values, counts_from=counts_from)
            table = PeriodTable.of_outcomes(period, arm, values)
            n_found += self.leaves(clustered_differences(table, by_unit, 1, self.LOOKS))

        assert n_found / self.N_RUNS <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / self.N_RUNS)

    def test_is_lost_by_differences_of_periods(self):
        n_found = 0
        for seed in range(60):
            period, arm, _, values = drawn(seed, level=1.0)
            mean = [
                np.bincount(period[arm == one], values[arm == one], 60)
                / np.bincount(period[arm == one], minlength=60)
                for one in (0, 1)
            ]
            looks = planned_sequence(mean[1] - mean[0], horizon=60, batch=1, start=15)
            n_found += looks.excludes(0.0) is not None

        assert n_found > 30

    def test_leaves_power(self):
        n_found = sum(self.found(seed, level=0.3, effect=0.5) for seed in range(100))

        assert n_found >= 90

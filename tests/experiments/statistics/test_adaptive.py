import numpy as np
import pytest
from scipy.special import ndtr

from experiments.statistics.adaptive import (
    aipw_difference,
    aipw_difference_by_period,
    aipw_mean,
    batched_difference,
)
from experiments.statistics.errors import NotComputedError, SampleError, SettingsError, ShapeError
from experiments.statistics.frequentist import welch
from experiments.statistics.policies import policy_value
from experiments.statistics.summaries import PeriodTable


def thompson(seed, n_batches=50, size=20, floor=0.1, shock=0.0, lift=0.0, prior=1.0):
    """Return period, arm, probabilities and rewards of two arms, reallocated after each batch."""
    rng = np.random.default_rng(seed)
    n, total = np.zeros(2), np.zeros(2)
    batches = []
    for at in range(n_batches):
        mean, variance = total / (n + prior), 1.0 / (n + prior)
        chance = ndtr((mean[1] - mean[0]) / np.sqrt(variance.sum()))
        p = floor + (1 - 2 * floor) * chance
        arm = (rng.random(size) < p).astype(np.int64)
        y = rng.normal(size=size) + lift * arm + shock * rng.normal()
        n += np.bincount(arm, minlength=2)
        total += np.bincount(arm, weights=y, minlength=2)
        batches.append((np.full(size, at), arm, np.tile([1 - p, p], (size, 1)), y))
    return tuple(np.concatenate(column) for column in zip(*batches, strict=True))


def table_of(period, arm, e, y):
    table = PeriodTable.of_outcomes(period, arm, y, allocation=period)
    return table, {int(at): e[np.argmax(period == at)] for at in np.unique(period)}


class TestAipwDifference:
    def test_matches_the_scores_worked_one_by_one(self):
        _, arm, e, y = thompson(0)
        sums, n = np.zeros(2), np.zeros(2)
        scores = np.zeros((y.size, 2))
        for t in range(y.size):
            for k in range(2):
                guess = sums[k] / n[k] if n[k] else y[: max(t, 1)].mean()
                scores[t, k] = guess + (arm[t] == k) * (y[t] - guess) / e[t, k]
            sums[arm[t]] += y[t]
            n[arm[t]] += 1
        h = np.sqrt(e[1:, 0] * e[1:, 1])  # sqrt(p (1 - p))
        d = scores[1:, 1] - scores[1:, 0]
        point = h @ d / h.sum()

        found = aipw_difference(arm, e, y, arm=1)

        assert found.difference == pytest.approx(point)
        assert found.standard_error == pytest.approx(
            np.sqrt(np.sum(h**2 * (d - point) ** 2)) / h.sum()
        )

    def test_is_near_welch_under_a_fixed_allocation(self):
        rng = np.random.default_rng(1)
        arm, y = rng.integers(0, 2, 4_000), rng.normal(size=4_000)

        found = aipw_difference(arm, np.full((4_000, 2), 0.5), y, arm=1)

        expected = welch(y[arm == 0], y[arm == 1])
        assert found.difference == pytest.approx(expected.difference, abs=0.005)
        assert found.standard_error == pytest.approx(expected.standard_error, rel=0.03)

    @pytest.mark.slow
    def test_keeps_its_level_on_bandit_data_where_welch_does_not(self):
        aipw, plain, by_period, batched = [], [], [], []
        for seed in range(1_500):
            _, arm, _, y = thompson(seed, prior=0.01, floor=0.01)
            plain.append(welch(y[arm == 0], y[arm == 1]).p_value)
            period, arm, e, y = thompson(seed, prior=0.01)
            aipw.append(aipw_difference(arm, e, y, arm=1).p_value)
            table, shares = table_of(period, arm, e, y)
            by_period.append(aipw_difference_by_period(table, shares, arm=1).p_value)
            batched.append(batched_difference(table, shares, arm=1).p_value)

        for p_values in (aipw, by_period, batched):
            assert 0.035 <= np.mean(np.array(p_values) <= 0.05) <= 0.068
        assert np.mean(np.array(plain) <= 0.05) > 0.08

    def test_warns_of_tiny_probabilities(self):
        _, arm, e, y = thompson(2, floor=0.01, lift=1.0)

        assert "floor" in aipw_difference(arm, e, y, arm=1).warnings[0]

    @pytest.mark.parametrize(
        ("change", "error"),
        [
            (lambda a, e, y: (a[:-1], e, y), ShapeError),
            (lambda a, e, y: (a, e, np.append(y[:-1], np.nan)), SampleError),
            (lambda a, e, y: (a + 1, e, y), SampleError),
            (lambda a, e, y: (a, e * 1.1, y), SettingsError),
            (lambda a, e, y: (a, np.tile([1.0, 0.0], (y.size, 1)), y), SampleError),
            (lambda a, e, y: (a * 0, e, y), NotComputedError),
            (lambda a, e, y: (a * 0, np.tile([1.0, 0.0], (y.size, 1)), y), NotComputedError),
            (lambda a, e, y: (a[:20], e[:20], y[:20]), NotComputedError),
            (lambda a, e, y: (a, e, y * 0.0), NotComputedError),
        ],
    )
    def test_refuses_what_determines_nothing(self, change, error):
        _, arm, e, y = thompson(3)
        with pytest.raises(error):
            aipw_difference(*change(arm, e, y), arm=1)

    def test_refuses_an_arm_that_there_is_not(self):
        _, arm, e, y = thompson(3)
        with pytest.raises(SettingsError):
            aipw_difference(arm, e, y, arm=2)

    def test_is_the_same_wherever_outcomes_are(self):
        """Guesses of 0 for what nobody had met yet made the error a dozen times as large at 100."""
        _, arm, e, y = thompson(6, floor=0.02)

        one, other = (aipw_difference(arm, e, y + shift, arm=1) for shift in (0.0, 100.0))

        assert other.difference == pytest.approx(one.difference, abs=1e-9)
        assert other.standard_error == pytest.approx(one.standard_error)


class TestAipwMean:
    def test_moves_with_the_outcomes(self):
        _, arm, e, y = thompson(6)

        one, other = (aipw_mean(arm, e, y + shift, arm=0) for shift in (0.0, 100.0))

        assert other.difference == pytest.approx(one.difference + 100.0)
        assert other.standard_error == pytest.approx(one.standard_error)

    def test_is_half_as_biased_as_the_plain_mean(self):
        plain, repaired = [], []
        for seed in range(400):
            _, arm, e, y = thompson(seed, prior=0.01, floor=0.02)
            plain.append(y[arm == 0].mean())
            repaired.append(aipw_mean(arm, e, y, arm=0).difference)

        assert np.mean(plain) < -0.015
        assert abs(np.mean(repaired)) < 0.6 * abs(np.mean(plain))


class TestAipwDifferenceByPeriod:
    @pytest.mark.parametrize("method", [aipw_difference_by_period, batched_difference])
    def test_is_the_same_wherever_outcomes_are(self, method):
        """Also where an arm comes so seldom that its first outcomes are late."""
        period, arm, e, y = thompson(6, lift=0.5, floor=0.02)
        arm[period < 5] = 0

        one, other = (method(*table_of(period, arm, e, y + shift), arm=1) for shift in (0.0, 100.0))

        assert other.difference == pytest.approx(one.difference, abs=1e-9)
        assert other.standard_error == pytest.approx(one.standard_error)

    def test_adds_up_the_scores_with_guesses_from_the_periods_before(self):
        period, arm, e, y = thompson(4)
        totals = np.zeros((50, 2))
        for p in range(50):
            now = period == p
            for k in range(2):
                seen = (period < p) & (arm == k)
                guess = y[seen].mean() if seen.any() else y[period < max(p, 1)].mean()
                met = (arm[now] == k) / e[now, k]
                totals[p, k] = np.sum(guess + met * (y[now] - guess))
        first = e[20::20]
        h = np.sqrt(first[:, 0] * first[:, 1])
        d = totals[1:, 1] - totals[1:, 0]
        point = h @ d / (20 * h.sum())

        found = aipw_difference_by_period(*table_of(period, arm, e, y), arm=1)

        assert found.difference == pytest.approx(point)
        off = h * (d - 20 * point)
        assert found.standard_error == pytest.approx(np.sqrt(49 / 48 * off @ off) / (20 * h.sum()))

    @pytest.mark.parametrize("method", [aipw_difference_by_period, batched_difference])
    def test_covers_a_true_effect(self, method):
        data = thompson(5, n_batches=300, lift=0.5, floor=0.2)

        found = method(*table_of(*data), arm=1)

        assert found.lower < 0.5 < found.upper
        assert found.upper - found.lower < 0.4

    def test_refuses_what_determines_nothing(self):
        table, shares = table_of(*thompson(6))
        with pytest.raises(SettingsError, match="no probabilities"):
            aipw_difference_by_period(table, {0: [0.5, 0.5]}, arm=1)
        with pytest.raises(NotComputedError, match="ten periods"):
            aipw_difference_by_period(table.ended(5, 1), shares, arm=1)
        with pytest.raises(NotComputedError, match="no outcomes"):
            aipw_difference_by_period(table.ended(-5, 1), shares, arm=1)
        with pytest.raises(SampleError):
            aipw_difference_by_period(table, {key: [1.0, 0.0] for key in shares}, arm=1)
        with pytest.raises(SettingsError):
            aipw_difference_by_period(table, {key: [0.5, 0.6] for key in shares}, arm=1)


class TestBatchedDifference:
    def test_is_the_sharper_where_units_share_shocks(self):
        data = table_of(*thompson(7, shock=3.0, n_batches=100))

        batched = batched_difference(*data, arm=1)

        assert batched.standard_error < 0.5 * aipw_difference_by_period(*data, arm=1).standard_error


class TestOutcomesOfOneNumber:
    def test_have_no_error(self):
        """The same tenth in both arms had a p-value of 1e-7: guesses are rounded, outcomes not."""
        rng = np.random.default_rng(1)
        period, arm = np.repeat(np.arange(60), 20), (rng.random(1_200) < 0.4).astype(np.int64)
        outcomes, shares = np.full(1_200, 0.1), np.tile([0.6, 0.4], (1_200, 1))
        table, chances = PeriodTable.of_outcomes(period, arm, outcomes), {0: [0.6, 0.4]}

        for estimate in (
            lambda: aipw_difference_by_period(table, chances, arm=1),
            lambda: batched_difference(table, chances, arm=1),
            lambda: aipw_difference(arm, shares, outcomes, arm=1),
            lambda: aipw_mean(arm, shares, outcomes, arm=1),
            lambda: policy_value(table, chances, [0.2, 0.8]),
        ):
            with pytest.raises(NotComputedError, match="the outcomes do not vary"):
                estimate()


def of_contexts(seed, lifts, n_periods=60, size=20, floor=0.1):
    """Return sums and chances where a policy learns in each of two contexts, and the true mean."""
    rng = np.random.default_rng(seed)
    n, total, parts, chances, effects = np.ones((2, 2)), np.zeros((2, 2)), [], {}, []
    for at in range(n_periods):
        context = rng.integers(0, 2, size)
        for of in range(2):
            n_units, number = int((context == of).sum()), 2 * at + of
            ahead = total[of, 1] / n[of, 1] - total[of, 0] / n[of, 0]
            p = floor + (1.0 - 2.0 * floor) * ndtr(ahead / np.sqrt(np.sum(1.0 / n[of])))
            arm = (rng.random(n_units) < p).astype(np.int64)
            y = rng.normal(size=n_units) + lifts[of] * arm
            n[of] += np.bincount(arm, minlength=2)
            total[of] += np.bincount(arm, y, 2)
            chances[number] = [1.0 - p, p]
            parts.append((np.full(n_units, at), arm, y, np.full(n_units, number)))
            effects += [lifts[of]] * n_units
    period, arm, y, number = (np.concatenate(column) for column in zip(*parts, strict=True))
    return PeriodTable.of_outcomes(period, arm, y, allocation=number), chances, np.mean(effects)


class TestEffectsOfContexts:
    def test_are_averaged_over_the_units_where_weights_do_not_follow_the_shares(self):
        """With weights that do 13 % of intervals missed: shares stay even where nothing differs."""
        off, missed = [], 0
        for seed in range(200):
            table, chances, truth = of_contexts(seed, (0.8, 0.0))
            found = aipw_difference_by_period(table, chances, arm=1, is_stabilized=False)
            off.append(found.difference - truth)
            missed += not found.lower <= truth <= found.upper

        assert abs(np.mean(off)) < 3.0 * np.std(off) / np.sqrt(200)
        assert missed <= 20  # of 200 at 5 %: more in one case of 500

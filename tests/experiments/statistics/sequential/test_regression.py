import numpy as np
import pytest
from scipy import stats

from experiments.statistics.errors import SettingsError, ShapeError
from experiments.statistics.sequential import MixtureBoundary, regression_sequence


def units(seed, n=300, effect=0.4):
    rng = np.random.default_rng(seed)
    arm, covariate = rng.integers(0, 2, n), rng.standard_normal(n)
    outcome = effect * arm + 2.0 * covariate + rng.standard_normal(n)
    return outcome, np.column_stack([np.ones(n), arm, covariate])


class TestRegressionSequence:
    def test_finds_the_least_squares_coefficient_at_every_look(self):
        outcome, design = units(0)

        sequence = regression_sequence(outcome, design, coefficient=1, best_at=300)

        for n in (20, 150, 300):
            solved = np.linalg.lstsq(design[:n], outcome[:n], rcond=None)[0]
            assert sequence.mean[n - 1] == pytest.approx(solved[1])

    def test_has_the_evidence_of_the_g_prior(self):
        outcome, design = units(1)

        sequence = regression_sequence(outcome, design, coefficient=1, best_at=300)

        n, k = design.shape
        inverse = np.linalg.inv(design.T @ design)
        solved = inverse @ design.T @ outcome
        rest = outcome - design @ solved
        t2 = solved[1] ** 2 / (inverse[1, 1] * (rest @ rest) / (n - k))
        rho = MixtureBoundary.tuned(0.95, 300).rho
        r, nu = rho / (rho + n), n - k
        ratio = np.sqrt(r) * ((1 + t2 / nu) / (1 + r * t2 / nu)) ** ((nu + 1) / 2)
        assert sequence.log_e_values[-1] == pytest.approx(np.log(ratio))

    def test_rejects_exactly_when_the_interval_excludes_zero(self):
        outcome, design = units(2)

        sequence = regression_sequence(outcome, design, coefficient=1, best_at=300)

        outside = np.maximum.accumulate((sequence.lower > 0) | (sequence.upper < 0))
        np.testing.assert_array_equal(sequence.p_values < 0.05, outside)

    def test_nears_the_normal_mixture_in_large_samples(self):
        outcome, design = units(3, 5_000)

        sequence = regression_sequence(outcome, design, coefficient=1, best_at=5_000)

        error = stats.linregress(design[:, 1], outcome - 2.0 * design[:, 2]).stderr
        reach = MixtureBoundary.tuned(0.95, 5_000).reach(np.array([5_000]))[0]
        assert sequence.upper[-1] - sequence.mean[-1] == pytest.approx(reach * error, rel=0.03)

    def test_is_open_until_the_design_is_determined(self):
        outcome, design = units(4)
        design[:10, 1] = 0.0

        sequence = regression_sequence(outcome, design, coefficient=1, best_at=300)

        assert np.isinf(sequence.lower[:10]).all()
        assert np.isfinite(sequence.lower[30:]).all()

    def test_stays_within_its_level(self):
        wrong = 0
        for seed in range(300):
            outcome, design = units(seed, 200, effect=0.0)
            sequence = regression_sequence(outcome, design, coefficient=1, best_at=200)
            wrong += sequence.excludes(0.0) is not None

        assert wrong / 300 < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)

    def test_refuses_a_column_that_is_not_there(self):
        outcome, design = units(5)

        with pytest.raises(SettingsError):
            regression_sequence(outcome, design, coefficient=3, best_at=300)
        with pytest.raises(ShapeError):
            regression_sequence(outcome[:-1], design, coefficient=1, best_at=300)

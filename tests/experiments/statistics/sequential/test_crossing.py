import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from experiments.statistics.sequential.crossing import Inside, crossing, exits


def leaves_a_strip(constant, start):
    """Chance that |B| passes a constant in (start, 1): the eigenfunctions of the strip."""
    width, rest = 2.0 * constant, 1.0 - start
    odd = np.arange(1, 80, 2)

    def stays(place):
        waves = np.sin(odd * math.pi * (place + constant) / width)
        return float(
            4 / math.pi * np.sum(waves / odd * np.exp(-((odd * math.pi / width) ** 2) * rest / 2))
        )

    def density(place):
        return stays(place) * norm.pdf(place, scale=math.sqrt(start))

    return 1.0 - quad(density, -constant, constant, epsabs=1e-13)[0]


class TestCrossing:
    @pytest.mark.parametrize("start", [0.02, 0.125, 0.3])
    @pytest.mark.parametrize("constant", [0.5, 1.5, 2.2, 2.8])
    def test_agrees_with_the_exact_series_for_a_constant_boundary(self, constant, start):
        found = crossing(constant, 0.0, start)

        assert found == pytest.approx(leaves_a_strip(constant, start), rel=3e-3)

    def test_reaches_the_reflection_principle_with_drift(self):
        # Upper boundary alone matters at this drift: Phi(d - c) + exp(2 d c) Phi(-d - c).
        drift, constant = 2.8016, 2.2414
        expected = norm.cdf(drift - constant) + math.exp(2 * drift * constant) * norm.cdf(
            -drift - constant
        )

        assert crossing(constant, 0.0, 0.01, drift) == pytest.approx(expected, rel=2e-3)

    def test_falls_with_the_constant_and_rises_with_an_earlier_start(self):
        chances = [crossing(constant, 0.15, 0.125) for constant in np.linspace(0.5, 6.0, 12)]

        assert np.all(np.diff(chances) < 0)
        assert crossing(2.3, 0.15, 0.02) > crossing(2.3, 0.15, 0.125)

    def test_agrees_with_simulated_random_walks(self):
        rng = np.random.default_rng(7)
        n_steps, n_paths = 1_000, 20_000
        times = np.arange(1, n_steps + 1) / n_steps
        crossed = 0
        for _ in range(20):
            steps = rng.standard_normal((n_paths // 20, n_steps)) / math.sqrt(n_steps)
            paths = np.abs(np.cumsum(steps, axis=1)) + 0.5826 / math.sqrt(n_steps)
            crossed += np.sum((paths >= 2.0 * times**0.15)[:, times >= 0.125].any(axis=1))

        expected = crossing(2.0, 0.15, 0.125)

        error = math.sqrt(expected * (1 - expected) / n_paths)
        assert abs(crossed / n_paths - expected) < 3.5 * error


class TestExits:
    def test_compiled_agrees_with_plain_python(self):
        nodes, weights = np.polynomial.legendre.leggauss(12)
        times, outer = np.array([0.3, 0.6, 1.0]), np.array([1.0, 1.2, 1.1])

        for drift in (0.0, 0.7):
            compiled = exits(times, outer, drift, nodes, weights)
            # `py_func` calls kernel parts, which Python cannot: the same law in numpy instead.
            law, rows = Inside.origin(), []
            for time, bound in zip(times, outer, strict=True):
                rows.append(law.tails(time, bound, drift))
                law = law.carried(time, bound, drift=drift)
            np.testing.assert_allclose(np.array(compiled).T, rows, rtol=1e-6)


class TestInside:
    def test_holds_what_has_not_left(self):
        law = Inside.origin().carried(0.5, 1.0, 0.2, drift=0.4)

        inside = norm.cdf([1.0, 0.2, -0.2, -1.0], loc=0.2, scale=math.sqrt(0.5))
        assert law.mass.sum() == pytest.approx(inside[0] - inside[1] + inside[2] - inside[3])

"""What holds for every indicator that the package exports."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numerics import indicators
from tests.numerics.indicators import registry

every = pytest.mark.parametrize("name", sorted(registry.EVERY))
examples = settings(max_examples=40, deadline=None)
STATES = {"crossings", "moving_average_cross"}  # turned into lines that are never NaN


def outputs(name, bars):
    return registry.EVERY[name][0](bars)


def observed(name, bars):
    return ~np.any([np.isnan(bars[column]) for column in registry.EVERY[name][2]], axis=0)


def assert_same(found, expected):
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


class TestEveryIndicator:
    def test_is_in_the_registry(self):
        functions = {name for name in indicators.__all__ if not name[0].isupper()}

        assert functions == set(registry.EVERY)

    @every
    @examples
    @given(bars=registry.bars_with_holes(), n=st.integers(0, 40))
    def test_never_looks_ahead(self, name, bars, n):
        whole = outputs(name, bars)

        assert_same([line[:n] for line in whole], outputs(name, registry.first_rows(bars, n)))

    @every
    @pytest.mark.parametrize("share", [0.0, 0.05])
    def test_never_looks_ahead_across_blocks(self, name, share):
        bars = registry.with_holes(
            registry.complete_bars(3_000), np.random.default_rng(1), share=share
        )
        whole = outputs(name, bars)

        for n in (511, 512, 513, 1_027, 2_050, 2_999):
            assert_same([line[:n] for line in whole], outputs(name, registry.first_rows(bars, n)))

    @every
    @examples
    @given(bars=registry.bars_with_holes())
    def test_counts_observations_and_not_rows(self, name, bars):
        seen = observed(name, bars)
        expected = outputs(name, {key: column[seen] for key, column in bars.items()})

        for line, dense in zip(outputs(name, bars), expected, strict=True):
            np.testing.assert_array_equal(line[seen], dense)
            if name not in STATES:
                assert np.all(np.isnan(line[~seen]))

    @every
    @examples
    @given(bars=registry.bars_with_holes())
    def test_is_never_infinite(self, name, bars):
        for line in outputs(name, bars):
            assert not np.any(np.isinf(line))

    @every
    def test_is_known_once_enough_is_observed(self, name):
        for line in outputs(name, registry.complete_bars(200)):
            assert np.all(np.isfinite(line[20:]))

    @every
    @examples
    @given(bars=registry.bars_with_holes(), power=st.integers(-8, 8))
    def test_does_not_depend_on_the_currency(self, name, bars, power):
        factor = 2.0**power  # exact, so every bit must agree
        scaled = {
            key: column * factor if key in {"open", *registry.HLC} else column
            for key, column in bars.items()
        }
        degree = registry.EVERY[name][1]

        expected = [line * factor**degree for line in outputs(name, bars)]

        assert_same(outputs(name, scaled), expected)

    @every
    @settings(max_examples=15, deadline=None)
    @given(bars=registry.bars_with_holes())
    def test_compiled_agrees_with_plain_python(self, name, bars):
        with registry.interpreted():
            expected = outputs(name, bars)

        assert_same(outputs(name, bars), expected)

    @every
    def test_compiled_agrees_with_plain_python_across_blocks(self, name):
        bars = registry.complete_bars(1_300)
        with registry.interpreted():
            expected = outputs(name, bars)

        assert_same(outputs(name, bars), expected)

    @every
    def test_does_not_change_its_input(self, name):
        bars = registry.with_holes(registry.complete_bars(50), np.random.default_rng(2))
        before = registry.first_rows(bars, 50)

        outputs(name, bars)

        for key, column in bars.items():
            np.testing.assert_array_equal(column, before[key])

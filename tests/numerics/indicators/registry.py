"""Every indicator under one name, fed from one set of bars."""

import importlib
import pkgutil
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import strategies as st

from numerics import indicators

NAN = float("nan")


def _sides(crossings, n_bars):
    """A line that is 1 while the first line is above, so that crossings compare row by row."""
    steps = np.zeros(n_bars)
    steps[crossings.rows] = np.where(crossings.is_above, 1.0, -1.0)
    return (steps.cumsum(),)


def _single(name, *options):
    return lambda bars: (getattr(indicators, name)(bars["close"], *options),)


def _bars(name, *columns_and_options):
    def call(bars):
        given = [bars[at] if isinstance(at, str) else at for at in columns_and_options]
        found = getattr(indicators, name)(*given)
        if isinstance(found, indicators.Crossings):
            return _sides(found, bars["close"].size)
        return found if isinstance(found, tuple) else (found,)

    return call


HLC = ("high", "low", "close")

# name -> (call, degree in the price, columns read)
EVERY = {
    "average_true_range": (_bars("average_true_range", *HLC, 3), 1, HLC),
    "bollinger_bands": (_bars("bollinger_bands", "close", 4, 2.0), 1, ("close",)),
    "corwin_schultz_half_spread": (_bars("corwin_schultz_half_spread", *HLC), 0, HLC),
    "crossings": (_bars("crossings", "close", "open"), 0, ("close", "open")),
    "donchian_channel": (_bars("donchian_channel", "high", "low", 3), 1, ("high", "low")),
    "exponential_moving_average": (_single("exponential_moving_average", 4), 1, ("close",)),
    "keltner_channel": (_bars("keltner_channel", *HLC, 4, 3, 2.0), 1, HLC),
    "macd": (_bars("macd", "close", 3, 5, 2), 1, ("close",)),
    "moving_average_cross": (_bars("moving_average_cross", "close", 2, 5), 0, ("close",)),
    "rate_of_change": (_single("rate_of_change", 3), 0, ("close",)),
    "relative_strength_index": (_single("relative_strength_index", 4), 0, ("close",)),
    "rolling_beta": (_bars("rolling_beta", "close", "open", 4), 0, ("close", "open")),
    "rolling_correlation": (_bars("rolling_correlation", "close", "open", 4), 0, ("close", "open")),
    "rolling_maximum": (_single("rolling_maximum", 3), 1, ("close",)),
    "rolling_minimum": (_single("rolling_minimum", 3), 1, ("close",)),
    "rolling_standard_deviation": (_single("rolling_standard_deviation", 4), 1, ("close",)),
    "rolling_vwap": (_bars("rolling_vwap", "close", "volume", 3), 1, ("close", "volume")),
    "rolling_zscore": (_single("rolling_zscore", 4), 0, ("close",)),
    "session_vwap": (
        _bars("session_vwap", "close", "volume", "session"),
        1,
        ("close", "volume"),
    ),
    "simple_moving_average": (_single("simple_moving_average", 3), 1, ("close",)),
    "simple_moving_averages": (
        lambda bars: tuple(indicators.simple_moving_averages(bars["close"], np.array([1, 3, 4]))),
        1,
        ("close",),
    ),
    "stochastic": (_bars("stochastic", *HLC, 4, 2, 2), 0, HLC),
    "true_range": (_bars("true_range", *HLC), 1, HLC),
    "weighted_moving_average": (_single("weighted_moving_average", 4), 1, ("close",)),
}


def complete_bars(n_bars, seed=0):
    """A random walk without holes."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(rng.normal(0.0, 0.01, n_bars).cumsum())
    return {
        "open": 100.0 * np.exp(rng.normal(0.0, 0.01, n_bars).cumsum()),
        "high": close * (1.0 + rng.uniform(0.0, 0.01, n_bars)),
        "low": close * (1.0 - rng.uniform(0.0, 0.01, n_bars)),
        "close": close,
        "volume": rng.integers(1, 50, n_bars).astype(float),
        "session": np.arange(n_bars) // 7,
    }


def with_holes(bars, rng, share=0.2):
    """The same bars, each column unobserved at rows of its own."""
    return {
        name: column
        if name == "session"
        else np.where(rng.random(column.size) < share, NAN, column)
        for name, column in bars.items()
    }


def first_rows(bars, n):
    return {name: column[:n].copy() for name, column in bars.items()}


@st.composite
def bars_with_holes(draw, max_size=40):
    """Bars with ties, standing prices, silent bars and holes."""
    n_bars = draw(st.integers(0, max_size))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    close = 100.0 + rng.integers(-3, 4, n_bars).cumsum() * draw(st.sampled_from([0.0, 0.1, 1.0]))
    close = np.abs(close) + 0.1
    width = draw(st.sampled_from([0.0, 1.0]))
    bars = {
        "open": close[::-1].copy(),
        "high": close + width * rng.random(n_bars),
        "low": close - 0.09 * width * rng.random(n_bars),
        "close": close,
        "volume": rng.integers(0, 3, n_bars).astype(float),
        "session": np.sort(rng.integers(0, 5, n_bars)),
    }
    return with_holes(bars, rng, draw(st.sampled_from([0.0, 0.1, 0.5])))


@contextmanager
def interpreted():
    """Run every kernel of the package, and those it calls, as plain Python."""
    modules = [
        importlib.import_module(f"numerics.indicators.{module.name}")
        for module in pkgutil.iter_modules(indicators.__path__)
    ]
    with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
        for module in [indicators, *modules]:
            for name, value in vars(module).copy().items():
                if hasattr(value, "py_func"):
                    patch.setattr(module, name, value.py_func)
        yield

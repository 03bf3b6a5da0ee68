"""Agreement with other libraries, whose numbers are kept in tests/golden/indicators.json."""

import json
from pathlib import Path

import numpy as np
import pytest

from numerics import indicators

GOLDEN = json.loads(
    (Path(__file__).resolve().parents[2] / "golden" / "indicators.json").read_text()
)
BARS = {name: np.array(column) for name, column in GOLDEN["bars"].items()}
TYPICAL = (BARS["high"] + BARS["low"] + BARS["close"]) / 3.0
HLC = (BARS["high"], BARS["low"], BARS["close"])
CALLS = {
    ("talib", "relative_strength_index"): (BARS["close"], 14),
    ("talib", "average_true_range"): (*HLC, 14),
    ("talib", "true_range"): HLC,
    ("talib", "exponential_moving_average"): (BARS["close"], 10),
    ("talib", "weighted_moving_average"): (BARS["close"], 10),
    ("talib", "rate_of_change"): (BARS["close"], 10),
    ("talib", "bollinger_bands"): (BARS["close"], 10, 2.0),
    ("talib", "stochastic"): (*HLC, 10, 3, 3),
    ("talib", "rolling_maximum"): (BARS["high"], 10),
    ("talib", "rolling_minimum"): (BARS["low"], 10),
    ("talib", "rolling_correlation"): (BARS["close"], BARS["high"], 10),
    ("pandas_ta", "donchian_channel"): (BARS["high"], BARS["low"], 10),
    ("pandas_ta", "macd"): (BARS["close"], 12, 26, 9),
    ("ta", "rolling_vwap"): (TYPICAL, BARS["volume"], 10),
}


@pytest.mark.parametrize(("library", "name"), CALLS)
def test_agrees_with(library, name):
    found = getattr(indicators, name)(*CALLS[library, name])

    for line, expected in zip(
        found if isinstance(found, tuple) else (found,), GOLDEN[library][name], strict=True
    ):
        rows = GOLDEN["rows"][-len(expected) :]
        np.testing.assert_allclose(line[rows], expected, rtol=1e-9)


def test_every_number_that_is_kept_is_compared():
    kept = {(at, name) for at in ("talib", "pandas_ta", "ta") for name in GOLDEN[at]}

    assert kept == set(CALLS)


def test_macd_agrees_with_talib_once_its_other_seed_is_forgotten():
    values = np.round(100.0 + np.cumsum(np.random.default_rng(8).normal(0.0, 1.0, 400)), 2)

    found = indicators.macd(values, 12, 26, 9)

    np.testing.assert_allclose([line[-1] for line in found], GOLDEN["long"]["macd"], rtol=1e-9)

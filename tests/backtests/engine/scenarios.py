"""Random markets and decisions, small and nasty: gaps, splits, dividends, shorts, shortfalls."""

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from backtests.engine import Account, Bars, Costs, Fills, Targets

DAY_NS = 86_400_000_000_000
START_NS = 18_262 * DAY_NS  # 2020-01-01


@dataclass(frozen=True)
class Scenario:
    """Everything `simulate()` takes."""

    columns: dict[str, np.ndarray]
    values: np.ndarray
    kind: str
    band: float
    fills: Fills
    costs: Costs
    account: Account

    @property
    def bars(self):
        ts = START_NS + np.arange(self.values.shape[0]) * DAY_NS
        symbols = [f"S{column}" for column in range(self.values.shape[1])]
        return Bars(ts, **self.columns, symbols=symbols)

    @property
    def targets(self):
        return Targets(self.values, self.kind, band=self.band)

    @property
    def arguments(self):
        settings = {"fills": self.fills, "costs": self.costs, "account": self.account}
        return {"bars": self.bars, "decisions": self.targets, **settings}

    def cut(self, n_bars):
        columns = {name: array[:n_bars] for name, array in self.columns.items()}
        return replace(self, columns=columns, values=self.values[:n_bars])


def make_scenario(seed, n_bars=30, n_assets=3, kind="weights", *, shortfall="scale", leverage=1.0):
    rng = np.random.default_rng(seed)
    shape = (n_bars, n_assets)
    columns = _prices(rng, shape)
    _add_actions(rng, columns)
    costs = Costs(
        commission_bps=float(rng.choice([0.0, 5.0])),
        commission_per_share=float(rng.choice([0.0, 0.01])),
        commission_minimum=float(rng.choice([0.0, 2.0])),
        half_spread_bps=float(rng.choice([0.0, 3.0])),
    )
    return Scenario(
        columns=columns,
        values=_targets(rng, shape, kind),
        kind=kind,
        band=float(rng.choice([0.0, 0.02])),
        fills=Fills(str(rng.choice(["next_open", "next_close"]))),
        costs=costs,
        account=Account(100_000.0, max_leverage=leverage, on_shortfall=shortfall),
    )


scenarios = st.builds(
    make_scenario,
    seed=st.integers(0, 2**32 - 1),
    n_bars=st.integers(2, 40),
    n_assets=st.integers(1, 4),
    kind=st.sampled_from(["weights", "units", "notional"]),
    shortfall=st.sampled_from(["scale", "reject"]),
    leverage=st.sampled_from([0.7, 1.0, 2.0, float("inf")]),
)


def _prices(rng, shape):
    close = np.exp(rng.normal(0.0, 0.03, shape).cumsum(axis=0)) * rng.uniform(5, 200, shape[1])
    opened = close * np.exp(rng.normal(0.0, 0.02, shape))
    columns = {
        "open": opened,
        "high": np.maximum(opened, close) * 1.01,
        "low": np.minimum(opened, close) * 0.99,
        "close": close,
    }
    gaps = rng.random(shape) < rng.choice([0.0, 0.3])
    for array in columns.values():
        array[gaps] = np.nan
    return columns


def _add_actions(rng, columns):
    close = columns["close"]
    if rng.random() < 0.5:
        columns["split"] = np.where(rng.random(close.shape) < 0.1, 2.0, np.nan)
    if rng.random() < 0.5:
        columns["dividend"] = np.where(rng.random(close.shape) < 0.1, 0.5, 0.0)
    if rng.random() < 0.5:
        measured = np.where(rng.random(close.shape) < 0.5, close * 1e-3, np.nan)
        columns["half_spread"] = measured


def _targets(rng, shape, kind):
    scale = {"weights": 1.5 / shape[1], "units": 500.0, "notional": 60_000.0}[kind]
    values = rng.uniform(-1.0, 1.5, shape) * scale
    values[rng.random(shape) < 0.2] = 0.0
    values[rng.random(shape) < 0.4] = np.nan
    return values

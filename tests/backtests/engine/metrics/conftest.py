import numpy as np
import pytest

from backtests.engine.metrics import RoundTrips, TradingActivity, Trials, compute_metrics

DAY_NS = 86_400_000_000_000
HOUR_NS = DAY_NS // 24


def weekdays(n, first="2016-01-04"):
    days = np.arange(np.datetime64(first), np.datetime64(first) + 2 * n + 3)
    return days[np.is_busday(days)][:n].astype("datetime64[ns]").astype(np.int64)


def levels_of(returns, base=1.0):
    return base * np.concatenate([[1.0], np.cumprod(1.0 + returns)])


class Sample:
    """Three years of daily returns by formula, so that golden numbers need no file."""

    def __init__(self):
        n = 756
        t = np.arange(1, n + 1.0)
        self.market = 0.0003 + 0.010 * np.sin(2.3 * t * t % 5.1 + 1.1) * (
            1 + 0.3 * np.cos(0.031 * t)
        )
        self.returns = (
            0.0005
            + 0.011 * np.sin(1.7 * t * t % 7.3 + 0.3) * (1 + 0.6 * np.cos(0.05 * t))
            + 0.004 * np.cos(12.9898 * t)
            + 0.5 * self.market
        )
        self.ts = weekdays(n + 1) + 21 * HOUR_NS
        self.long_ts = self.ts[0] + np.arange(n + 1) * 36 * HOUR_NS  # more than three years
        self.equity = levels_of(self.returns, 1e6)
        self.benchmark = levels_of(self.market, 50.0)


@pytest.fixture(scope="session")
def sample():
    return Sample()


def activity_of(n_bars, seed=0, n_fills=30):
    rng = np.random.default_rng(seed)
    gross = rng.uniform(0.0, 2e6, n_bars)
    return TradingActivity(
        traded_notional=rng.uniform(0.0, 1e5, n_bars),
        costs=rng.uniform(0.0, 50.0, n_bars),
        gross_exposure=gross,
        net_exposure=gross * rng.uniform(-1.0, 1.0, n_bars),
        participation=np.where(rng.random(n_fills) < 0.1, np.nan, rng.uniform(0, 0.02, n_fills)),
    )


def trades_of(n_trades, seed=0):
    rng = np.random.default_rng(seed)
    pnl = rng.normal(10.0, 100.0, n_trades)
    holding = rng.integers(1, 40 * DAY_NS, n_trades)
    return RoundTrips(pnl, pnl / 1e4, holding)


@pytest.fixture(scope="session")
def everything(sample):
    return {
        "activity": activity_of(757),
        "trades": trades_of(50),
        "benchmark": sample.benchmark,
        "trials": Trials(20, 0.4),
        "periods_per_year": 252,
    }


@pytest.fixture(scope="session")
def complete(sample, everything):
    return compute_metrics(sample.equity, sample.long_ts, **everything)

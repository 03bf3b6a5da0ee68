"""Random markets, accounts and strategies that use everything the engine has, at once.

`CROWETRADE_EXAMPLES` sets how many examples each property sees; the suite itself takes few.
"""

import os
from dataclasses import dataclass, replace

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from backtests.engine import (
    Account,
    Bars,
    Bracket,
    Costs,
    Fills,
    LinearImpact,
    Order,
    Orders,
    SquareRootImpact,
    Targets,
)

EXAMPLES = int(os.environ.get("CROWETRADE_EXAMPLES", "0"))
DAY_NS = 86_400_000_000_000
START_NS = 18_262 * DAY_NS  # 2020-01-01
CURRENCIES = ("USD", "EUR", "JPY")
PER_BAR = ("open", "high", "low", "close", "volume", "half_spread", "half_spread_open", "split",
           "dividend", "delisted", "adv", "sigma")  # fmt: skip


def examples(few):
    """Say how often a property is tried: few times, or as often as the environment asks."""
    return settings(max_examples=EXAMPLES or few, deadline=None, database=None)


@dataclass(frozen=True)
class FullScenario:
    """Everything `simulate()` takes."""

    columns: dict
    facts: dict
    currency: tuple
    rates: dict
    step_ns: int
    decisions: Targets | Orders
    fills: Fills
    costs: Costs
    account: Account
    finer: dict | None = None

    @property
    def n_bars(self):
        return self.columns["close"].shape[0]

    @property
    def n_assets(self):
        return self.columns["close"].shape[1]

    @property
    def bars(self):
        ts = START_NS + np.arange(self.n_bars) * self.step_ns
        symbols = [f"S{column}" for column in range(self.n_assets)]
        rates = {name: rate[: self.n_bars] for name, rate in self.rates.items()}
        return Bars(ts, **self.columns, **self.facts, symbols=symbols,
                    currency=self.currency, rates=rates or None)  # fmt: skip

    @property
    def intrabar(self):
        if self.finer is None:
            return None
        n_finer = self.finer["close"].shape[0] // self.n_bars
        ends = START_NS + np.arange(self.n_bars)[:, None] * self.step_ns
        ts = (ends - (np.arange(n_finer)[::-1] * (self.step_ns // n_finer))[None, :]).reshape(-1)
        return Bars(ts, **self.finer, symbols=[f"S{column}" for column in range(self.n_assets)])

    @property
    def arguments(self):
        return {
            "bars": self.bars, "decisions": self.decisions, "fills": self.fills,
            "costs": self.costs, "account": self.account, "intrabar": self.intrabar,
        }  # fmt: skip

    def cut(self, n_bars):
        """Return the same without the bars from `n_bars` on, and without what they decide."""
        columns = {name: array[:n_bars] for name, array in self.columns.items()}
        finer = self.finer
        if finer is not None:
            n_finer = finer["close"].shape[0] // self.n_bars
            finer = {name: array[: n_bars * n_finer] for name, array in finer.items()}
        return replace(self, columns=columns, decisions=_cut(self.decisions, n_bars), finer=finer)

    def with_another_future(self, n_bars, seed):
        """Return the same with other prices, actions and rates from bar `n_bars` on."""
        rng = np.random.default_rng(seed)
        factor = np.exp(rng.normal(0.0, 0.2, (self.n_bars - n_bars, self.n_assets)))
        prices = ("open", "high", "low", "close", "half_spread", "half_spread_open")
        columns = {name: array.copy() for name, array in self.columns.items()}
        for name in prices:
            if name in columns:
                columns[name][n_bars:] *= factor
        for name in ("split", "dividend", "delisted"):
            if name in columns:
                columns[name][n_bars:] = np.nan
        finer = self.finer
        if finer is not None:
            n_finer = finer["close"].shape[0] // self.n_bars
            finer = {name: array.copy() for name, array in finer.items()}
            for name in finer:
                finer[name][n_bars * n_finer :] *= np.repeat(factor, n_finer, axis=0)
        rates = {name: np.where(np.arange(rate.size) < n_bars, rate, 2.0 * rate)
                 for name, rate in self.rates.items()}  # fmt: skip
        return replace(self, columns=columns, rates=rates, finer=finer)

    def pick(self, order):
        """Return the same with the instruments in another order; targets only."""
        columns = {name: array[:, order].copy() for name, array in self.columns.items()}
        finer = self.finer
        if finer is not None:
            finer = {name: array[:, order].copy() for name, array in finer.items()}
        decisions = Targets(
            self.decisions.values[:, order].copy(), self.decisions.kind, self.decisions.band,
            sized_at=self.decisions.sized_at, bracket=self.decisions.bracket,
        )  # fmt: skip
        spread = self.costs.half_spread_bps
        if isinstance(spread, tuple):
            spread = tuple(spread[at] for at in order)
        return replace(
            self, columns=columns, decisions=decisions, finer=finer,
            facts={name: fact[order] for name, fact in self.facts.items()},
            currency=tuple(self.currency[at] for at in order),
            costs=replace(self.costs, half_spread_bps=spread),
        )  # fmt: skip

    def beside_an_idle_one(self):
        """Return the same single instrument with a copy of it that nobody trades."""
        columns = {name: np.repeat(array, 2, axis=1) for name, array in self.columns.items()}
        values = np.column_stack([self.decisions.values[:, 0], np.full(self.n_bars, np.nan)])
        decisions = Targets(
            values, self.decisions.kind, self.decisions.band,
            sized_at=self.decisions.sized_at, bracket=self.decisions.bracket,
        )  # fmt: skip
        spread = self.costs.half_spread_bps
        finer = self.finer
        if finer is not None:
            finer = {name: np.repeat(array, 2, axis=1) for name, array in finer.items()}
        return replace(
            self, columns=columns, decisions=decisions, currency=self.currency * 2, finer=finer,
            facts={name: np.repeat(fact, 2) for name, fact in self.facts.items()},
            costs=replace(
                self.costs, half_spread_bps=spread * 2 if isinstance(spread, tuple) else spread
            ),
        )  # fmt: skip


def _cut(decisions, n_bars):
    if isinstance(decisions, Targets):
        return Targets(
            decisions.values[:n_bars], decisions.kind, decisions.band,
            sized_at=decisions.sized_at, bracket=decisions.bracket,
        )  # fmt: skip
    kept = [at for at, order in enumerate(decisions.orders) if order.bar < n_bars]
    place = {at: new for new, at in enumerate(kept)}
    orders = [decisions.orders[at] for at in kept]
    return Orders([replace(o, parent=place.get(o.parent, -1)) for o in orders])


def make_full(seed, n_bars=30, n_assets=3, ways="any", *, plain=False):
    """Return a scenario; `ways` is any, targets or orders, `plain` has nothing but prices."""
    rng = np.random.default_rng(seed)
    shape = (n_bars, n_assets)
    columns = _prices(rng, shape)
    if not plain:
        _add_columns(rng, columns)
    finer = _finer(rng, columns) if "high" in columns and rng.random() < 0.25 else None
    currency = tuple(str(rng.choice(CURRENCIES)) for _ in range(n_assets))
    if plain or rng.random() < 0.4:
        currency = ("USD",) * n_assets
    rates = {
        name: np.exp(rng.normal(0.0, 0.01, n_bars).cumsum()) * level
        for name, level in (("EUR", 1.1), ("JPY", 0.01))
        if name in currency
    }
    use_orders = ways == "orders" or (ways == "any" and rng.random() < 0.5)
    decide = _orders if use_orders else _targets
    return FullScenario(
        columns=columns,
        facts={} if plain else _facts(rng, n_assets),
        currency=currency,
        rates=rates,
        step_ns=DAY_NS if rng.random() < 0.6 else DAY_NS // 8,
        decisions=decide(rng, columns["close"]),
        fills=_fills(rng, columns),
        costs=_costs(rng, columns, n_assets),
        account=_account(rng),
        finer=finer,
    )


full_scenarios = st.builds(
    make_full,
    seed=st.integers(0, 2**32 - 1),
    n_bars=st.integers(2, 40),
    n_assets=st.integers(1, 4),
)
target_scenarios = st.builds(
    make_full,
    seed=st.integers(0, 2**32 - 1),
    n_bars=st.integers(2, 40),
    n_assets=st.integers(1, 4),
    ways=st.just("targets"),
)
single_scenarios = st.builds(
    make_full,
    seed=st.integers(0, 2**32 - 1),
    n_bars=st.integers(2, 200),
    n_assets=st.just(1),
    ways=st.just("targets"),
    plain=st.booleans(),
)


def _prices(rng, shape):
    close = np.exp(rng.normal(0.0, 0.03, shape).cumsum(axis=0)) * rng.uniform(5, 200, shape[1])
    columns = {"close": close}
    has = rng.choice(["all", "no_range", "close"], p=[0.8, 0.1, 0.1])
    if has != "close":
        columns["open"] = close * np.exp(rng.normal(0.0, 0.02, shape))
    if has == "all":
        reach = 1.0 + rng.exponential(0.02, (2, *shape))
        columns["high"] = np.maximum(columns["open"], close) * reach[0]
        columns["low"] = np.minimum(columns["open"], close) / reach[1]
    gaps = rng.random(shape) < rng.choice([0.0, 0.2])
    for array in columns.values():
        array[gaps] = np.nan
    return columns


def _add_columns(rng, columns):
    close = columns["close"]
    shape = close.shape
    columns["volume"] = np.where(np.isnan(close), np.nan, rng.integers(0, 3_000, shape) * 1.0)
    if rng.random() < 0.5:
        columns["split"] = np.where(
            rng.random(shape) < 0.1, rng.choice([0.5, 2.0, 1.5], shape), np.nan
        )
    if rng.random() < 0.5:
        columns["dividend"] = np.where(rng.random(shape) < 0.1, 0.5, 0.0)
    if rng.random() < 0.5:
        columns["half_spread"] = np.where(rng.random(shape) < 0.5, close * 1e-3, np.nan)
        if "open" in columns and rng.random() < 0.5:
            measured = np.where(rng.random(shape) < 0.5, columns["open"] * 2e-3, np.nan)
            columns["half_spread_open"] = measured
    if rng.random() < 0.3:
        last = rng.integers(1, shape[0] + 10, shape[1])
        columns["delisted"] = (np.arange(shape[0])[:, None] == last).astype(float)
        over = np.arange(shape[0])[:, None] >= last
        for name in ("open", "high", "low", "close", "volume"):
            if name in columns:
                columns[name][over] = np.nan
    if rng.random() < 0.3:
        columns["adv"] = np.full(shape, 5_000.0)
        columns["sigma"] = np.full(shape, 0.02)


def _finer(rng, columns):
    """Return four finer bars for each bar that open, close and range as the bar does."""
    opened, high, low, close = (columns[name] for name in ("open", "high", "low", "close"))
    n_bars, n_assets = close.shape
    joints = low[:, None] + (high - low)[:, None] * rng.random((n_bars, 5, n_assets))
    joints[:, 0], joints[:, 4] = opened, close
    starts, ends = joints[:, :4].copy(), joints[:, 1:].copy()
    starts[:, 2] = low + (high - low) * rng.random((n_bars, n_assets))  # a gap inside
    tops, bottoms = np.maximum(starts, ends), np.minimum(starts, ends)
    where = rng.integers(0, 4, (2, n_bars, n_assets))
    for at in range(4):
        tops[:, at] = np.where(where[0] == at, high, tops[:, at])
        bottoms[:, at] = np.where(where[1] == at, low, bottoms[:, at])
    names = ("open", "high", "low", "close")
    flat = (array.reshape(-1, n_assets) for array in (starts, tops, bottoms, ends))
    return dict(zip(names, flat, strict=True))


def _facts(rng, n_assets):
    return {
        "multiplier": rng.choice([1.0, 1.0, 5.0], n_assets),
        "lot_size": rng.choice([0.0, 1.0, 10.0], n_assets),
        "tick_size": rng.choice([0.0, 0.01, 0.25], n_assets),
        "borrow_rate": rng.choice([np.nan, 0.0, 0.08], n_assets),
    }


def _fills(rng, columns):
    share = 0.1 if "volume" in columns and rng.random() < 0.4 else None
    moments = ["next_open", "next_close", "same_close_with_look_ahead"]
    return Fills(
        str(rng.choice(moments, p=[0.6, 0.3, 0.1])),
        intrabar=str(rng.choice(["pessimistic", "optimistic", "path"])),
        limit_fill=str(rng.choice(["touch", "through"])),
        max_participation=share,
        minimum_notional=float(rng.choice([0.0, 500.0])),
        latency_bars=int(rng.choice([0, 0, 0, 2])),
    )


def _costs(rng, columns, n_assets):
    spreads = [0.0, 3.0, tuple([2.0] * n_assets)]
    if "high" in columns:
        spreads.append("corwin_schultz")
    impacts = [None]
    if "volume" in columns:
        impacts += [SquareRootImpact(), LinearImpact()]
    tiers = [(), ((0.0, 9.0), (50_000.0, 4.0), (200_000.0, 1.0))]
    return Costs(
        commission_bps=float(rng.choice([0.0, 5.0])),
        commission_per_share=float(rng.choice([0.0, 0.01])),
        commission_minimum=float(rng.choice([0.0, 2.0])),
        commission_per_order=float(rng.choice([0.0, 1.0])),
        commission_maximum=float(rng.choice([np.inf, 30.0])),
        commission_tiers=tiers[rng.integers(2)],
        half_spread_bps=spreads[rng.integers(len(spreads))],
        slippage_bps=float(rng.choice([0.0, 4.0])),
        impact=impacts[rng.integers(len(impacts))],
        buy_tax_bps=float(rng.choice([0.0, 50.0])),
        sell_tax_bps=float(rng.choice([0.0, 10.0])),
        borrow_bps_per_year=float(rng.choice([0.0, 200.0])),
        conversion_bps=float(rng.choice([0.0, 2.0])),
    )


def _account(rng):
    return Account(
        100_000.0,
        max_leverage=float(rng.choice([0.7, 1.0, 2.0, np.inf])),
        on_shortfall=str(rng.choice(["scale", "reject"])),
        maintenance_margin=[0.0, None, 0.3, 0.6][rng.integers(4)],
        cash_rate=float(rng.choice([0.0, 0.03])),
        margin_rate=float(rng.choice([0.0, 0.06])),
        delisting_haircut=float(rng.choice([0.0, 0.3, 1.0])),
    )


def _targets(rng, close):
    kind = str(rng.choice(["weights", "units", "notional"]))
    scale = {"weights": 1.5 / close.shape[1], "units": 500.0, "notional": 60_000.0}[kind]
    values = rng.uniform(-1.0, 1.5, close.shape) * scale
    values[rng.random(close.shape) < 0.2] = 0.0
    values[rng.random(close.shape) < rng.choice([0.3, 0.9])] = np.nan
    exits = [None, Bracket(0.03, 0.04), Bracket(stop_loss=0.02), Bracket(take_profit=0.02)]
    return Targets(
        values, kind, band=float(rng.choice([0.0, 0.02])),
        sized_at=str(rng.choice(["decision", "decision", "fill"])),
        bracket=exits[rng.integers(4)],
    )  # fmt: skip


def _orders(rng, close):
    """Return orders of every kind, some with brackets, groups, parents and expiry."""
    n_bars, n_assets = close.shape
    orders = []
    for bar in range(n_bars):
        for _ in range(rng.integers(0, 3)):
            asset = int(rng.integers(n_assets))
            near = close[: bar + 1, asset]
            near = near[~np.isnan(near)]
            price = float(near[-1]) if near.size else 50.0
            orders.extend(_some_orders(rng, bar, asset, price, len(orders)))
    return Orders(orders)


def _some_orders(rng, bar, asset, price, at):
    quantity = float(rng.choice([-1, 1])) * float(rng.integers(1, 400))
    more = {"bar": bar, "time_in_force": str(rng.choice(["gtc", "day", "ioc", "fok", "gtd"]))}
    if more["time_in_force"] == "gtd":
        more["good_until"] = START_NS + (bar + int(rng.integers(6))) * DAY_NS
    first = _order(rng, asset, quantity, price, **more)
    shape = rng.random()
    if shape < 0.3:
        exits = [Bracket(0.02, 0.03), Bracket(stop_loss=0.02), Bracket(take_profit=0.02)]
        return [replace(first, bracket=exits[rng.integers(3)])]
    if shape < 0.45:  # one cancels the other
        other = _order(rng, asset, float(rng.choice([-1.0, 0.5])) * quantity, price, **more)
        return [replace(first, group=7), replace(other, group=7)]
    if shape < 0.6:
        child = _order(rng, asset, -quantity, price, bar=bar)
        return [first, replace(child, parent=at, reduces_only=bool(rng.random() < 0.7))]
    if shape < 0.7:
        trail = Order(asset, -quantity, "trailing_stop", trail=0.02, trail_is_fraction=True,
                      bar=bar, parent=at, reduces_only=True, is_offset=True)  # fmt: skip
        return [first, trail]
    if shape < 0.8:
        return [replace(first, reduces_only=True)]
    return [first]


def _order(rng, asset, quantity, price, **more):
    kind = str(rng.choice(["market", "limit", "stop", "stop_limit", "trailing_stop",
                           "market_on_open", "market_on_close"]))  # fmt: skip
    side = 1.0 if quantity > 0.0 else -1.0
    if kind in ("limit", "stop_limit"):
        more["limit_price"] = price * (1.0 - side * float(rng.uniform(-0.01, 0.03)))
    if kind in ("stop", "stop_limit"):
        more["stop_price"] = price * (1.0 + side * float(rng.uniform(-0.01, 0.03)))
    if kind == "trailing_stop":
        more["trail_is_fraction"] = bool(rng.random() < 0.5)
        more["trail"] = 0.02 * (1.0 if more["trail_is_fraction"] else price)
    return Order(asset, quantity, kind, **more)

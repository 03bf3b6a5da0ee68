"""What happens to an account without its doing: corporate actions, delistings, margin calls."""

import math

from backtests.engine.accounting import (
    apply_split,
    gross_exposure,
    margin_needed,
    pay_dividend,
)
from backtests.engine.book import append_order, split_orders, tidy, withdraw
from backtests.engine.dtypes import (
    Moment,
    OrderKind,
    OrderReason,
    OrderSource,
    Run,
    wide,
)
from backtests.engine.memory import (
    batch_at,
    cell,
    load,
    order_at,
    store_int,
    working_at,
)
from backtests.engine.settlement import settle_batch
from numerics.compilation import kernel_part

_MARKET = wide(OrderKind.MARKET)
_LIMIT = wide(OrderKind.LIMIT)
_DELISTING = wide(OrderSource.DELISTING)
_LIQUIDATION = wide(OrderSource.LIQUIDATION)
_DELISTED = wide(OrderReason.DELISTED)
_CALLED = wide(OrderReason.MARGIN_CALL)
_ACTION = wide(Moment.ACTION)
_NO_FLAGS = wide(0)
_ALONE = wide(1)


@kernel_part
def apply_actions(bar: int, run: Run) -> None:
    """Apply the splits, dividends and delistings that are effective at `bar`."""
    for asset in range(run.n_assets):
        if run.split != 0:
            ratio = cell(run.split, bar, asset, run)
            if not math.isnan(ratio) and ratio != 1.0:
                apply_split(bar, asset, ratio, run)
                split_orders(asset, ratio, run)
        if run.dividend != 0:
            amount = cell(run.dividend, bar, asset, run)
            if amount > 0.0 and load(run.position, asset) != 0.0:
                pay_dividend(bar, asset, amount, run)
        if run.delisted != 0 and cell(run.delisted, bar, asset, run) > 0.0:
            _delist(bar, asset, run)


@kernel_part
def _delist(bar: int, asset: int, run: Run) -> None:
    """Withdraw what waits and close the position at the last price, longs less the haircut.

    Notes
    -----
    The closing order is passive: nothing but fees is charged on a price that nobody trades at.
    """
    for k in range(run.n_working):
        at = working_at(k, run)
        if order_at(at, run)["instrument"] == asset:
            withdraw(at, bar, _DELISTED, run)
    tidy(run)
    store_int(run.is_delisted, asset, True)
    position = load(run.position, asset)
    if position == 0.0:
        return
    kept = 1.0 - run.delisting_haircut if position > 0.0 else 1.0
    at = append_order(bar, asset, -position, _LIMIT, _DELISTING, _NO_FLAGS, run)
    price = load(run.mark, asset) * kept
    order_at(at, run)["first_bar"] = bar
    order_at(at, run)["limit_price"] = price
    batch_at(0, run)["row"] = at
    batch_at(0, run)["quantity"] = -position
    batch_at(0, run)["price"] = price
    batch_at(0, run)["is_ambiguous"] = 0
    settle_batch(bar, _ACTION, _ALONE, run)
    tidy(run)


@kernel_part
def call_margin(bar: int, run: Run) -> bool:
    """Say whether the account has a margin call; at the first, order its liquidation.

    Notes
    -----
    Called when equity is below the maintenance margin of the gross exposure. Everything that
    works is withdrawn, and every position is reduced by one fraction, at the next open, to what
    both the maintenance margin and the leverage limit allow; all of it once equity is gone.
    """
    equity = run.equity
    if run.maintenance == 0.0 and equity >= 0.0:
        return False
    gross = gross_exposure(bar, run)
    if gross == 0.0 or equity >= margin_needed(bar, run):
        return False
    for k in range(run.n_working):
        if order_at(working_at(k, run), run)["source"] == _LIQUIDATION:
            return True
    for k in range(run.n_working):
        withdraw(working_at(k, run), bar, _CALLED, run)
    tidy(run)
    run.margin_calls += 1
    allowed = min(run.max_leverage * equity, equity / max(run.maintenance, 1e-12))
    fraction = 1.0 if equity <= 0.0 else 1.0 - allowed / gross
    for asset in range(run.n_assets):
        position = load(run.position, asset)
        if position == 0.0:
            continue
        quantity = -position * fraction
        lot = load(run.lot, asset)
        if lot > 0.0:
            quantity = math.copysign(math.ceil(abs(quantity) / lot) * lot, quantity)
            quantity = -position if abs(quantity) > abs(position) else quantity
        at = append_order(bar, asset, quantity, _MARKET, _LIQUIDATION, _NO_FLAGS, run)
        order_at(at, run)["first_bar"] = bar + 1
    return True

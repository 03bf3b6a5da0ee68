"""What one fill costs: each kind on its own, in the account's currency."""

import math

from backtests.engine.book import on_tick
from backtests.engine.dtypes import (
    NO_IMPACT,
    SQUARE_ROOT_IMPACT,
    Moment,
    OrderKind,
    Run,
    wide,
)
from backtests.engine.memory import (
    cell,
    load,
    load_int,
)
from backtests.engine.valuation import unit_value
from numerics.compilation import kernel_part

_LIMIT = wide(OrderKind.LIMIT)
_STOP_LIMIT = wide(OrderKind.STOP_LIMIT)
_OPEN = wide(Moment.OPEN)
_ACTION = wide(Moment.ACTION)
_FIRST = wide(0)


@kernel_part
def is_passive(kind: int) -> bool:
    """Say whether an order of this kind waits at its price and so crosses no spread."""
    return kind in (_LIMIT, _STOP_LIMIT)


@kernel_part
def measured_spread(bar: int, asset: int, moment: int, run: Run) -> float:
    """Return the half spread the bars carry for that moment [currency per unit]; 0 for none."""
    if moment == _OPEN and run.spread_open != 0:
        measured: float = cell(run.spread_open, bar, asset, run)
        return 0.0 if math.isnan(measured) else measured
    if run.spread_close != 0:
        at_close: float = cell(run.spread_close, bar, asset, run)
        return 0.0 if math.isnan(at_close) else at_close
    return 0.0


@kernel_part
def half_spread_per_unit(
    bar: int, asset: int, moment: int, price: float, kind: int, run: Run
) -> float:
    """Return the half spread of one unit [currency of the instrument].

    Notes
    -----
    A measured one replaces the assumed one, and is paid by passive orders too: their price is
    then a quote on the other side of the mid. An assumed one is not paid by passive orders.
    A delisting knows no quotes.
    """
    if moment == _ACTION:
        return 0.0
    if moment == _OPEN and run.spread_open != 0:
        measured = cell(run.spread_open, bar, asset, run)
        if not math.isnan(measured):
            return float(measured)
    elif run.spread_close != 0:
        measured = cell(run.spread_close, bar, asset, run)
        if not math.isnan(measured):
            return float(measured)
    if is_passive(kind):
        return 0.0
    return float(price * load(run.half_spread_rate, asset))


@kernel_part
def slippage_per_unit(price: float, kind: int, run: Run) -> float:
    """Return the slippage of one unit [currency of the instrument]; passive orders have none."""
    return 0.0 if is_passive(kind) else price * run.slippage_rate


@kernel_part
def impact_per_unit(
    bar: int, asset: int, quantity: float, price: float, kind: int, run: Run
) -> float:
    """Return by how much one's own order moves its price [currency of the instrument].

    Parameters
    ----------
    quantity : float
        Units of the fill; only its size counts.

    Notes
    -----
    Square root: ``Y sigma sqrt(Q / V) p``. Linear: ``(eta + gamma / 2) sigma (Q / V) p``, with eta
    temporary and gamma permanent: an order pays half of the permanent shift on its way. sigma and
    V are of equal horizon, known before the bar; where either is missing there is no impact.

    References
    ----------
    .. [1] Almgren, Thum, Hauptmann and Li (2005), "Direct estimation of equity market impact".
    .. [2] Toth et al. (2011), "Anomalous price impact and the critical nature of liquidity",
       Physical Review X 1, 021006.
    """
    if run.impact_kind == NO_IMPACT or is_passive(kind):
        return 0.0
    sigma = cell(run.impact_sigma, bar, asset, run)
    volume = cell(run.impact_volume, bar, asset, run)
    if not (sigma > 0.0 and volume > 0.0):
        return 0.0
    share = abs(quantity) / volume
    if run.impact_kind == SQUARE_ROOT_IMPACT:
        return float(run.impact_y * sigma * math.sqrt(share) * price)
    return float((run.impact_y + 0.5 * run.impact_permanent) * sigma * share * price)


@kernel_part
def paid_per_unit(
    bar: int, asset: int, moment: int, quantity: float, price: float, kind: int, run: Run
) -> tuple[float, float, float, float]:
    """Return the price of a fill, and the half spread, slippage and impact that lead to it.

    Notes
    -----
    Nobody sells below zero. What rounding to the tick takes is slippage.
    """
    spread = half_spread_per_unit(bar, asset, moment, price, kind, run)
    slip = slippage_per_unit(price, kind, run)
    impact = impact_per_unit(bar, asset, quantity, price, kind, run)
    side = 1.0 if quantity > 0.0 else -1.0
    if side < 0.0 and not spread + slip + impact < price:
        spread = min(spread, price)
        slip = min(slip, price - spread)
        impact = min(impact, max(price - spread - slip, 0.0))
    paid = price + side * (spread + slip + impact)
    tick = load(run.tick, asset)
    if tick > 0.0 and not is_passive(kind):
        rounded = on_tick(paid, tick, side > 0.0)
        slip = max(slip + side * (rounded - paid), 0.0)  # not below by a rounding error
        paid = rounded
    return paid, spread, slip, impact


@kernel_part
def outright_cost(price: float, quantity: float, run: Run) -> tuple[float, float, float]:
    """Return half spread, slippage and price paid per unit of a plain market order.

    Notes
    -----
    What `paid_per_unit` gives of a first instrument without measured spread, impact or tick; a
    price not above zero says that the costs exceed it.
    """
    spread = price * load(run.half_spread_rate, _FIRST)
    slip = price * run.slippage_rate
    adverse = spread + slip
    return spread, slip, price + adverse if quantity > 0.0 else price - adverse


@kernel_part
def commission_rate(run: Run) -> float:
    """Return the rate in force; with tiers, the one of the notional traded this month."""
    rate = run.commission_rate
    for tier in range(run.n_tiers):
        if run.month_notional >= load(run.tiers, 2 * tier):
            rate = load(run.tiers, 2 * tier + 1)
    return rate


@kernel_part
def commission(quantity: float, notional: float, is_first: bool, rate: float, run: Run) -> float:
    """Return the commission of one fill [account currency]; 0 for no fill.

    Parameters
    ----------
    notional : float
        Size of the fill at the price paid [account currency], >= 0.
    is_first : bool
        Whether the order has not paid its fee per order yet.
    rate : float
        Share of the notional, as `commission_rate` gives it.
    """
    if quantity == 0.0:
        return 0.0
    fee = notional * rate + abs(quantity) * run.commission_per_share
    fee = min(max(fee, run.commission_minimum), run.commission_maximum)
    return fee + run.commission_per_order if is_first else fee


@kernel_part
def tax_rate(quantity: float, run: Run) -> float:
    """Return the tax on a purchase or a sale as a share of its notional."""
    rate: float = run.buy_tax_rate if quantity > 0.0 else run.sell_tax_rate
    return rate


@kernel_part
def tax(quantity: float, notional: float, run: Run) -> float:
    """Return the tax on a purchase or a sale [account currency]."""
    return notional * tax_rate(quantity, run)


@kernel_part
def conversion(asset: int, notional: float, run: Run) -> float:
    """Return what changing money costs [account currency]; column 0 is the account's own."""
    if run.conversion_rate == 0.0 or load_int(run.currency, asset) == 0:
        return 0.0
    return notional * run.conversion_rate


@kernel_part
def cost_of(
    bar: int,
    asset: int,
    moment: int,
    quantity: float,
    price: float,
    kind: int,
    is_first: bool,
    rate: float,
    run: Run,
) -> float:
    """Return all costs of one fill [account currency], >= 0."""
    value = unit_value(bar, asset, moment, run)
    paid, spread, slip, impact = paid_per_unit(bar, asset, moment, quantity, price, kind, run)
    adverse = spread + slip + impact
    size = abs(quantity)
    notional = size * paid * value
    return (
        size * adverse * value
        + commission(quantity, notional, is_first, rate, run)
        + tax(quantity, notional, run)
        + conversion(asset, notional, run)
    )


@kernel_part
def cost_per_unit(
    bar: int,
    asset: int,
    moment: int,
    quantity: float,
    price: float,
    kind: int,
    rate: float,
    run: Run,
) -> float:
    """Return all costs that grow with the quantity, per unit at this quantity [account currency].

    Notes
    -----
    Impact falls with the size, so for less than `quantity` this is an upper bound.
    """
    value = unit_value(bar, asset, moment, run)
    price_paid, spread, slip, impact = paid_per_unit(bar, asset, moment, quantity, price, kind, run)
    adverse = spread + slip + impact
    paid = price_paid * value
    changed = conversion(asset, paid, run)
    rates = rate + tax_rate(quantity, run)
    return adverse * value + paid * rates + run.commission_per_share + changed

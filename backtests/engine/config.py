"""Frozen settings of a simulation; each refuses what is outside its domain."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np

from backtests.engine.errors import SettingsError

# Raised with every change that can alter a result of the same inputs; part of each result's digest.
ENGINE_VERSION = "0.3.3"

# What counts as a number in a setting; those of numpy come out of every loop over an array.
Number = int | float | np.integer | np.floating

FillMoment = Literal["next_open", "next_close", "same_close_with_look_ahead"]
Intrabar = Literal["pessimistic", "optimistic", "path"]
Shortfall = Literal["scale", "reject"]


@dataclass(frozen=True, slots=True)
class Fills:
    """When and how far orders fill.

    Parameters
    ----------
    at : {"next_open", "next_close", "same_close_with_look_ahead"}
        Where market orders fill: at the open or the close of the next bar in which the instrument
        trades. Bars without opens fill at the next close, and the result carries a caveat that
        says so. The last choice fills at the very close the decision saw, which nobody can; the
        result carries a caveat, unless latency puts the fill at a later close.
    intrabar : {"pessimistic", "optimistic", "path"}
        What is taken to have happened first where a bar allows several things: the stop, the
        limit, or what comes first on the way open, nearer extreme, other extreme, close (the low
        first when both are as near).
    limit_fill : {"touch", "through"}
        Whether a limit fills when the price reaches it, or only when it goes beyond.
    max_participation : float or None
        Largest share of a bar's volume that is traded, in (0, 1]; the rest waits, or ends with an
        order that may not wait. None = no limit. Needs volumes.
    minimum_notional : float
        Orders smaller than this at the last close are refused [account currency], >= 0; one that
        closes a position whole never is.
    latency_bars : int
        Bars between a decision and the first bar its orders may fill in, beyond the next, >= 0.
    """

    at: FillMoment = "next_open"
    intrabar: Intrabar = "pessimistic"
    limit_fill: Literal["touch", "through"] = "touch"
    max_participation: float | None = None
    minimum_notional: float = 0.0
    latency_bars: int = 0

    def __post_init__(self) -> None:
        moments = ("next_open", "next_close", "same_close_with_look_ahead")
        _require_choice("Fills.at", self.at, moments)
        _require_choice("Fills.intrabar", self.intrabar, ("pessimistic", "optimistic", "path"))
        _require_choice("Fills.limit_fill", self.limit_fill, ("touch", "through"))
        if self.max_participation is not None:
            require_number("Fills.max_participation", self.max_participation, above=0.0, most=1.0)
        require_number("Fills.minimum_notional", self.minimum_notional, least=0.0)
        require_whole("Fills.latency_bars", self.latency_bars, least=0, most=1_000_000)

    @property
    def has_look_ahead(self) -> bool:
        """Whether orders fill at the close that they were decided on; later ones can be had."""
        return self.at == "same_close_with_look_ahead" and self.latency_bars == 0


@dataclass(frozen=True, slots=True)
class SquareRootImpact:
    """Impact ``y * sigma * sqrt(Q / V)`` of the price.

    Parameters
    ----------
    y : float
        Of order one; >= 0.

    References
    ----------
    .. [1] Toth et al. (2011), "Anomalous price impact and the critical nature of liquidity",
       Physical Review X 1, 021006.
    """

    y: float = 0.9

    def __post_init__(self) -> None:
        require_number("SquareRootImpact.y", self.y, least=0.0)


@dataclass(frozen=True, slots=True)
class LinearImpact:
    """Impact ``(temporary + permanent / 2) * sigma * Q / V`` of the price.

    The permanent part shifts the price for good; of one order, half of it is paid on the way. The
    bars of the past do not move with it: later orders do not pay for it again.

    Parameters
    ----------
    temporary, permanent : float
        Almgren and Chriss's eta and gamma in units of sigma, >= 0.

    References
    ----------
    .. [1] Almgren and Chriss (2001), "Optimal execution of portfolio transactions", Journal of
       Risk 3(2), eq. 4-8.
    """

    temporary: float = 0.14
    permanent: float = 0.31

    def __post_init__(self) -> None:
        require_number("LinearImpact.temporary", self.temporary, least=0.0)
        require_number("LinearImpact.permanent", self.permanent, least=0.0)


@dataclass(frozen=True, slots=True)
class Costs:
    """What a fill of q units at reference price p costs, in account currency.

    Parameters
    ----------
    commission_bps : float
        Commission on the notional at the price paid [1/10,000], >= 0.
    commission_per_share, commission_per_order : float
        Commission per unit, and once per order with its first fill [currency], >= 0; added.
    commission_minimum, commission_maximum : float
        Least and highest commission of one fill, fee per order apart [currency], >= 0.
    commission_tiers : sequence of (float, float)
        Notional traded so far in the calendar month (UTC), and the commission from there on
        [1/10,000]; increasing. Replaces `commission_bps` from the first of them.
    buy_tax_bps, sell_tax_bps : float
        Taxes on the notional of purchases and sales [1/10,000], >= 0.
    half_spread_bps : float, sequence of float, or "corwin_schultz"
        Half spread as a share of the reference price [1/10,000], in [0, 10,000), for all
        instruments or one each; or estimated from the highs and lows of the two bars before, after
        Corwin and Schultz (2012), and then taken as if measured. Buys pay p (1 + h), sells receive
        p (1 - h); limit orders wait for their price and pay none. Where the bars carry a measured
        half spread for the bar of the fill, that one replaces this assumption; the two are never
        added.
    slippage_bps : float
        Further loss of all orders but limit orders, as a share of the price [1/10,000].
    impact : SquareRootImpact or LinearImpact, optional
        Needs volumes, or `adv` and `sigma` of the bars.
    borrow_bps_per_year : float
        Fee on the value of shorts [1/10,000 per year], where the bars name none.
    conversion_bps : float
        Cost of changing money on fills in another currency [1/10,000 of the notional].
    """

    commission_bps: float = 0.0
    commission_per_share: float = 0.0
    commission_minimum: float = 0.0
    half_spread_bps: float | Sequence[float] | Literal["corwin_schultz"] = 0.0
    slippage_bps: float = 0.0
    impact: SquareRootImpact | LinearImpact | None = None
    commission_per_order: float = 0.0
    commission_maximum: float = math.inf
    commission_tiers: Sequence[tuple[float, float]] = ()
    buy_tax_bps: float = 0.0
    sell_tax_bps: float = 0.0
    borrow_bps_per_year: float = 0.0
    conversion_bps: float = 0.0

    def __post_init__(self) -> None:
        for name in (
            *("commission_bps", "commission_per_share", "commission_minimum"),
            *("commission_per_order", "borrow_bps_per_year"),
        ):
            require_number(f"Costs.{name}", getattr(self, name), least=0.0)
        for name in ("slippage_bps", "buy_tax_bps", "sell_tax_bps", "conversion_bps"):
            require_number(f"Costs.{name}", getattr(self, name), least=0.0, below=10_000.0)
        if self.commission_maximum != math.inf:
            least = self.commission_minimum
            require_number("Costs.commission_maximum", self.commission_maximum, least=least)
        self._check_spread()
        self._check_tiers()
        if not isinstance(self.impact, SquareRootImpact | LinearImpact | None):
            raise SettingsError(
                f"Costs.impact must be SquareRootImpact or LinearImpact, not {self.impact!r}."
            )

    def _check_spread(self) -> None:
        given = self.half_spread_bps
        if isinstance(given, str):
            _require_choice("Costs.half_spread_bps", given, ("corwin_schultz",))
            return
        if isinstance(given, Number):
            require_number("Costs.half_spread_bps", given, least=0.0, below=10_000.0)
            return
        each = tuple(given)
        for value in each:
            require_number("Costs.half_spread_bps", value, least=0.0, below=10_000.0)
        object.__setattr__(self, "half_spread_bps", each)

    def _check_tiers(self) -> None:
        tiers = tuple((notional, bps) for notional, bps in self.commission_tiers)
        for notional, bps in tiers:
            require_number("Costs.commission_tiers", notional, least=0.0)
            require_number("Costs.commission_tiers", bps, least=0.0)
        if any(later[0] <= earlier[0] for earlier, later in pairwise(tiers)):
            raise SettingsError("Costs.commission_tiers must begin at increasing notionals.")
        object.__setattr__(self, "commission_tiers", tiers)


@dataclass(frozen=True, slots=True)
class Account:
    """The account that trades.

    Parameters
    ----------
    capital : float
        Cash before the first bar [currency], > 0.
    currency : str
        Of the account. Instruments in another one need `rates` in the bars.
    max_leverage : float
        Highest gross exposure after a fill, as a multiple of equity, > 0; `math.inf` for no limit.
        Long or short, each unit of gross exposure uses the same buying power.
    on_shortfall : {"scale", "reject"}
        What happens when orders that open or enlarge positions need more buying power than there
        is: all of them shrink by one factor, or those that no longer fit are refused one by one
        (sells first, then in turn). Orders that reduce positions are never refused.
    maintenance_margin : float or None
        Below this share of the gross exposure, equity is called and positions are liquidated by
        market orders, in [0, 1]; 0 does so once equity is negative, None never.
    cash_rate, margin_rate : float
        Interest per year [fraction] earned by cash that is not the proceeds of shorts, and paid
        on negative cash; simple, by calendar time.
    delisting_haircut : float
        Share of the last price that a long position loses when its instrument is delisted, in
        [0, 1].
    """

    capital: float = 1_000_000.0
    currency: str = "USD"
    max_leverage: float = 1.0
    on_shortfall: Shortfall = "scale"
    maintenance_margin: float | None = 0.0
    cash_rate: float = 0.0
    margin_rate: float = 0.0
    delisting_haircut: float = 0.0

    def __post_init__(self) -> None:
        require_number("Account.capital", self.capital, above=0.0)
        if not (self.max_leverage == math.inf and isinstance(self.max_leverage, float)):
            require_number("Account.max_leverage", self.max_leverage, above=0.0)
        _require_choice("Account.on_shortfall", self.on_shortfall, ("scale", "reject"))
        if not self.currency or not isinstance(self.currency, str):
            raise SettingsError("Account.currency must name a currency.")
        if self.maintenance_margin is not None:
            require_number(
                "Account.maintenance_margin", self.maintenance_margin, least=0.0, most=1.0
            )
        for name in ("cash_rate", "margin_rate"):
            require_number(f"Account.{name}", getattr(self, name), least=-1.0, most=10.0)
        require_number("Account.delisting_haircut", self.delisting_haircut, least=0.0, most=1.0)


class Setup(NamedTuple):
    """The three settings of a run."""

    fills: Fills
    costs: Costs
    account: Account


def as_document(*settings: Fills | Costs | Account) -> dict[str, dict[str, object]]:
    """Return settings as one plain document, floats as exact hexadecimal text."""
    return {type(part).__name__: _plain(_named(part)) for part in settings}


def _named(part: Fills | Costs | Account) -> dict[str, Any]:
    """Return a setting's fields; an impact model keeps its name."""
    fields = asdict(part)
    impact = getattr(part, "impact", None)
    if impact is not None:
        fields["impact"] = {"kind": type(impact).__name__, **fields["impact"]}
    return fields


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return float(value).hex() if isinstance(value, Number) else value


def _require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingsError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")


def require_number(
    name: str,
    value: object,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
) -> None:
    """Refuse what is not a finite number in the given range.

    Raises
    ------
    SettingsError
        Names the setting, the bound and the value.
    """
    if isinstance(value, bool) or not isinstance(value, Number) or not math.isfinite(value):
        raise SettingsError(f"{name} must be a finite number, not {value!r}.")
    if value < least:
        raise SettingsError(f"{name} must be at least {least:g}, not {value!r}.")
    if value <= above:
        raise SettingsError(f"{name} must be above {above:g}, not {value!r}.")
    if value > most:
        raise SettingsError(f"{name} must be at most {most:g}, not {value!r}.")
    if value >= below:
        raise SettingsError(f"{name} must be below {below:,g}, not {value!r}.")


def require_whole(name: str, value: object, *, least: int, most: int) -> None:
    """Refuse what is not a whole number in the given range.

    Raises
    ------
    SettingsError
        Names the setting, the bound and the value.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise SettingsError(f"{name} must be a whole number, not {value!r}.")
    require_number(name, value, least=least, most=most)

"""Frozen settings of a simulation; each refuses what is outside its domain."""

import math
from dataclasses import asdict, dataclass, fields
from typing import Literal

from backtests.engine.errors import SettingsError

# Raised with every change that can alter a result of the same inputs; part of each result's digest.
ENGINE_VERSION = "0.2.0"

FillMoment = Literal["next_open", "next_close"]
Shortfall = Literal["scale", "reject"]


@dataclass(frozen=True, slots=True)
class Fills:
    """When a decision of bar t is filled.

    Parameters
    ----------
    at : {"next_open", "next_close"}
        The open or the close of the next bar in which the instrument trades. Bars without opens
        fill at the next close, and the result carries a caveat that says so.
    """

    at: FillMoment = "next_open"

    def __post_init__(self) -> None:
        _require_choice("Fills.at", self.at, ("next_open", "next_close"))


@dataclass(frozen=True, slots=True)
class Costs:
    """What a fill of q units at reference price p costs, in account currency.

    Parameters
    ----------
    commission_bps : float
        Commission on the notional at the fill price [1/10,000], >= 0.
    commission_per_share : float
        Commission per unit [currency], >= 0; added to the former.
    commission_minimum : float
        Least commission of one fill [currency], >= 0.
    half_spread_bps : float
        Half spread as a share of the reference price [1/10,000], in [0, 10,000): buys pay
        p (1 + h), sells receive p (1 - h). Where the bars carry a measured half spread for the
        bar of the fill, that one replaces this assumption; the two are never added.
    """

    commission_bps: float = 0.0
    commission_per_share: float = 0.0
    commission_minimum: float = 0.0
    half_spread_bps: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            _require_number(f"Costs.{field.name}", getattr(self, field.name), least=0.0)
        if self.half_spread_bps >= 10_000.0:
            raise SettingsError(
                f"Costs.half_spread_bps must be below 10,000 (the price itself), "
                f"not {self.half_spread_bps!r}."
            )


@dataclass(frozen=True, slots=True)
class Account:
    """The account that trades.

    Parameters
    ----------
    capital : float
        Cash before the first bar [currency], > 0.
    currency : str
        Must be the currency of the bars: amounts are not converted.
    max_leverage : float
        Highest gross exposure after a fill, as a multiple of equity, > 0; `math.inf` for no limit.
        Long or short, each unit of gross exposure uses the same buying power.
    on_shortfall : {"scale", "reject"}
        What happens when orders that open or enlarge positions need more buying power than there
        is: all of them shrink by one factor, or those that no longer fit are refused one by one
        (sells first, then buys, by column). Orders that reduce positions are never refused.
    """

    capital: float = 1_000_000.0
    currency: str = "USD"
    max_leverage: float = 1.0
    on_shortfall: Shortfall = "scale"

    def __post_init__(self) -> None:
        _require_number("Account.capital", self.capital, above=0.0)
        if not (self.max_leverage == math.inf and isinstance(self.max_leverage, float)):
            _require_number("Account.max_leverage", self.max_leverage, above=0.0)
        _require_choice("Account.on_shortfall", self.on_shortfall, ("scale", "reject"))
        if not self.currency or not isinstance(self.currency, str):
            raise SettingsError("Account.currency must name a currency.")


def as_document(*settings: Fills | Costs | Account) -> dict[str, dict[str, object]]:
    """Return settings as one plain document, floats as exact hexadecimal text."""
    return {
        type(part).__name__: {
            name: float(value).hex() if isinstance(value, int | float) else value
            for name, value in asdict(part).items()
        }
        for part in settings
    }


def _require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SettingsError(f"{name} must be one of {', '.join(choices)}, not {value!r}.")


def _require_number(
    name: str, value: object, *, least: float = -math.inf, above: float = -math.inf
) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):  # type: ignore[arg-type]  # narrowed by is_number
        raise SettingsError(f"{name} must be a finite number, not {value!r}.")
    if value < least:  # type: ignore[operator]  # narrowed by is_number
        raise SettingsError(f"{name} must be at least {least:g}, not {value!r}.")
    if value <= above:  # type: ignore[operator]  # narrowed by is_number
        raise SettingsError(f"{name} must be above {above:g}, not {value!r}.")

"""From a run's spec to the engine's settings: the one place where the two meet."""

import math
from collections.abc import Callable
from typing import Any

from backtests.engine import Account, Costs, Fills, LinearImpact, SquareRootImpact
from backtests.engine.config import Setup
from backtests.runspec import RunSpec

IMPACTS: dict[str, Callable[..., SquareRootImpact | LinearImpact]] = {
    "sqrt": SquareRootImpact,
    "linear": LinearImpact,
}


def setup_of(spec: RunSpec) -> Setup:
    """Return the fills, costs and account that a spec asks for."""
    return Setup(fills=Fills(**spec.fills.model_dump()), costs=_costs(spec), account=_account(spec))


def _costs(spec: RunSpec) -> Costs:
    stated: dict[str, Any] = spec.costs.model_dump()
    stated["commission_maximum"] = _limit(stated["commission_maximum"])
    if impact := stated["impact"]:
        stated["impact"] = IMPACTS[impact.pop("kind")](**impact)
    return Costs(**stated)


def _account(spec: RunSpec) -> Account:
    stated: dict[str, Any] = spec.account.model_dump()
    stated["max_leverage"] = _limit(stated["max_leverage"])
    return Account(capital=spec.capital, currency=spec.currency, **stated)


def _limit(stated: float | None) -> float:
    """Return a limit as the engine has it; null is none."""
    return math.inf if stated is None else stated

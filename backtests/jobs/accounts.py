"""One parameter set of a study run again, alone and through all bars."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backtests import search
from backtests.engine import Result, Targets, simulate
from backtests.jobs import backtest
from backtests.jobs.folds import Parts
from backtests.jobs.settings import setup_of
from backtests.jobs.trials import Bench
from backtests.runspec import RunSpec
from strategies.pipeline import TargetWeights


def composed(bench: Bench, parameters: Mapping[str, Any]) -> TargetWeights:
    """Return the target weights of a parameter set on the whole history."""
    spec = RunSpec.model_validate(search.apply(bench.document, parameters))
    return backtest.decide(spec, bench.market)


def account_of(bench: Bench, parameters: Mapping[str, Any]) -> Result:
    """Return the account that a parameter set has, from the first bar of the study on."""
    spec = RunSpec.model_validate(search.apply(bench.document, parameters))
    weights = composed(bench, parameters).weights[bench.market.start :]
    return simulate(bench.bars, Targets(weights, kind="weights"), **setup_of(spec)._asdict())


def returns_of(result: Result) -> NDArray[np.float64]:
    """Return the return of every bar, the first included; 0 once the equity is gone."""
    return np.nan_to_num(Parts.of(result).returns)

"""Regret, A/A and replay: what policies would do, before they do it."""

from experiments.simulation.environments import Environment
from experiments.simulation.errors import ReturnsError, SettingsError, SimulationError
from experiments.simulation.features import (
    contexts_of,
    momentum,
    standardized,
    turbulence,
    volatility,
)
from experiments.simulation.regimes import RegimeResult, Regimes, compare_regimes
from experiments.simulation.replaying import replay
from experiments.simulation.results import (
    Collected,
    Comparison,
    Curve,
    PolicyResult,
    RegimeFigures,
    ReplayComparison,
    ReplayResult,
)
from experiments.simulation.running import collect, simulate

__all__ = [
    "Collected",
    "Comparison",
    "Curve",
    "Environment",
    "PolicyResult",
    "RegimeFigures",
    "RegimeResult",
    "Regimes",
    "ReplayComparison",
    "ReplayResult",
    "ReturnsError",
    "SettingsError",
    "SimulationError",
    "collect",
    "compare_regimes",
    "contexts_of",
    "momentum",
    "replay",
    "simulate",
    "standardized",
    "turbulence",
    "volatility",
]

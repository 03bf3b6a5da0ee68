"""Regret, A/A and replay: what policies would do, before they do it."""

from experiments.simulation.environments import Environment
from experiments.simulation.errors import ReturnsError, SettingsError, SimulationError
from experiments.simulation.regimes import RegimeResult, Regimes, compare_regimes
from experiments.simulation.results import (
    Collected,
    Comparison,
    Curve,
    PolicyResult,
    ReplayComparison,
    ReplayResult,
)
from experiments.simulation.running import collect, replay, simulate

__all__ = [
    "Collected",
    "Comparison",
    "Curve",
    "Environment",
    "PolicyResult",
    "RegimeResult",
    "Regimes",
    "ReplayComparison",
    "ReplayResult",
    "ReturnsError",
    "SettingsError",
    "SimulationError",
    "collect",
    "compare_regimes",
    "replay",
    "simulate",
]

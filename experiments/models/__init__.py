"""Tables of experiments: what they are, and what was recorded of them."""

from experiments.models.definitions import Allocation, Arm, Experiment, Layer, Metric
from experiments.models.records import (
    Analysis,
    Exposure,
    Outcome,
    OutcomeKey,
    PeriodStatistic,
    SketchBin,
    Tally,
)

__all__ = [
    "Allocation",
    "Analysis",
    "Arm",
    "Experiment",
    "Exposure",
    "Layer",
    "Metric",
    "Outcome",
    "OutcomeKey",
    "PeriodStatistic",
    "SketchBin",
    "Tally",
]

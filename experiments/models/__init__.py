"""Tables of experiments: what they are, and what was recorded of them."""

from experiments.models.definitions import Allocation, Arm, Experiment, Layer, Metric
from experiments.models.records import (
    Analysis,
    Exposure,
    ExposureCount,
    Outcome,
    OutcomeKey,
    PeriodStatistic,
    SketchBin,
    Tally,
    UnitStatistic,
    UnitTotal,
)

__all__ = [
    "Allocation",
    "Analysis",
    "Arm",
    "Experiment",
    "Exposure",
    "ExposureCount",
    "Layer",
    "Metric",
    "Outcome",
    "OutcomeKey",
    "PeriodStatistic",
    "SketchBin",
    "Tally",
    "UnitStatistic",
    "UnitTotal",
]

"""Inference that stays right however often one looks.

`planned_sequence` is the default for returns; docs/experiments.md says what the others are for.
"""

from experiments.statistics.sequential.boundaries import (
    MixtureBoundary,
    PlannedBoundary,
    ScheduledBoundary,
    planned_constant,
)
from experiments.statistics.sequential.bounded import (
    BoundedStream,
    bernstein_sequence,
    betting_evidence,
    betting_sequence,
)
from experiments.statistics.sequential.evidence import (
    averaged,
    calibrated,
    discoveries,
    multiplied,
    p_value_of,
)
from experiments.statistics.sequential.regression import regression_sequence
from experiments.statistics.sequential.running import Looks, RunningMean
from experiments.statistics.sequential.schedules import (
    Schedule,
    classic_schedule,
    conditional_power,
    schedule,
    spent,
    with_futility,
)
from experiments.statistics.sequential.sequences import (
    Sequence,
    SequenceStream,
    asymptotic_sequence,
    asymptotic_stream,
    group_sequential,
    msprt,
    msprt_stream,
    planned_sequence,
    planned_stream,
)
from experiments.statistics.sequential.verdicts import Decision, Verdict, judge

__all__ = [
    "BoundedStream",
    "Decision",
    "Looks",
    "MixtureBoundary",
    "PlannedBoundary",
    "RunningMean",
    "Schedule",
    "ScheduledBoundary",
    "Sequence",
    "SequenceStream",
    "Verdict",
    "asymptotic_sequence",
    "asymptotic_stream",
    "averaged",
    "bernstein_sequence",
    "betting_evidence",
    "betting_sequence",
    "calibrated",
    "classic_schedule",
    "conditional_power",
    "discoveries",
    "group_sequential",
    "judge",
    "msprt",
    "msprt_stream",
    "multiplied",
    "p_value_of",
    "planned_constant",
    "planned_sequence",
    "planned_stream",
    "regression_sequence",
    "schedule",
    "spent",
    "with_futility",
]

"""Unit to arm, by hashing.

In a notebook::

    from datetime import UTC, datetime
    from experiments.assignment import AssignmentSettings, assign

    settings = AssignmentSettings(salt="pilot", arms=("champion", "challenger"), weights=(0.5, 0.5))
    assign("AAPL", {}, settings, datetime.now(UTC)).arm
"""

from experiments.assignment.allocation import Assignment, Reason, assign
from experiments.assignment.arms import (
    arm_position,
    arm_positions,
    arm_thresholds,
    least_moved_share,
    moved_share,
)
from experiments.assignment.buckets import N_BUCKETS, bucket, buckets_of, point, threshold
from experiments.assignment.contexts import Context
from experiments.assignment.errors import (
    AssignmentError,
    ContextError,
    LayerError,
    RampError,
    SettingsError,
    TargetingError,
    UnitError,
)
from experiments.assignment.layers import (
    WHOLE,
    Range,
    allocate_ranges,
    free_ranges,
    read_ranges,
    require_exclusive,
    total_share,
)
from experiments.assignment.ramps import Ramp, RampStep
from experiments.assignment.settings import AssignmentSettings
from experiments.assignment.targeting import Condition, read_targeting

__all__ = [
    "N_BUCKETS",
    "WHOLE",
    "Assignment",
    "AssignmentError",
    "AssignmentSettings",
    "Condition",
    "Context",
    "ContextError",
    "LayerError",
    "Ramp",
    "RampError",
    "RampStep",
    "Range",
    "Reason",
    "SettingsError",
    "TargetingError",
    "UnitError",
    "allocate_ranges",
    "arm_position",
    "arm_positions",
    "arm_thresholds",
    "assign",
    "bucket",
    "buckets_of",
    "free_ranges",
    "least_moved_share",
    "moved_share",
    "point",
    "read_ranges",
    "read_targeting",
    "require_exclusive",
    "threshold",
    "total_share",
]

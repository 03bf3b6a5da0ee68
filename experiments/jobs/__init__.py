"""What workers do for experiments: look at them, act as their plans say, hand on what was found."""

from experiments.jobs.analyses import analyze_experiment, list_due
from experiments.jobs.folding import fold_shards
from experiments.jobs.forgetting import forget_units
from experiments.jobs.handing import evidence_due, hand_in_evidence
from experiments.jobs.partitions import keep_partitions

__all__ = [
    "analyze_experiment",
    "evidence_due",
    "fold_shards",
    "forget_units",
    "hand_in_evidence",
    "keep_partitions",
    "list_due",
]

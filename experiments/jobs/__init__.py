"""What workers do for experiments: look at them, act as their plans say, keep their tables."""

from experiments.jobs.analyses import analyze_experiment, list_due
from experiments.jobs.folding import fold_shards
from experiments.jobs.partitions import keep_partitions

__all__ = ["analyze_experiment", "fold_shards", "keep_partitions", "list_due"]

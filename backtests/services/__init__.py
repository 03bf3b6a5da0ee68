"""Web-side verbs of datasets and runs: check, write, audit, enqueue."""

from backtests.services.datasets import move_dataset, request_import
from backtests.services.queueing import estimate_run, queue_run
from backtests.services.repeating import check_causality, reproduce_run
from backtests.services.running import cancel_run, keep_run, prioritize_run
from backtests.services.upkeep import collect_files, prune_artifacts

__all__ = [
    "cancel_run",
    "check_causality",
    "collect_files",
    "estimate_run",
    "keep_run",
    "move_dataset",
    "prioritize_run",
    "prune_artifacts",
    "queue_run",
    "reproduce_run",
    "request_import",
]

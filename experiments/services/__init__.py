"""Web-side verbs of experiments: check, move, audit, enqueue."""

from experiments.services.allocations import reallocate
from experiments.services.catalog import create_experiment, parse_plan, revise_experiment
from experiments.services.exporting import Export, export_rows
from experiments.services.life import (
    SameArms,
    archive_experiment,
    conclude_experiment,
    pause_experiment,
    resume_experiment,
    start_experiment,
)
from experiments.services.rebuilding import rebuild_unit_sums
from experiments.services.steps import may_run

__all__ = [
    "Export",
    "SameArms",
    "archive_experiment",
    "conclude_experiment",
    "create_experiment",
    "export_rows",
    "may_run",
    "parse_plan",
    "pause_experiment",
    "reallocate",
    "rebuild_unit_sums",
    "resume_experiment",
    "revise_experiment",
    "start_experiment",
]

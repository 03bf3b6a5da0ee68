"""Questions about experiments: rows, plans, and the sums that analyses are made of."""

from experiments.selectors.board import Board, get_board, history_of, write_differences
from experiments.selectors.comparing import CellsUnknown, SumDiffers, compare_unit_sums
from experiments.selectors.concluded import list_past_effects
from experiments.selectors.detecting import (
    Detectability,
    detectability,
    what_it_shows,
    when_first_interval,
)
from experiments.selectors.policies import NoPolicyValue, PolicyEvaluation, evaluate_policy
from experiments.selectors.records import (
    acknowledged,
    allocations_in_force,
    failure_of,
    find_experiment,
    get_analysis,
    get_experiment,
    last_reasons,
    list_allocations,
    list_analyses,
    list_experiments,
    lock_experiment,
    plan_notes,
    plan_of,
)
from experiments.selectors.report import render_report
from experiments.selectors.sameness import arms_alike, told_alike
from experiments.selectors.statistics import (
    exposed_by_allocation,
    newest_periods,
    period_table,
    sketches,
    tallies,
    unit_table,
)

__all__ = [
    "Board",
    "CellsUnknown",
    "Detectability",
    "NoPolicyValue",
    "PolicyEvaluation",
    "SumDiffers",
    "acknowledged",
    "allocations_in_force",
    "arms_alike",
    "compare_unit_sums",
    "detectability",
    "evaluate_policy",
    "exposed_by_allocation",
    "failure_of",
    "find_experiment",
    "get_analysis",
    "get_board",
    "get_experiment",
    "history_of",
    "last_reasons",
    "list_allocations",
    "list_analyses",
    "list_experiments",
    "list_past_effects",
    "lock_experiment",
    "newest_periods",
    "period_table",
    "plan_notes",
    "plan_of",
    "render_report",
    "sketches",
    "tallies",
    "told_alike",
    "unit_table",
    "what_it_shows",
    "when_first_interval",
    "write_differences",
]

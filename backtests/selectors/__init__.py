"""Questions about datasets and runs; rows and plain values come back."""

from backtests.selectors.claims import claim_of
from backtests.selectors.datasets import (
    Benchmark,
    get_dataset,
    list_datasets,
    resolve_benchmark,
    resolve_dataset,
)
from backtests.selectors.figures import label_of, write_figure, write_time
from backtests.selectors.imports import check_import
from backtests.selectors.markets import check_benchmark, check_market, window
from backtests.selectors.progress import Progress, get_progress, is_study, unit_of_progress
from backtests.selectors.report import has_report, render_report
from backtests.selectors.runs import (
    count_runs_by_status,
    describe_run,
    find_run,
    get_artifact,
    get_run,
    list_artifacts,
    list_runs,
    require_artifacts,
)
from backtests.selectors.searches import (
    Estimate,
    check_search,
    estimate_study,
    plan_search,
    require_folds,
    seconds_of_trial,
)
from backtests.selectors.specs import spec_text
from backtests.selectors.studies import Study, get_study
from backtests.selectors.tearsheet import Tearsheet, get_tearsheet
from backtests.selectors.trials import TrialPage, list_trials

__all__ = [
    "Benchmark",
    "Estimate",
    "Progress",
    "Study",
    "Tearsheet",
    "TrialPage",
    "check_benchmark",
    "check_import",
    "check_market",
    "check_search",
    "claim_of",
    "count_runs_by_status",
    "describe_run",
    "estimate_study",
    "find_run",
    "get_artifact",
    "get_dataset",
    "get_progress",
    "get_run",
    "get_study",
    "get_tearsheet",
    "has_report",
    "is_study",
    "label_of",
    "list_artifacts",
    "list_datasets",
    "list_runs",
    "list_trials",
    "plan_search",
    "render_report",
    "require_artifacts",
    "require_folds",
    "resolve_benchmark",
    "resolve_dataset",
    "seconds_of_trial",
    "spec_text",
    "unit_of_progress",
    "window",
    "write_figure",
    "write_time",
]

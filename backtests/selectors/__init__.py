"""Questions about datasets and runs; rows and plain values come back."""

from backtests.selectors.datasets import (
    Benchmark,
    get_dataset,
    list_datasets,
    resolve_benchmark,
    resolve_dataset,
)
from backtests.selectors.figures import label_of, write_figure
from backtests.selectors.imports import check_import
from backtests.selectors.markets import check_benchmark, check_market, window
from backtests.selectors.report import render_report, spec_text
from backtests.selectors.runs import (
    count_runs_by_status,
    describe_run,
    find_run,
    get_artifact,
    get_run,
    list_artifacts,
    list_runs,
)
from backtests.selectors.searches import (
    Estimate,
    check_search,
    estimate_study,
    plan_search,
    seconds_of_trial,
)
from backtests.selectors.tearsheet import Tearsheet, get_tearsheet

__all__ = [
    "Benchmark",
    "Estimate",
    "Tearsheet",
    "check_benchmark",
    "check_import",
    "check_market",
    "check_search",
    "count_runs_by_status",
    "describe_run",
    "estimate_study",
    "find_run",
    "get_artifact",
    "get_dataset",
    "get_run",
    "get_tearsheet",
    "label_of",
    "list_artifacts",
    "list_datasets",
    "list_runs",
    "plan_search",
    "render_report",
    "resolve_benchmark",
    "resolve_dataset",
    "seconds_of_trial",
    "spec_text",
    "window",
    "write_figure",
]

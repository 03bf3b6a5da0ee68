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
from backtests.selectors.searches import check_search, plan_search
from backtests.selectors.tearsheet import Tearsheet, get_tearsheet

__all__ = [
    "Benchmark",
    "Tearsheet",
    "check_benchmark",
    "check_import",
    "check_market",
    "check_search",
    "count_runs_by_status",
    "describe_run",
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
    "spec_text",
    "window",
    "write_figure",
]

"""Questions about datasets and runs; rows and plain values come back."""

from backtests.selectors.arms import complete_replay
from backtests.selectors.claims import claim_of
from backtests.selectors.datasets import (
    Benchmark,
    describe_finding,
    get_dataset,
    list_datasets,
    resolve_benchmark,
    resolve_dataset,
)
from backtests.selectors.figures import label_of, write_figure, write_time
from backtests.selectors.history import find_cancellation, history_of
from backtests.selectors.imports import check_import
from backtests.selectors.markets import check_benchmark, check_market, window
from backtests.selectors.outside import Outside, get_headline
from backtests.selectors.progress import Progress, get_progress, is_study, unit_of_progress
from backtests.selectors.regimes import write_regimes
from backtests.selectors.replays import (
    Replay,
    estimate_replay,
    get_replay,
    get_replay_state,
    is_replay,
    most_periods,
    write_policies,
)
from backtests.selectors.report import has_report, render_report
from backtests.selectors.runs import (
    count_runs_by_status,
    describe_run,
    evidence_state,
    find_run,
    find_tested_version,
    get_artifact,
    get_run,
    has_findings,
    list_artifacts,
    list_evidence_of,
    list_reproductions,
    list_runs,
    require_artifacts,
    why_not_checked,
    why_not_reproduced,
)
from backtests.selectors.searches import (
    Estimate,
    check_search,
    estimate_study,
    plan_search,
    require_folds,
    seconds_of_trial,
)
from backtests.selectors.silences import why_no_deflated_sharpe
from backtests.selectors.specs import parse_spec, spec_text
from backtests.selectors.standings import write_standings
from backtests.selectors.stress import get_stress
from backtests.selectors.studies import Study, get_study
from backtests.selectors.tearsheet import Tearsheet, get_tearsheet, write_opening
from backtests.selectors.trials import TrialPage, list_trials
from backtests.selectors.waiting import Wait, get_wait

__all__ = [
    "Benchmark",
    "Estimate",
    "Outside",
    "Progress",
    "Replay",
    "Study",
    "Tearsheet",
    "TrialPage",
    "Wait",
    "check_benchmark",
    "check_import",
    "check_market",
    "check_search",
    "claim_of",
    "complete_replay",
    "count_runs_by_status",
    "describe_finding",
    "describe_run",
    "estimate_replay",
    "estimate_study",
    "evidence_state",
    "find_cancellation",
    "find_run",
    "find_tested_version",
    "get_artifact",
    "get_dataset",
    "get_headline",
    "get_progress",
    "get_replay",
    "get_replay_state",
    "get_run",
    "get_stress",
    "get_study",
    "get_tearsheet",
    "get_wait",
    "has_findings",
    "has_report",
    "history_of",
    "is_replay",
    "is_study",
    "label_of",
    "list_artifacts",
    "list_datasets",
    "list_evidence_of",
    "list_reproductions",
    "list_runs",
    "list_trials",
    "most_periods",
    "parse_spec",
    "plan_search",
    "render_report",
    "require_artifacts",
    "require_folds",
    "resolve_benchmark",
    "resolve_dataset",
    "seconds_of_trial",
    "spec_text",
    "unit_of_progress",
    "why_no_deflated_sharpe",
    "why_not_checked",
    "why_not_reproduced",
    "window",
    "write_figure",
    "write_opening",
    "write_policies",
    "write_regimes",
    "write_standings",
    "write_time",
]

"""A run's report: one HTML file that opens without a network."""

from pathlib import Path

from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from backtests.lifecycle import RunKind, RunStatus
from backtests.models import Run
from backtests.selectors.replays import get_replay
from backtests.selectors.runs import describe_run, require_artifacts
from backtests.selectors.specs import spec_text
from backtests.selectors.studies import get_study
from backtests.selectors.tearsheet import get_tearsheet
from crowetrade_site.core.errors import Conflict

STYLES = "crowetrade/sheet.css"
SCRIPTS = ("backtests/lightweight-charts-5.2.1.js", "backtests/tearsheet.js")


def has_report(run: Run) -> bool:
    """Return whether there is something to report: a study that lost chunks kept the others."""
    is_there = run.artifacts_expired_at is None and run.kind != RunKind.CAUSALITY_CHECK
    return is_there and (run.status == RunStatus.SUCCEEDED or "trials.parquet" in run.artifacts)


def render_report(run: Run) -> str:
    """Return the report of a finished run.

    Raises
    ------
    Conflict
        The run has not succeeded, so there is nothing to report (409).
    Gone
        Its artefacts were removed (410).
    """
    require_artifacts(run)
    if not has_report(run):
        raise Conflict(f"The run is {run.status}; only a run that succeeded has a report.")
    return render_to_string(
        "backtests/report.html",
        {
            "sheet": get_tearsheet(run),
            "study": get_study(run),
            "replay": get_replay(run),
            "run": run,
            "title": describe_run(run),
            "spec": spec_text(run),
            "style": _inline(STYLES),
            "scripts": [_inline(name) for name in SCRIPTS],
        },
    )


def _inline(name: str) -> SafeString:
    """Return a static file of ours as text for a <style> or <script> element."""
    found = finders.find(name)
    if not found:
        raise FileNotFoundError(f"The static file {name} is missing from the installation.")
    return mark_safe(Path(str(found)).read_text())  # noqa: S308 - our own files, not user input

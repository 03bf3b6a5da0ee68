"""Runs in the admin: the list, and what is recorded of each."""

import json
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import display

from backtests import selectors
from backtests.admin.run_actions import RunActions
from backtests.admin.run_page import RunPage
from backtests.lifecycle import RunStatus
from backtests.models import Run
from crowetrade_site.core.admin import preformatted

STATUS_COLORS = {
    RunStatus.QUEUED: "info",
    RunStatus.RUNNING: "warning",
    RunStatus.SUCCEEDED: "success",
    RunStatus.FAILED: "danger",
}


def pretty(document: Any) -> SafeString:
    """Show a JSON document as indented text."""
    return preformatted(json.dumps(document, indent=2, ensure_ascii=False))


@admin.register(Run)
class RunAdmin(RunPage, RunActions):
    """Runs: live progress while they work, the tear sheet once they are over."""

    read_scope, write_scope = "runs:read", "runs:write"
    empty_text = "A run is queued by manage.py run SPEC.yaml, by POST /api/v1/runs/, or above."
    list_display = [
        "name",
        "shown_status",
        "dataset",
        "sharpe",
        "total_return",
        "requested_by",
        "created_at",
        "took",
    ]
    list_filter = ["status", "kind", "dataset__name", "requested_by"]
    list_select_related = ["dataset", "requested_by"]
    search_fields = ["public_id", "spec_digest", "result_digest", "reason"]
    date_hierarchy = "created_at"
    ordering = ["-created_at", "-id"]
    fieldsets = [
        (
            "Request",
            {
                "fields": [
                    "public_id",
                    "kind",
                    "status",
                    "dataset",
                    "requested_by",
                    "reason",
                    "shown_spec",
                ]
            },
        ),
        (
            "Execution",
            {
                "classes": ["tab"],
                "fields": [
                    "created_at",
                    "started_at",
                    "finished_at",
                    "priority",
                    "is_kept",
                    "artifacts_expired_at",
                    "artifacts_removed_at",
                    "attempt",
                    "worker",
                    "shown_problem",
                ],
            },
        ),
        (
            "Provenance",
            {
                "classes": ["tab"],
                "fields": [
                    "spec_digest",
                    "strategy_digest",
                    "result_digest",
                    "code_digest",
                    "shown_environment",
                    "shown_artifacts",
                ],
            },
        ),
    ]
    readonly_fields = [
        "created_at",
        "shown_spec",
        "shown_problem",
        "shown_environment",
        "shown_artifacts",
    ]

    @admin.display(description="run", ordering="public_id")
    def name(self, run: Run) -> str:
        """What it computes, and its short id."""
        return f"{selectors.describe_run(run)} · {str(run.public_id)[:8]}"

    @display(description="status", ordering="status", label=STATUS_COLORS)
    def shown_status(self, run: Run) -> str:
        """The status as a colored label."""
        return run.status

    def _metric(self, run: Run, name: str) -> str:
        """Return a figure, above of how many trials it is the best, or how it is out of sample."""
        text, claim = selectors.get_headline(run, name)
        return format_html("{}<br><small>{}</small>", text, claim) if claim else text

    @admin.display(description="Sharpe")
    def sharpe(self, run: Run) -> str:
        """The annual Sharpe ratio."""
        return self._metric(run, "sharpe")

    @admin.display(description="total return")
    def total_return(self, run: Run) -> str:
        """The whole return."""
        return self._metric(run, "total_return")

    @admin.display(description="took")
    def took(self, run: Run) -> str:
        """From claim to end."""
        if not (run.started_at and run.finished_at):
            return "–"
        return selectors.write_time((run.finished_at - run.started_at) / timedelta(days=1))

    @admin.display(description="spec")
    def shown_spec(self, run: Run) -> SafeString:
        """The spec as YAML."""
        return preformatted(selectors.spec_text(run))

    @admin.display(description="problem")
    def shown_problem(self, run: Run) -> Any:
        """Why it failed."""
        return pretty(run.problem) if run.problem else "–"

    @admin.display(description="environment")
    def shown_environment(self, run: Run) -> Any:
        """Library versions and processor."""
        return pretty(run.environment) if run.environment else "–"

    @admin.display(description="artefacts")
    def shown_artifacts(self, run: Run) -> Any:
        """Files in the store."""
        return pretty(run.artifacts) if run.artifacts else "–"

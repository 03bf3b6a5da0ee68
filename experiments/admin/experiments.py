"""Experiments in the admin: the list, and what is recorded of each."""

import json

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.decorators import display

from crowetrade_site.core.admin import preformatted
from experiments.admin.experiment_actions import ExperimentActions
from experiments.admin.experiment_page import ExperimentPage
from experiments.lifecycle import ExperimentStatus
from experiments.models import Experiment

STATUS_COLORS = {
    ExperimentStatus.DRAFT: "info",
    ExperimentStatus.RUNNING: "success",
    ExperimentStatus.PAUSED: "danger",
    ExperimentStatus.CONCLUDED: "primary",
}


@admin.register(Experiment)
class ExperimentAdmin(ExperimentPage, ExperimentActions):
    """Experiments: what runs, what was answered, and the live board of each."""

    read_scope, write_scope = "experiments:read", "experiments:write"
    empty_text = (
        "An experiment is made from a plan by manage.py create_experiment PLAN.yaml, by POST "
        "/api/v1/experiments/, or above."
    )
    list_display = [
        "name", "shown_status", "answer", "design", "owner", "started_at", "concluded_at",
    ]  # fmt: skip
    list_filter = ["status", "design", "verdict", "owner"]
    list_select_related = ["owner"]
    search_fields = ["name"]
    date_hierarchy = "created_at"
    ordering = ["-created_at", "-id"]
    fieldsets = [
        (
            "Record",
            {
                "classes": ["tab"],
                "fields": [
                    "public_id", "owner", "layer", "plan_digest", "started_at", "concluded_at",
                    "status_reason",
                ],
            },
        ),
        ("Plan", {"classes": ["tab"], "fields": ["shown_plan"]}),
    ]  # fmt: skip
    readonly_fields = ["public_id", "shown_plan"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Experiment]:
        """Leave plans out of the list."""
        return super().get_queryset(request).select_related("owner", "layer")

    @display(description="status", ordering="status", label=STATUS_COLORS)
    def shown_status(self, row: Experiment) -> str:
        """The status as a colored label."""
        return row.status

    @admin.display(description="answer", ordering="verdict")
    def answer(self, row: Experiment) -> str:
        """The verdict, and who won."""
        return f"{row.verdict.replace('_', ' ')} {row.winner}".strip() or "–"

    @admin.display(description="plan")
    def shown_plan(self, row: Experiment) -> SafeString:
        """The plan as indented text."""
        return preformatted(json.dumps(row.plan, indent=2, ensure_ascii=False))

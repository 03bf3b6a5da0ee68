"""Runs in the admin: live progress, the tear sheet, and actions that call services."""

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from backtests import selectors, services
from backtests.lifecycle import RUNS, Priority, RunStatus
from backtests.models import Run
from crowetrade_site.core import documents
from crowetrade_site.core.admin import ReasonForm, ServiceAdmin, preformatted, reasoned_action
from crowetrade_site.core.dialogs import dialog_action
from crowetrade_site.core.errors import DomainError, InvalidInput

STATUS_COLORS = {
    RunStatus.QUEUED: "info",
    RunStatus.RUNNING: "warning",
    RunStatus.SUCCEEDED: "success",
    RunStatus.FAILED: "danger",
}


EXAMPLE = """\
dataset: {dataset}
strategy:
  signals: [{{kind: momentum, lookback_days: 252, skip_days: 21}}]
  portfolio: {{kind: equal_weight, n_holdings: 5}}
costs: {{commission_bps: 1, half_spread_bps: 2, borrow_bps_per_year: 50}}
account: {{cash_rate: 0.0, margin_rate: 0.05}}
"""


def example_spec() -> str:
    """Return a spec to begin from, on the latest dataset of bars."""
    latest = selectors.list_datasets().ready().filter(kind="bars").order_by("-pk").first()
    return EXAMPLE.format(dataset=latest.name if latest else "NAME")


class SpecForm(BaseDialogForm):
    """Asks for a run's spec."""

    spec = forms.CharField(
        label="Spec (YAML)",
        initial=example_spec,
        widget=UnfoldAdminTextareaWidget({"rows": 14, "style": "font-family: monospace"}),
        help_text="The same document as for the command line and the API.",
    )
    reason = forms.CharField(required=False, max_length=500, widget=UnfoldAdminTextInputWidget())

    def clean_spec(self) -> dict[str, Any]:
        """Read the YAML; the service checks what it says."""
        try:
            return documents.loads(self.cleaned_data["spec"], name="The spec")
        except InvalidInput as refusal:
            raise forms.ValidationError(refusal.detail) from refusal


class PriorityForm(ReasonForm):
    """Asks for a priority, and why."""

    priority = forms.ChoiceField(
        choices=[(p.value, p.value) for p in Priority], widget=UnfoldAdminSelectWidget()
    )


PRIORITY_DIALOG = {
    "title": "Prioritize this run",
    "description": "Its share of the workers beside other studies, from its next chunk on. High is "
    "for operators and admins.",
    "form_class": PriorityForm,
    "form_submit_text": "Prioritize",
}
QUEUE_DIALOG = {
    "title": "Queue a run",
    "description": "A worker takes it from here; the page shows its progress.",
    "form_class": SpecForm,
    "form_submit_text": "Queue",
}


def pretty(document: Any) -> SafeString:
    """Show a JSON document as indented text."""
    return preformatted(json.dumps(document, indent=2, ensure_ascii=False))


def _keeping(
    description: str, *, icon: str, title: str, text: str, is_kept: bool, done: str
) -> Any:
    """Return the action that keeps the files of a run, or leaves them to the policy again."""

    @reasoned_action(description, icon=icon, title=title, text=text)
    def keeping(
        page: "RunAdmin", request: HttpRequest, form: ReasonForm, object_id: str
    ) -> HttpResponse:
        run = page.serve(
            request, services.keep_run, done, run_id=page.public_id(object_id), is_kept=is_kept,
            reason=form.cleaned_data["reason"],
        )  # fmt: skip
        return page.page_of(run, object_id)

    return keeping


@admin.register(Run)
class RunAdmin(ServiceAdmin):
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
    change_form_outer_before_template = "backtests/admin/run.html"
    change_form_outer_after_template = "backtests/admin/after.html"
    actions_list = ["queue"]
    actions_detail = [
        "download_report",
        "cancel",
        "queue_again",
        "check_causality",
        "prioritize",
        "keep",
        "release",
    ]

    def get_urls(self) -> list[URLPattern]:
        """Add the fragment that the page polls and the report."""
        return [
            path(
                "<int:pk>/live/", self.admin_site.admin_view(self.live), name="backtests_run_live"
            ),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a run; the identifier that the command line and the API give leads here too."""
        with suppress(ValueError):
            run = get_object_or_404(selectors.list_runs(), public_id=UUID(object_id))
            return redirect("admin:backtests_run_change", run.pk)
        return super().change_view(request, object_id, form_url, extra_context)

    def page_context(self, request: HttpRequest, row: Run) -> dict[str, Any]:
        """Hand the page its tear sheet."""
        study = selectors.get_study(row)
        return {
            "run": row,
            "study": study,
            "replay": self._replay(request, row),
            "unit": selectors.unit_of_progress(row),
            "sheet": self._sheet(request, row),
            "share": self._share(row, study),
            "wait": self._wait(row),
            "is_over": row.status in RUNS.terminal,
            "tested": selectors.find_tested_version(row),
            "evidence": selectors.list_evidence_of(row),
            "no_deflated_sharpe": selectors.why_no_deflated_sharpe(row),
            "has_findings": selectors.has_findings(row),
            "reproductions": selectors.list_reproductions(row),
            "cancellation": selectors.find_cancellation(row),
            "history": selectors.history_of(row),
        }

    @staticmethod
    def _wait(run: Run) -> selectors.Wait | None:
        return selectors.get_wait(run) if run.status == RunStatus.QUEUED else None

    @staticmethod
    def _sheet(request: HttpRequest, run: Run) -> selectors.Tearsheet | None:
        """Return a run's tear sheet; one that cannot be read must not take its page away."""
        try:
            return selectors.get_tearsheet(run)
        except DomainError as refusal:
            messages.error(request, refusal.detail)
            return None

    @staticmethod
    def _replay(request: HttpRequest, run: Run) -> selectors.Replay | None:
        """Return what a replay found; as with a tear sheet, its page stays where files cannot."""
        try:
            return selectors.get_replay(run)
        except DomainError as refusal:
            messages.error(request, refusal.detail)
            return None

    def live(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the progress card; once the run is over, have the page load anew."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        run = selectors.list_runs().filter(pk=pk).first()
        if run is None or run.status in RUNS.terminal:
            return HttpResponse(headers={"HX-Refresh": "true"})
        study = selectors.get_study(run)
        shown = {
            "run": run,
            "study": study,
            "unit": selectors.unit_of_progress(run),
            "share": self._share(run, study),
            "wait": self._wait(run),
        }
        return HttpResponse(render_to_string("backtests/admin/live.html", shown))

    @staticmethod
    def _share(run: Run, study: selectors.Study | None) -> int:
        if study is not None:
            return study.progress.percent
        return round(100 * run.progress_done / run.progress_total) if run.progress_total else 0

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

    @dialog_action("Queue a run", icon="add", dialog=QUEUE_DIALOG)
    def queue(self, request: HttpRequest, form: SpecForm) -> HttpResponse:
        """Queue what a spec asks for; a refusal is shown beside the text, which stays."""
        actor: User = request.user  # type: ignore[assignment]  # whoever reached an admin action
        try:
            run = services.queue_run(
                document=form.cleaned_data["spec"],
                reason=form.cleaned_data["reason"],
                actor=actor,
                at=timezone.now(),
            )
        except DomainError as refusal:
            form.add_error("spec", refusal.detail)
            return render(
                request,
                "unfold/helpers/dialog.html",
                {"dialog": QUEUE_DIALOG, "form": form, "form_submit_text": "Queue"},
            )
        messages.success(request, "The run is queued.")
        return self.page_of(run)

    @reasoned_action(
        "Queue again",
        icon="replay",
        title="Queue this spec again",
        text="The same data, pinned by digest: the same code gives the same result.",
    )
    def queue_again(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Queue the same spec once more."""
        run = get_object_or_404(Run, pk=object_id)
        again = self.serve(
            request, services.queue_run, "The run is queued.",
            document=run.spec, reason=form.cleaned_data["reason"],
        )  # fmt: skip
        return self.page_of(again, object_id)

    @reasoned_action(
        "Check causality",
        icon="event_busy",
        title="Check whether this run looks ahead",
        text="A worker computes it 17 to 77 times, on other futures: what was decided before a cut "
        "must not change with the bars after it.",
    )
    def check_causality(
        self, request: HttpRequest, form: ReasonForm, object_id: str
    ) -> HttpResponse:
        """Queue the check."""
        run = self.serve(
            request, services.check_causality, "The check is queued.",
            run_id=self.public_id(object_id), reason=form.cleaned_data["reason"],
        )  # fmt: skip
        return self.page_of(run, object_id)

    @reasoned_action(
        "Cancel",
        icon="stop_circle",
        title="Cancel this run",
        text="It stops at its next slice of work. Of a backtest nothing is kept; the trials of a "
        "study stay counted.",
    )
    def cancel(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Ask the run to stop."""
        run = self.serve(
            request, services.cancel_run, "The run is asked to stop.",
            run_id=self.public_id(object_id), reason=form.cleaned_data["reason"],
        )  # fmt: skip
        return self.page_of(run, object_id)

    @dialog_action("Prioritize", icon="low_priority", dialog=PRIORITY_DIALOG)
    def prioritize(self, request: HttpRequest, form: PriorityForm, object_id: str) -> HttpResponse:
        """Give a study another share of the workers."""
        run = self.serve(
            request, services.prioritize_run, "The run has another priority.",
            run_id=self.public_id(object_id), reason=form.cleaned_data["reason"],
            priority=Priority(form.cleaned_data["priority"]),
        )  # fmt: skip
        return self.page_of(run, object_id)

    keep = _keeping(
        "Keep",
        icon="keep",
        title="Keep the files of this run for ever",
        text="The retention policy passes it by.",
        is_kept=True,
        done="The files are kept.",
    )
    release = _keeping(
        "Keep no longer",
        icon="keep_off",
        title="Leave the files of this run to the retention policy",
        text="They are removed once they are as old as it says.",
        is_kept=False,
        done="The retention policy decides on the files.",
    )

    @action(description="Report", icon="download", permissions=["view"])
    def download_report(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Download the report: reading, so a plain link may do it."""
        run = get_object_or_404(selectors.list_runs(), pk=object_id)
        try:
            report = selectors.render_report(run)
        except DomainError as refusal:
            messages.error(request, refusal.detail)
            return redirect("admin:backtests_run_change", run.pk)
        name = f'attachment; filename="report-{str(run.public_id)[:8]}.html"'
        return HttpResponse(report, headers={"Content-Disposition": name})

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Offer what the run's state allows."""
        run = self.get_object(request, str(object_id))
        over = run.status if run else None
        hidden = {
            "backtests_run_cancel": over in RUNS.terminal,
            "backtests_run_download_report": run is None or not selectors.has_report(run),
            "backtests_run_check_causality": run is None
            or selectors.why_not_checked(run) is not None,
            "backtests_run_queue_again": over not in RUNS.terminal,
            "backtests_run_prioritize": over in RUNS.terminal,
            "backtests_run_keep": run is None or run.is_kept or bool(run.artifacts_expired_at),
            "backtests_run_release": run is None or not run.is_kept,
        }
        offered = super().get_actions_detail(request, object_id)
        return [entry for entry in offered if not hidden.get(entry.action_name, False)]

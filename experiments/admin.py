"""Experiments in the admin: the live board, and actions that call services."""

import json
from contextlib import suppress
from typing import Any
from uuid import UUID

import yaml
from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import (
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from crowetrade_site.core import documents
from crowetrade_site.core.admin import ReasonForm, ServiceAdmin, preformatted, reasoned_action
from crowetrade_site.core.dialogs import dialog_action
from crowetrade_site.core.errors import Conflict, DomainError, InvalidInput
from experiments import selectors, services
from experiments.lifecycle import ExperimentStatus
from experiments.models import Experiment
from experiments.models.definitions import ANSWERS
from experiments.plans import Verdict
from experiments.selectors.exports import Asked

STATUS_COLORS = {
    ExperimentStatus.DRAFT: "info",
    ExperimentStatus.RUNNING: "success",
    ExperimentStatus.PAUSED: "danger",
    ExperimentStatus.CONCLUDED: "primary",
}
EXAMPLE = """\
name: challenger-against-champion
hypothesis: The challenger earns more than the champion, after costs.
design: shadow
arms:
  - {name: champion, control: true}
  - {name: challenger}
metrics:
  - {name: return, role: primary, unit: fraction}
  - {name: drawdown, role: guardrail, direction: decrease, margin: 0.002, unit: fraction}
period: 1d
analysis: {horizon_periods: 504, region_of_equivalence: 0.0001}
"""


class PlanForm(BaseDialogForm):
    """Asks for an experiment's plan."""

    plan = forms.CharField(
        label="Plan (YAML)",
        initial=EXAMPLE,
        widget=UnfoldAdminTextareaWidget({"rows": 18, "style": "font-family: monospace"}),
        help_text="The same document as for the command line and the API.",
    )

    def clean_plan(self) -> dict[str, Any]:
        """Read the YAML; the service checks what it says."""
        try:
            return documents.loads(self.cleaned_data["plan"], name="The plan")
        except InvalidInput as refusal:
            raise forms.ValidationError(refusal.detail) from refusal


PLAN_DIALOG: dict[str, Any] = {
    "title": "Plan an experiment",
    "description": "It stays a draft until somebody starts it; then its plan is frozen.",
    "form_class": PlanForm,
    "form_submit_text": "Keep as a draft",
}


class ReviseForm(PlanForm):
    """Asks for the plan of a draft anew."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = Experiment.objects.filter(pk=self.object_id).first()
        if row is not None:
            self.fields["plan"].initial = yaml.safe_dump(row.plan, sort_keys=False)


REVISE_DIALOG: dict[str, Any] = {
    "title": "Revise this draft",
    "description": "The plan as it is; what you keep takes its place.",
    "form_class": ReviseForm,
    "form_submit_text": "Keep",
}


class StartForm(ReasonForm):
    """Asks why, and where arms are the same files whether that is meant."""

    allow_same_arms = forms.BooleanField(
        label="These arms are the same on purpose: an A/A test",
        required=False,
        widget=UnfoldBooleanWidget(),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        row = selectors.list_experiments().filter(pk=self.object_id).first()
        alike = selectors.arms_alike(row) if row is not None else []
        if alike:
            self.fields["allow_same_arms"].help_text = f"{selectors.told_alike(*alike[0])}."
        else:
            del self.fields["allow_same_arms"]


class ConcludeForm(ReasonForm):
    """Asks for the answer, and why."""

    verdict = forms.ChoiceField(
        choices=[(v.value, v.value.replace("_", " ")) for v in ANSWERS],
        widget=UnfoldAdminSelectWidget(),
    )
    winner = forms.CharField(
        required=False, widget=UnfoldAdminTextInputWidget(),
        help_text="The arm's name, where the answer is a winner.",
    )  # fmt: skip


class AllocateForm(ReasonForm):
    """Asks for other shares, and why."""

    weights = forms.CharField(
        label="Shares (YAML)",
        widget=UnfoldAdminTextInputWidget(),
        help_text="Such as {champion: 0.7, challenger: 0.3}; they sum to 1.",
    )

    context = forms.CharField(
        required=False, widget=UnfoldAdminTextInputWidget(),
        help_text="Whose shares, where the plan has contexts; else empty.",
    )  # fmt: skip

    def clean_weights(self) -> dict[str, float]:
        """Read the shares; the service checks what they say."""
        try:
            given = documents.loads(self.cleaned_data["weights"], name="The shares")
            return {str(name): float(share) for name, share in given.items()}
        except (InvalidInput, TypeError, ValueError) as refusal:
            raise forms.ValidationError("Shares are numbers by arm.") from refusal


@admin.register(Experiment)
class ExperimentAdmin(ServiceAdmin):
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
    change_form_outer_before_template = "experiments/admin/experiment.html"
    actions_list = ["write_plan"]
    actions_detail = [
        "start", "pause", "resume", "allocate", "conclude", "revise", "archive", "report",
        "outcomes_file", "exposures_file",
    ]  # fmt: skip

    def page_context(self, request: HttpRequest, row: Experiment) -> dict[str, Any]:  # noqa: ARG002
        """Hand the page its board."""
        whole = selectors.list_experiments().get(pk=row.pk)
        return {"board": selectors.get_board(whole)}

    def get_urls(self) -> list[URLPattern]:
        """Add the address of the part that renews itself, and of the report."""
        view = self.admin_site.admin_view
        return [
            path("<int:pk>/live/", view(self.live), name="experiments_experiment_live"),
            path("<int:pk>/report/", view(self.show_report), name="experiments_experiment_report"),
            path(
                "<int:pk>/exports/<str:table>/", view(self.hand_out),
                name="experiments_experiment_export",
            ),
            *super().get_urls(),
        ]  # fmt: skip

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show a row; the identifier that the API gives leads here too."""
        with suppress(ValueError):
            row = get_object_or_404(Experiment, public_id=UUID(object_id))
            return redirect("admin:experiments_experiment_change", row.pk)
        return super().change_view(request, object_id, form_url, extra_context)

    def live(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the board as it stands; once the experiment is over, have the page load anew."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        row = selectors.list_experiments().filter(pk=pk).first()
        if row is None or row.status in {ExperimentStatus.CONCLUDED, ExperimentStatus.ARCHIVED}:
            return HttpResponse(headers={"HX-Refresh": "true"})
        shown = {"board": selectors.get_board(row)}
        return HttpResponse(render_to_string("experiments/admin/live.html", shown))

    def show_report(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Return the report, self-contained."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        row = get_object_or_404(selectors.list_experiments(), pk=pk)
        try:
            return HttpResponse(selectors.render_report(row))
        except Conflict as refusal:
            self.message_user(request, refusal.detail, level="error")
            return redirect("admin:experiments_experiment_change", pk)

    def hand_out(self, request: HttpRequest, pk: int, table: str) -> HttpResponseBase:
        """Return outcomes or exposures as a CSV file; a refusal is told on the page."""
        row = get_object_or_404(Experiment, pk=pk)
        try:
            export = services.export_rows(
                experiment_id=row.public_id, table=table, kind="csv", asked=Asked(),
                actor=request.user, at=timezone.now(),  # type: ignore[arg-type]  # the admin's
            )  # fmt: skip
        except DomainError as refusal:
            self.message_user(request, refusal.detail, level="error")
            return redirect("admin:experiments_experiment_change", pk)
        return StreamingHttpResponse(export.pieces, headers=export.headers)

    def get_actions_detail(self, request: HttpRequest, object_id: int) -> list[Any]:
        """Offer what the experiment's status allows, of that what the viewer may do."""
        row = self.get_object(request, str(object_id))
        names = set() if row is None else offered(row)
        if row is not None and not services.may_run(row, request.user):
            names &= {"report", "outcomes_file", "exposures_file"}
        prefix = f"{self.opts.app_label}_{self.opts.model_name}_"
        return [
            entry for entry in super().get_actions_detail(request, object_id)
            if entry.action_name.removeprefix(prefix) in names
        ]  # fmt: skip

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

    @dialog_action("Plan an experiment", icon="add", dialog=PLAN_DIALOG)
    def write_plan(self, request: HttpRequest, form: PlanForm) -> HttpResponse:
        """Keep a plan as a draft; a refusal is shown beside the text, which stays."""
        return self._keep(request, form, services.create_experiment)

    @dialog_action("Revise", icon="edit", dialog=REVISE_DIALOG)
    def revise(self, request: HttpRequest, form: PlanForm, object_id: str) -> HttpResponse:
        """Write a draft anew; a refusal is shown beside the text, which stays."""
        return self._keep(
            request, form, services.revise_experiment, experiment_id=self.public_id(object_id)
        )

    def _keep(self, request: HttpRequest, form: PlanForm, verb: Any, **more: Any) -> HttpResponse:
        plan = form.cleaned_data["plan"]
        return self.page_of(self.serve(request, verb, "The draft is kept.", document=plan, **more))

    @dialog_action(
        "Start", icon="play_arrow",
        dialog={
            "title": "Start this experiment",
            "description": "Its plan is frozen and digested; models named by an alias are pinned "
            "to the version that it means now.",
            "form_class": StartForm, "form_submit_text": "Start",
        },
    )  # fmt: skip
    def start(self, request: HttpRequest, form: StartForm, object_id: str) -> HttpResponse:
        """Freeze the plan and begin; arms that are the same files have to be meant."""
        is_meant = form.cleaned_data.get("allow_same_arms", False)
        try:
            return self._move(
                request, form, object_id, services.start_experiment, "It runs.",
                allow_same_arms=is_meant,
            )  # fmt: skip
        except services.SameArms as refusal:
            raise refusal.by("name another version, or tick the box below") from None

    @reasoned_action(
        "Pause", icon="pause", title="Pause this experiment",
        text="No unit meets an arm any more; outcomes of those that did still come in.",
    )  # fmt: skip
    def pause(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Stop assigning."""
        return self._move(request, form, object_id, services.pause_experiment, "It is paused.")

    @reasoned_action(
        "Resume", icon="play_arrow", title="Go on with this experiment",
        text="The plan is the same. The alarms of the last analysis pause it no more until there "
        "is more behind them; the page and the trail name them.",
    )  # fmt: skip
    def resume(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Go on after a pause."""
        return self._move(request, form, object_id, services.resume_experiment, "It runs again.")

    @reasoned_action(
        "Archive", icon="archive", title="Archive this experiment",
        text="It leaves the lists of what goes on; nothing is deleted.",
    )  # fmt: skip
    def archive(self, request: HttpRequest, form: ReasonForm, object_id: str) -> HttpResponse:
        """Put it out of sight."""
        return self._move(request, form, object_id, services.archive_experiment, "It is archived.")

    @dialog_action(
        "Conclude", icon="flag",
        dialog={
            "title": "Conclude this experiment",
            "description": "A person's answer; the last analysis stays beside it for all to see.",
            "form_class": ConcludeForm, "form_submit_text": "Conclude",
        },
    )  # fmt: skip
    def conclude(self, request: HttpRequest, form: ConcludeForm, object_id: str) -> HttpResponse:
        """End it with an answer."""
        return self._move(
            request, form, object_id, services.conclude_experiment, "It is concluded.",
            verdict=Verdict(form.cleaned_data["verdict"]), winner=form.cleaned_data["winner"],
        )  # fmt: skip

    @dialog_action(
        "Change shares", icon="tune",
        dialog={
            "title": "Give the arms other shares",
            "description": "From now on; who met an arm before stays with it.",
            "form_class": AllocateForm, "form_submit_text": "Change",
        },
    )  # fmt: skip
    def allocate(self, request: HttpRequest, form: AllocateForm, object_id: str) -> HttpResponse:
        """Give the arms other shares."""
        self.serve(
            request, services.reallocate, "The shares are changed.",
            experiment_id=self.public_id(object_id), weights=form.cleaned_data["weights"],
            context=form.cleaned_data["context"], reason=form.cleaned_data["reason"],
        )  # fmt: skip
        return self.page_of(None, object_id)

    @action(description="Report", permissions=["view"], icon="description")
    def report(self, request: HttpRequest, object_id: str) -> HttpResponse:  # noqa: ARG002
        """Show the report, self-contained."""
        return redirect("admin:experiments_experiment_report", object_id)

    @action(description="Outcomes as CSV", permissions=["view"], icon="download")
    def outcomes_file(self, request: HttpRequest, object_id: str) -> HttpResponse:  # noqa: ARG002
        """Hand out the outcomes as they came; the trail says who took them."""
        return redirect("admin:experiments_experiment_export", object_id, "outcomes")

    @action(description="Exposures as CSV", permissions=["view"], icon="download")
    def exposures_file(self, request: HttpRequest, object_id: str) -> HttpResponse:  # noqa: ARG002
        """Hand out the units and their arms; the trail says who took them."""
        return redirect("admin:experiments_experiment_export", object_id, "exposures")

    def _move(
        self, request: HttpRequest, form: ReasonForm, object_id: str, verb: Any, done: str,
        **more: Any,
    ) -> HttpResponse:  # fmt: skip
        row = self.serve(
            request, verb, done, experiment_id=self.public_id(object_id),
            reason=form.cleaned_data["reason"], **more,
        )  # fmt: skip
        return self.page_of(row, object_id)


def offered(row: Experiment) -> set[str]:
    """Return the names of the actions that make sense at an experiment's status."""
    status = ExperimentStatus(row.status)
    moves = {
        ExperimentStatus.DRAFT: {"start", "revise", "archive"},
        ExperimentStatus.RUNNING: {"pause", "conclude"},
        ExperimentStatus.PAUSED: {"resume", "conclude"},
        ExperimentStatus.CONCLUDED: {"archive"},
        ExperimentStatus.ARCHIVED: set(),
    }[status]
    if row.design == "assigned" and status in {ExperimentStatus.RUNNING, ExperimentStatus.PAUSED}:
        moves = moves | {"allocate"}
    if row.started_at is None:
        return moves
    shown = {"report", "outcomes_file"}
    return moves | shown | ({"exposures_file"} if row.design == "assigned" else set())

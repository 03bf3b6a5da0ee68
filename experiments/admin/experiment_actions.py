"""What may be done about experiments in the admin: each button calls a service."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from unfold.decorators import action

from crowetrade_site.core.admin import ReasonForm, ServiceAdmin, reasoned_action
from crowetrade_site.core.dialogs import dialog_action
from experiments import services
from experiments.admin.forms import (
    PLAN_DIALOG,
    REVISE_DIALOG,
    AllocateForm,
    ConcludeForm,
    PlanForm,
    StartForm,
)
from experiments.lifecycle import ExperimentStatus
from experiments.models import Experiment
from experiments.plans import Verdict


class ExperimentActions(ServiceAdmin):
    """The buttons of the list and of an experiment's page."""

    actions_list = ["write_plan"]
    actions_detail = [
        "start", "pause", "resume", "allocate", "conclude", "revise", "archive", "report",
        "outcomes_file", "exposures_file",
    ]  # fmt: skip

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

"""What may be done about runs in the admin: each button calls a service."""

from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from unfold.decorators import action

from backtests import selectors, services
from backtests.admin.forms import PRIORITY_DIALOG, QUEUE_DIALOG, PriorityForm, SpecForm
from backtests.lifecycle import RUNS, Priority
from backtests.models import Run
from crowetrade_site.core.admin import ReasonForm, ServiceAdmin, reasoned_action
from crowetrade_site.core.dialogs import dialog_action
from crowetrade_site.core.errors import DomainError


def _asking(
    description: str, *, icon: str, title: str, text: str, verb: Callable[..., Run], done: str,
    **fixed: Any,
) -> Any:  # fmt: skip
    """Return the action that asks why, calls a service on the run, and says what was done.

    Parameters
    ----------
    verb : callable
        The service.
    done : str
        What the page says afterwards.
    **fixed
        Further arguments of the service.
    """

    @reasoned_action(description, icon=icon, title=title, text=text)
    def asking(
        page: "RunActions", request: HttpRequest, form: ReasonForm, object_id: str
    ) -> HttpResponse:
        return page.called(request, verb, done, form, object_id, **fixed)

    return asking


class RunActions(ServiceAdmin):
    """The buttons of the list and of a run's page."""

    actions_list = ["queue"]
    actions_detail = [
        "download_report", "cancel", "queue_again", "reproduce", "check_causality", "prioritize",
        "keep", "release",
    ]  # fmt: skip

    def called(
        self, request: HttpRequest, verb: Callable[..., Run], done: str, form: ReasonForm,
        object_id: str, **more: Any,
    ) -> HttpResponse:  # fmt: skip
        """Call a service on the run of a page, with the reason that was given; show what came."""
        run = self.serve(
            request, verb, done, run_id=self.public_id(object_id),
            reason=form.cleaned_data["reason"], **more,
        )  # fmt: skip
        return self.page_of(run, object_id)

    @dialog_action("Queue a run", icon="add", dialog=QUEUE_DIALOG)
    def queue(self, request: HttpRequest, form: SpecForm) -> HttpResponse:
        """Queue what a spec asks for; a refusal is shown beside the text, which stays."""
        run = self.serve(
            request, services.queue_run, "The run is queued.",
            document=form.cleaned_data["spec"], reason=form.cleaned_data["reason"],
        )  # fmt: skip
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

    reproduce = _asking(
        "Reproduce",
        icon="difference",
        title="Compute this run once more, and compare every byte",
        text="What comes out other than it was recorded is told, with file, array and element, and "
        "counts as evidence as one that is identical does.",
        verb=services.reproduce_run,
        done="The reproduction is queued.",
    )

    check_causality = _asking(
        "Check causality",
        icon="event_busy",
        title="Check whether this run looks ahead",
        text="A worker computes it 17 to 77 times, on other futures: what was decided before a cut "
        "must not change with the bars after it.",
        verb=services.check_causality,
        done="The check is queued.",
    )

    cancel = _asking(
        "Cancel",
        icon="stop_circle",
        title="Cancel this run",
        text="It stops at its next slice of work. Of a backtest nothing is kept; the trials of a "
        "study stay counted.",
        verb=services.cancel_run,
        done="The run is asked to stop.",
    )

    @dialog_action("Prioritize", icon="low_priority", dialog=PRIORITY_DIALOG)
    def prioritize(self, request: HttpRequest, form: PriorityForm, object_id: str) -> HttpResponse:
        """Give a study another share of the workers."""
        return self.called(
            request, services.prioritize_run, "The run has another priority.", form, object_id,
            priority=Priority(form.cleaned_data["priority"]),
        )  # fmt: skip

    keep = _asking(
        "Keep",
        icon="keep",
        title="Keep the files of this run for ever",
        text="The retention policy passes it by.",
        verb=services.keep_run,
        is_kept=True,
        done="The files are kept.",
    )
    release = _asking(
        "Keep no longer",
        icon="keep_off",
        title="Leave the files of this run to the retention policy",
        text="They are removed once they are as old as it says.",
        verb=services.keep_run,
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
            "backtests_run_reproduce": run is None or selectors.why_not_reproduced(run) is not None,
            "backtests_run_queue_again": over not in RUNS.terminal,
            "backtests_run_prioritize": over in RUNS.terminal,
            "backtests_run_keep": run is None or run.is_kept or bool(run.artifacts_expired_at),
            "backtests_run_release": run is None or not run.is_kept,
        }
        offered = super().get_actions_detail(request, object_id)
        return [entry for entry in offered if not hidden.get(entry.action_name, False)]

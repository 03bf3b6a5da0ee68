"""The page of a run in the admin: live progress, then what came out."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path

from backtests import selectors
from backtests.lifecycle import RUNS, RunStatus
from backtests.models import Run
from crowetrade_site.core.admin import ServiceAdmin
from crowetrade_site.core.errors import DomainError

Found = TypeVar("Found")


class RunPage(ServiceAdmin):
    """A run's page, and the fragment of it that is polled."""

    change_form_outer_before_template = "backtests/admin/run.html"
    change_form_outer_after_template = "backtests/admin/after.html"

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
            "replay": self._readable(request, row, selectors.get_replay),
            "unit": selectors.unit_of_progress(row),
            "sheet": self._readable(request, row, selectors.get_tearsheet),
            "share": self._share(row, study),
            "wait": self._wait(row),
            "is_over": row.status in RUNS.terminal,
            "tested": selectors.find_tested_version(row),
            "evidence": selectors.list_evidence_of(row),
            "no_deflated_sharpe": selectors.why_no_deflated_sharpe(row),
            "has_findings": selectors.has_findings(row),
            "stress": selectors.get_stress(row),
            "reproductions": selectors.list_reproductions(row),
            "cancellation": selectors.find_cancellation(row),
            "history": selectors.history_of(row),
        }

    @staticmethod
    def _wait(run: Run) -> selectors.Wait | None:
        return selectors.get_wait(run) if run.status == RunStatus.QUEUED else None

    @staticmethod
    def _readable(
        request: HttpRequest, run: Run, read: Callable[[Run], Found | None]
    ) -> Found | None:
        """Return what a run's files say; those that cannot be read must not take its page away."""
        try:
            return read(run)
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

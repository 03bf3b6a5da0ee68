"""The page of an experiment in the admin: its live board, its report and its files."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from django.utils import timezone

from crowetrade_site.core.admin import ServiceAdmin
from crowetrade_site.core.errors import Conflict, DomainError
from experiments import selectors, services
from experiments.lifecycle import ExperimentStatus
from experiments.models import Experiment
from experiments.selectors.exports import Asked


class ExperimentPage(ServiceAdmin):
    """An experiment's page, and the part of it that renews itself."""

    change_form_outer_before_template = "experiments/admin/experiment.html"

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

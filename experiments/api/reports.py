"""Reports of experiments over REST."""

from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from crowetrade_site.core.api.negotiation import AsItIs
from experiments import selectors


class ExperimentReportView(APIView):
    """An experiment's report."""

    scopes = {"GET": "experiments:read"}
    content_negotiation_class = AsItIs

    @extend_schema(responses={(200, "text/html"): OpenApiTypes.STR})
    def get(self, request: Request, experiment_id: UUID) -> HttpResponse:  # noqa: ARG002
        """Return the report as one self-contained HTML file."""
        experiment = selectors.get_experiment(experiment_id)
        name = f'attachment; filename="experiment-{experiment.name}.html"'
        report = selectors.render_report(experiment)
        return HttpResponse(report, headers={"Content-Disposition": name})

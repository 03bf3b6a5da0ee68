"""Outcomes and exposures of an experiment over REST, written while they are sent."""

from uuid import UUID

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.views import APIView

from crowetrade_site.core.api.input import caller, valid
from crowetrade_site.core.api.negotiation import AsItIs
from experiments import services
from experiments.api import serializers
from experiments.selectors.exports import Asked

FILES = {
    (200, "text/csv"): OpenApiTypes.BINARY,
    (200, "application/vnd.apache.arrow.stream"): OpenApiTypes.BINARY,
}


class OutcomesExportView(APIView):
    """The outcomes of an experiment as they came."""

    scopes = {"GET": "experiments:read"}
    content_negotiation_class = AsItIs

    @extend_schema(parameters=[serializers.OutcomesExportQuery], responses=FILES)
    def get(self, request: Request, experiment_id: UUID, kind: str) -> StreamingHttpResponse:
        """Return those that are kept, in the order of their keys; the audit trail says who did."""
        asked = valid(serializers.OutcomesExportQuery(data=request.query_params))
        what = Asked(tuple(asked["metric"]), asked["since"], asked["until"])
        return _sent(request, experiment_id, "outcomes", kind, what)


class ExposuresExportView(APIView):
    """The units of an experiment and the arms that they met."""

    scopes = {"GET": "experiments:read"}
    content_negotiation_class = AsItIs

    @extend_schema(parameters=[serializers.ExportQuery], responses=FILES)
    def get(self, request: Request, experiment_id: UUID, kind: str) -> StreamingHttpResponse:
        """Return them all, in the order of their names; the audit trail says who did."""
        asked = valid(serializers.ExportQuery(data=request.query_params))
        what = Asked(since=asked["since"], until=asked["until"])
        return _sent(request, experiment_id, "exposures", kind, what)


def _sent(
    request: Request, experiment_id: UUID, table: str, kind: str, asked: Asked
) -> StreamingHttpResponse:
    export = services.export_rows(
        experiment_id=experiment_id, table=table, kind=kind, asked=asked, actor=caller(request),
        at=timezone.now(),
    )  # fmt: skip
    return StreamingHttpResponse(export.pieces, headers=export.headers)

"""Datasets and runs over REST."""

from uuid import UUID

from django.http import FileResponse, HttpResponse
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from backtests import selectors, services
from backtests.api import filters, serializers
from backtests.lifecycle import Priority
from backtests.models import Dataset, Run
from crowetrade_site.core import storage
from crowetrade_site.core.api.headers import IDEMPOTENCY_KEY, idempotency_key, names_etag
from crowetrade_site.core.api.input import caller, valid, within
from crowetrade_site.core.api.negotiation import AsItIs
from crowetrade_site.core.api.pagination import neighbors
from crowetrade_site.core.api.serializers import Reason


class RunsView(ListAPIView[Run]):
    """Runs: list them, queue another."""

    scopes = {"GET": "runs:read", "POST": "runs:write"}
    rates = {"POST": "runs"}
    queryset = selectors.list_runs().defer("spec", "summary", "artifacts", "environment")
    serializer_class = serializers.RunRow
    filterset_class = filters.RunFilter
    ordering_fields = ["created_at", "queued_at", "status", "kind"]

    @extend_schema(
        request=serializers.RunRequest,
        responses={201: serializers.RunDetail},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request) -> Response:
        """Queue what a spec asks for."""
        wanted = valid(serializers.RunRequest(data=request.data))
        with within("spec"):
            run = services.queue_run(
                document=wanted["spec"],
                reason=wanted["reason"],
                priority=Priority(wanted["priority"]),
                actor=caller(request),
                at=timezone.now(),
                idempotency_key=idempotency_key(request),
            )
        return Response(
            serializers.RunDetail(run).data,
            status.HTTP_201_CREATED,
            headers={"Location": reverse("run", args=[run.public_id])},
        )


class EstimateRunView(APIView):
    """What a run would take."""

    scopes = {"POST": "runs:write"}
    rates = {"POST": "estimates"}

    @extend_schema(request=serializers.RunRequest, responses=serializers.RunEstimate)
    def post(self, request: Request) -> Response:
        """Check a spec and estimate its cost; nothing is queued."""
        wanted = valid(serializers.RunRequest(data=request.data))
        with within("spec"):
            estimate = services.estimate_run(document=wanted["spec"], actor=caller(request))
        return Response(serializers.RunEstimate(estimate).data)


class RunView(APIView):
    """One run."""

    scopes = {"GET": "runs:read"}

    @extend_schema(responses=serializers.RunDetail)
    def get(self, request: Request, run_id: UUID) -> Response:  # noqa: ARG002
        """Return a run with its progress and, once over, its results."""
        return Response(serializers.RunDetail(selectors.get_run(run_id)).data)


class RunTrialsView(APIView):
    """The trials of a study."""

    scopes = {"GET": "runs:read"}

    @extend_schema(parameters=[serializers.TrialsQuery], responses=serializers.TrialsPage)
    def get(self, request: Request, run_id: UUID) -> Response:
        """Return a page of a study's trials, by number or by any figure."""
        asked = valid(serializers.TrialsQuery(data=request.query_params))
        page = selectors.list_trials(
            selectors.get_run(run_id),
            order=asked["order"],
            offset=asked["offset"],
            limit=asked["limit"],
            columns=asked["columns"],
            is_feasible=asked["feasible"],
        )
        links = neighbors(request, asked["offset"], asked["limit"], page.n_trials)
        return Response({"count": page.n_trials, **links, "results": page.rows})


class CancelRunView(APIView):
    """A run's end before its time."""

    scopes = {"POST": "runs:write"}

    @extend_schema(request=Reason, responses=serializers.RunDetail)
    def post(self, request: Request, run_id: UUID) -> Response:
        """Ask a run to stop."""
        wanted = valid(Reason(data=request.data))
        run = services.cancel_run(
            run_id=run_id, actor=caller(request), at=timezone.now(), reason=wanted["reason"]
        )
        return Response(serializers.RunDetail(run).data)


class PrioritizeRunView(APIView):
    """A run's share of the workers."""

    scopes = {"POST": "runs:write"}

    @extend_schema(request=serializers.PriorityRequest, responses=serializers.RunDetail)
    def post(self, request: Request, run_id: UUID) -> Response:
        """Give a study another share of the workers, from its next chunk on."""
        wanted = valid(serializers.PriorityRequest(data=request.data))
        run = services.prioritize_run(
            run_id=run_id,
            priority=Priority(wanted["priority"]),
            actor=caller(request),
            at=timezone.now(),
            reason=wanted["reason"],
        )
        return Response(serializers.RunDetail(run).data)


class KeepRunView(APIView):
    """How long a run's files are kept."""

    scopes = {"POST": "runs:write"}

    @extend_schema(request=serializers.KeepRequest, responses=serializers.RunDetail)
    def post(self, request: Request, run_id: UUID) -> Response:
        """Keep a run's files for ever, or leave them to the retention policy again."""
        wanted = valid(serializers.KeepRequest(data=request.data))
        run = services.keep_run(
            run_id=run_id,
            is_kept=wanted["is_kept"],
            actor=caller(request),
            at=timezone.now(),
            reason=wanted["reason"],
        )
        return Response(serializers.RunDetail(run).data)


class ReproduceRunView(APIView):
    """A finished run, once more."""

    scopes = {"POST": "runs:write"}
    rates = {"POST": "runs"}

    @extend_schema(request=Reason, responses={201: serializers.RunDetail})
    def post(self, request: Request, run_id: UUID) -> Response:
        """Queue it again, to compare every byte of what comes out."""
        wanted = valid(Reason(data=request.data))
        run = services.reproduce_run(
            run_id=run_id, actor=caller(request), at=timezone.now(), reason=wanted["reason"]
        )
        return Response(
            serializers.RunDetail(run).data,
            status.HTTP_201_CREATED,
            headers={"Location": reverse("run", args=[run.public_id])},
        )


class CheckCausalityView(APIView):
    """Whether a finished backtest looks ahead."""

    scopes = {"POST": "runs:write"}
    rates = {"POST": "runs"}

    @extend_schema(request=Reason, responses={201: serializers.RunDetail})
    def post(self, request: Request, run_id: UUID) -> Response:
        """Queue a check on futures: bars after a cut are others, what came before must stay."""
        wanted = valid(Reason(data=request.data))
        run = services.check_causality(
            run_id=run_id, actor=caller(request), at=timezone.now(), reason=wanted["reason"]
        )
        return Response(
            serializers.RunDetail(run).data,
            status.HTTP_201_CREATED,
            headers={"Location": reverse("run", args=[run.public_id])},
        )


class RunReportView(APIView):
    """A run's report."""

    scopes = {"GET": "runs:read"}
    content_negotiation_class = AsItIs

    @extend_schema(responses={(200, "text/html"): OpenApiTypes.STR})
    def get(self, request: Request, run_id: UUID) -> HttpResponse:  # noqa: ARG002
        """Return the report as one self-contained HTML file."""
        run = selectors.get_run(run_id)
        name = f'attachment; filename="report-{str(run_id)[:8]}.html"'
        return HttpResponse(selectors.render_report(run), headers={"Content-Disposition": name})


class RunArtifactsView(APIView):
    """The files a run left behind."""

    scopes = {"GET": "runs:read"}

    @extend_schema(responses=serializers.Artifact(many=True))
    def get(self, request: Request, run_id: UUID) -> Response:
        """List them."""
        rows = selectors.list_artifacts(selectors.get_run(run_id))
        for row in rows:
            row["url"] = request.build_absolute_uri(f"{row['name']}/")
        return Response(serializers.Artifact(rows, many=True).data)


class RunArtifactView(APIView):
    """One file of a run."""

    scopes = {"GET": "runs:read"}
    content_negotiation_class = AsItIs

    @extend_schema(
        responses={
            (200, "application/octet-stream"): OpenApiResponse(OpenApiTypes.BINARY),
            304: OpenApiResponse(description="The client has it: If-None-Match names the ETag"),
        }
    )
    def get(self, request: Request, run_id: UUID, name: str) -> HttpResponse | FileResponse:
        """Return the file, verified against its digest before the first byte leaves."""
        digest = selectors.get_artifact(selectors.get_run(run_id), name)
        answer: HttpResponse | FileResponse
        if names_etag(request, digest):
            answer = HttpResponse(status=304)
        else:
            answer = FileResponse(storage.stream(digest), as_attachment=True, filename=name)
        answer["ETag"] = f'"{digest}"'
        return answer


class DatasetsView(ListAPIView[Dataset]):
    """Dataset versions: list them, import another."""

    scopes = {"GET": "datasets:read", "POST": "datasets:write"}
    queryset = selectors.list_datasets()
    serializer_class = serializers.DatasetRow
    filterset_class = filters.DatasetFilter
    ordering_fields = ["created_at", "name", "status", "kind", "n_rows", "n_instruments"]
    parser_classes = [MultiPartParser]

    @extend_schema(
        request={"multipart/form-data": serializers.DatasetUpload},
        responses={202: serializers.DatasetRow},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request) -> Response:
        """Store an uploaded file and queue its import; a worker checks and maps it."""
        key = idempotency_key(request)
        wanted = valid(serializers.DatasetUpload(data=request.data))
        # before the file is kept: a request that is refused leaves nothing in the store
        with within("options"):
            options = selectors.check_import(wanted["name"], wanted["options"])
        dataset = services.request_import(
            name=wanted["name"],
            source_name=wanted["file"].name,
            source_artifact=storage.put(wanted["file"].file),
            options=options,
            actor=caller(request),
            at=timezone.now(),
            idempotency_key=key,
        )
        return Response(serializers.DatasetRow(dataset).data, status.HTTP_202_ACCEPTED)


class DatasetView(APIView):
    """One dataset version."""

    scopes = {"GET": "datasets:read"}

    @extend_schema(responses=serializers.DatasetDetail)
    def get(self, request: Request, dataset_id: UUID) -> Response:  # noqa: ARG002
        """Return a dataset version with its manifest and quality report."""
        return Response(serializers.DatasetDetail(selectors.get_dataset(dataset_id)).data)

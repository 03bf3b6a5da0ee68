"""Experiments over REST."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crowetrade_site.core.api.headers import IDEMPOTENCY_KEY, idempotency_key
from crowetrade_site.core.api.input import caller, valid, within
from crowetrade_site.core.api.pagination import NewestFirst
from crowetrade_site.core.api.serializers import Reason
from crowetrade_site.core.errors import InvalidInput, NotFound
from experiments import selectors, services
from experiments.api import filters, serializers
from experiments.models import Allocation, Analysis, Experiment, Exposure
from experiments.plans import Verdict
from experiments.plans.sizing import size_of, why_unsized
from experiments.selectors.configuration import exposures_of


def detail(experiment: Experiment) -> dict[str, Any]:
    """Return an experiment as one is shown."""
    plan = selectors.plan_of(experiment)
    context = {
        "allocations": list(selectors.allocations_in_force(experiment, plan).values()),
        "tallies": selectors.tallies(experiment),
    }
    return dict(serializers.ExperimentDetail(experiment, context=context).data)


class ExperimentsView(ListAPIView[Experiment]):
    """Experiments: list them, plan another."""

    scopes = {"GET": "experiments:read", "POST": "experiments:write"}
    queryset = selectors.list_experiments().defer("plan")
    serializer_class = serializers.ExperimentRow
    filterset_class = filters.ExperimentFilter
    ordering_fields = ["created_at"]

    @extend_schema(
        request=serializers.PlanRequest,
        responses={201: serializers.ExperimentDetail},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request) -> Response:
        """Keep a plan as a draft; whoever wrote it owns it."""
        wanted = valid(serializers.PlanRequest(data=request.data))
        with within("plan"):
            experiment = services.create_experiment(
                document=wanted["plan"], actor=caller(request), at=timezone.now(),
                idempotency_key=idempotency_key(request),
            )  # fmt: skip
        return Response(
            detail(experiment),
            status.HTTP_201_CREATED,
            headers={"Location": reverse("experiment", args=[experiment.public_id])},
        )


class SizingView(APIView):
    """What a plan could show, before it is kept."""

    scopes = {"POST": "experiments:read"}

    @extend_schema(request=serializers.PlanToSize, responses=serializers.Sized)
    def post(self, request: Request) -> Response:
        """Return how long a plan takes and what it can show, by its assumptions."""
        wanted = valid(serializers.PlanToSize(data=request.data))
        with within("plan"):
            plan = services.parse_plan(wanted["plan"])
            if why := why_unsized(plan):
                raise InvalidInput.at("assumptions", why)
        shown = {"sizing": size_of(plan), "detectability": selectors.detectability(plan)}
        return Response(serializers.Sized(shown).data)


class ExperimentView(APIView):
    """One experiment."""

    scopes = {"GET": "experiments:read", "PATCH": "experiments:write"}

    @extend_schema(responses=serializers.ExperimentDetail)
    def get(self, request: Request, experiment_id: UUID) -> Response:  # noqa: ARG002
        """Return it with its plan, the shares in force and what was counted."""
        return Response(detail(selectors.get_experiment(experiment_id)))

    @extend_schema(request=serializers.RevisionRequest, responses=serializers.ExperimentDetail)
    def patch(self, request: Request, experiment_id: UUID) -> Response:
        """Write a draft anew; a plan that runs is never changed."""
        wanted = valid(serializers.RevisionRequest(data=request.data))
        with within("plan"):
            experiment = services.revise_experiment(
                experiment_id=experiment_id, document=wanted["plan"], actor=caller(request),
                at=timezone.now(), reason=wanted["reason"],
            )  # fmt: skip
        return Response(detail(experiment))


class _MoveView(APIView):
    """A step in the life of an experiment, with its reason."""

    scopes = {"POST": "experiments:write"}
    service: Callable[..., Experiment]
    serializer: type[Any] = serializers.StatedReason

    def move(self, request: Request, experiment_id: UUID) -> Response:
        wanted = valid(self.serializer(data=request.data))
        experiment = type(self).service(
            experiment_id=experiment_id, actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(detail(experiment))


class StartExperimentView(_MoveView):
    """The start of an experiment."""

    service = services.start_experiment
    serializer = serializers.Start

    @extend_schema(request=serializers.Start, responses=serializers.ExperimentDetail)
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Freeze the plan, pin what its arms are, and begin."""
        return self.move(request, experiment_id)


class PauseExperimentView(_MoveView):
    """A pause of an experiment."""

    service = services.pause_experiment

    @extend_schema(request=serializers.StatedReason, responses=serializers.ExperimentDetail)
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Stop assigning; outcomes of what was assigned still come in."""
        return self.move(request, experiment_id)


class ResumeExperimentView(_MoveView):
    """The end of a pause."""

    service = services.resume_experiment

    @extend_schema(request=serializers.StatedReason, responses=serializers.ExperimentDetail)
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Go on after a pause, with the same plan."""
        return self.move(request, experiment_id)


class ConcludeExperimentView(APIView):
    """The end of an experiment by a person."""

    scopes = {"POST": "experiments:write"}

    @extend_schema(request=serializers.Conclusion, responses=serializers.ExperimentDetail)
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """End it with an answer and the reason for it."""
        wanted = valid(serializers.Conclusion(data=request.data))
        experiment = services.conclude_experiment(
            experiment_id=experiment_id, verdict=Verdict(wanted["verdict"]),
            winner=wanted["winner"], reason=wanted["reason"], actor=caller(request),
            at=timezone.now(),
        )  # fmt: skip
        return Response(detail(experiment))


class ArchiveExperimentView(_MoveView):
    """The archive."""

    service = services.archive_experiment
    serializer = Reason

    @extend_schema(request=Reason, responses=serializers.ExperimentDetail)
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Put what is concluded, or a draft that never ran, out of sight."""
        return self.move(request, experiment_id)


class _ByNumber(NewestFirst):
    """The highest number first."""

    ordering: tuple[str, ...] = ("-number",)


class AllocationsView(ListAPIView[Allocation]):
    """The shares of the arms: list them, give others."""

    scopes = {"GET": "experiments:read", "POST": "experiments:write"}
    serializer_class = serializers.AllocationRow
    pagination_class = _ByNumber

    queryset = Allocation.objects.none()  # for the schema

    def get_queryset(self) -> QuerySet[Allocation]:
        """Return all shares that were ever in force."""
        return selectors.list_allocations(self.experiment)

    @cached_property
    def experiment(self) -> Experiment:
        """Return the experiment of the address."""
        return selectors.get_experiment(self.kwargs["experiment_id"])

    def get_serializer_context(self) -> dict[str, Any]:
        """Hand in the names of the arms, by which weights are told."""
        is_schema = getattr(self, "swagger_fake_view", False)
        arms = [] if is_schema else names_of(self.experiment)
        return {**super().get_serializer_context(), "arms": arms}

    @extend_schema(request=serializers.Shares, responses={201: serializers.AllocationRow})
    def post(self, request: Request, experiment_id: UUID) -> Response:
        """Give the arms other shares from now on; who met an arm before stays with it."""
        wanted = valid(serializers.Shares(data=request.data))
        made = services.reallocate(
            experiment_id=experiment_id, actor=caller(request), at=timezone.now(), **wanted
        )
        context = self.get_serializer_context()
        return Response(
            serializers.AllocationRow(made, context=context).data, status.HTTP_201_CREATED
        )


def names_of(experiment: Experiment) -> list[str]:
    """Return the names of the arms, by position."""
    return [arm.name for arm in sorted(experiment.arms.all(), key=lambda arm: arm.position)]


class _ByRow(NewestFirst):
    """The newest row first."""

    ordering: tuple[str, ...] = ("-id",)


class ExposuresView(ListAPIView[Exposure]):
    """The units of an experiment."""

    scopes = {"GET": "experiments:read"}
    queryset = Exposure.objects.none()  # for the schema
    serializer_class = serializers.ExposureRow
    filterset_class = filters.ExposureFilter
    pagination_class = _ByRow

    def get_queryset(self) -> QuerySet[Exposure]:
        """Return who met an arm."""
        return exposures_of(self.experiment)

    @cached_property
    def experiment(self) -> Experiment:
        """Return the experiment of the address."""
        return selectors.get_experiment(self.kwargs["experiment_id"])


class AnalysesView(ListAPIView[Analysis]):
    """The looks at an experiment that are kept."""

    scopes = {"GET": "experiments:read"}
    queryset = Analysis.objects.none()  # for the schema
    serializer_class = serializers.AnalysisRow
    pagination_class = _ByNumber

    def get_queryset(self) -> QuerySet[Analysis]:
        """Return them without what they found."""
        experiment = selectors.get_experiment(self.kwargs["experiment_id"])
        return selectors.list_analyses(experiment).defer("findings", "decision")


class AnalysisView(APIView):
    """One look at an experiment."""

    scopes = {"GET": "experiments:read"}

    @extend_schema(parameters=[serializers.AnalysisQuery], responses=serializers.AnalysisDetail)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """Return what was found and what it means by the plan; the newest by default."""
        asked = valid(serializers.AnalysisQuery(data=request.query_params))
        experiment = selectors.get_experiment(experiment_id)
        found = selectors.get_analysis(experiment, asked["number"])
        return Response(serializers.AnalysisDetail(found).data)


class StatisticsView(APIView):
    """The sums of an experiment, for analyses elsewhere."""

    scopes = {"GET": "experiments:read"}

    @extend_schema(parameters=[serializers.StatisticsQuery], responses=serializers.PeriodSums)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """Return the sums of one metric by period, allocation and arm."""
        name = valid(serializers.StatisticsQuery(data=request.query_params))["metric"]
        experiment = selectors.get_experiment(experiment_id)
        metric = next((one for one in experiment.metrics.all() if one.name == name), None)
        if metric is None:
            known = ", ".join(one.name for one in experiment.metrics.all())
            raise NotFound(f"{experiment} has no metric {name!r}; it has {known}.")
        sums = selectors.period_table(metric.pk)
        columns = {one: getattr(sums, one).tolist() for one in COLUMNS}
        return Response(
            {
                "metric": name,
                "period_ns": selectors.plan_of(experiment).period_ns,
                "arms": names_of(experiment),
                "columns": columns,
            }
        )


class PolicyValueView(APIView):
    """What other shares of the arms would have made."""

    scopes = {"GET": "experiments:read"}

    @extend_schema(parameters=[serializers.PolicyQuery], responses=serializers.PolicyValueRow)
    def get(self, request: Request, experiment_id: UUID) -> Response:
        """Return what a policy would have made of the units, for one look; it decides nothing."""
        asked = valid(serializers.PolicyQuery(data=request.query_params))
        found = selectors.evaluate_policy(
            selectors.get_experiment(experiment_id), asked["share"], asked["confidence"]
        )
        return Response(serializers.PolicyValueRow(found).data)


COLUMNS = (
    "period", "allocation", "arm", "n", "total", "squares", "x_total", "x_squares", "x_product",
)  # fmt: skip

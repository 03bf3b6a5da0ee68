"""Promotions, evidence and policies over REST."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import APIException
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crowetrade_site.core.api.headers import IDEMPOTENCY_KEY, idempotency_key
from crowetrade_site.core.api.input import caller, valid, within
from crowetrade_site.core.api.serializers import Nothing, Reason
from crowetrade_site.core.errors import Forbidden
from registry import selectors, services
from registry.api import filters, serializers
from registry.api.views.rows import of_version
from registry.lifecycle import MOVING_SCOPES, Stage
from registry.models import Evidence, PromotionPolicy, PromotionRequest


def detail(request_id: UUID) -> dict[str, Any]:
    """Return a promotion request as its endpoints answer, judged now."""
    row = selectors.get_request(request_id)
    standing = selectors.standing_of(row, at=timezone.now())
    return dict(serializers.PromotionDetail(row, context={"standing": standing}).data)


def _target_in(request: Request) -> str:
    """Return the stage that a request names; empty where it names none, or cannot be read."""
    with suppress(APIException):
        sent = request.data
        named = sent.get("target") if isinstance(sent, Mapping) else None
        return str(serializers.PromotionWanted().fields["target"].run_validation(named))
    return ""


class DecidingView(APIView):
    """A step of a promotion: an attempt that the scopes stop is on record, as any other."""

    refused_as: ClassVar[str]

    def check_permissions(self, request: Request) -> None:
        """Ask the scopes, and leave the entry that the service would leave."""
        try:
            super().check_permissions(request)
        except Forbidden as refusal:
            if request.method == "POST":
                self.remember(request, refusal)
            raise

    def remember(self, request: Request, refusal: Forbidden) -> None:
        """Put on record who may not decide about the request that the address names."""
        services.remember_refusal(
            self.refused_as, refusal, request_id=self.kwargs["request_id"],
            actor=caller(request), at=timezone.now(),
        )  # fmt: skip


class VersionPromotionsView(DecidingView):
    """The way up for a version."""

    scopes = {"GET": "models:read", "POST": MOVING_SCOPES}

    def remember(self, request: Request, refusal: Forbidden) -> None:
        """Put on record who may not ask for the version to go up."""
        services.remember_refused_request(
            refusal, version_id=self.kwargs["version_id"], target=_target_in(request),
            actor=caller(request), at=timezone.now(),
        )  # fmt: skip

    @extend_schema(parameters=[serializers.TargetQuery], responses=serializers.Gates)
    def get(self, request: Request, version_id: UUID) -> Response:
        """Return the gates of a stage as they are judged now."""
        asked = valid(serializers.TargetQuery(data=request.query_params))
        version = selectors.get_version(version_id)
        judged = selectors.judge(version, Stage(asked["target"]), at=timezone.now())
        return Response(serializers.Gates(judged).data)

    @extend_schema(
        request=serializers.PromotionWanted,
        responses={201: serializers.PromotionDetail},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request, version_id: UUID) -> Response:
        """Ask for a version to go up; every gate must be met."""
        wanted = valid(serializers.PromotionWanted(data=request.data))
        made = services.request_promotion(
            version_id=version_id, target=Stage(wanted["target"]), reason=wanted["reason"],
            actor=caller(request), at=timezone.now(), idempotency_key=idempotency_key(request),
        )  # fmt: skip
        return Response(
            detail(made.public_id),
            status.HTTP_201_CREATED,
            headers={"Location": reverse("promotion", args=[made.public_id])},
        )


class PromotionsView(ListAPIView[PromotionRequest]):
    """Requests for promotion."""

    scopes = {"GET": "models:read"}
    queryset = selectors.list_requests().defer("report")
    serializer_class = serializers.PromotionRow
    filterset_class = filters.PromotionFilter
    ordering_fields = ["created_at", "requested_at", "expires_at"]


class PromotionView(APIView):
    """One request for promotion."""

    scopes = {"GET": "models:read"}

    @extend_schema(responses=serializers.PromotionDetail)
    def get(self, request: Request, request_id: UUID) -> Response:  # noqa: ARG002
        """Return it with its gates and approvals as they stand."""
        return Response(detail(request_id))


class ApprovePromotionView(DecidingView):
    """A yes."""

    scopes = {"POST": "models:approve"}
    refused_as = services.APPROVAL_REFUSED

    @extend_schema(request=serializers.ApproveRequest, responses=serializers.PromotionDetail)
    def post(self, request: Request, request_id: UUID) -> Response:
        """Agree to the bytes and the evidence as they are now."""
        wanted = valid(serializers.ApproveRequest(data=request.data))
        services.approve_promotion(
            request_id=request_id, actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(detail(request_id))


class RejectPromotionView(APIView):
    """A no."""

    scopes = {"POST": "models:approve"}

    @extend_schema(request=Reason, responses=serializers.PromotionDetail)
    def post(self, request: Request, request_id: UUID) -> Response:
        """Refuse a request, and say why."""
        wanted = valid(Reason(data=request.data))
        services.reject_promotion(
            request_id=request_id, actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(detail(request_id))


class WithdrawPromotionView(APIView):
    """A request taken back."""

    scopes = {"POST": MOVING_SCOPES}

    @extend_schema(request=Reason, responses=serializers.PromotionDetail)
    def post(self, request: Request, request_id: UUID) -> Response:
        """Take back a request of one's own."""
        wanted = valid(Reason(data=request.data))
        services.withdraw_promotion(
            request_id=request_id, actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(detail(request_id))


class ExecutePromotionView(DecidingView):
    """An approved request, carried out."""

    scopes = {"POST": MOVING_SCOPES}
    refused_as = services.EXECUTION_REFUSED

    @extend_schema(request=None, responses=serializers.PromotionDetail)
    def post(self, request: Request, request_id: UUID) -> Response:
        """Judge the gates once more, and move the version."""
        valid(Nothing(data={} if request.data is None else request.data))  # null says nothing
        services.execute_promotion(request_id=request_id, actor=caller(request), at=timezone.now())
        return Response(detail(request_id))


class EvidenceListView(ListAPIView[Evidence]):
    """All evidence."""

    scopes = {"GET": "evidence:read"}
    queryset = selectors.list_evidence()
    serializer_class = serializers.EvidenceRow
    filterset_class = filters.EvidenceFilter
    ordering_fields = ["created_at", "produced_at"]


class EvidenceView(APIView):
    """One piece of evidence."""

    scopes = {"GET": "evidence:read"}

    @extend_schema(responses=serializers.EvidenceRow)
    def get(self, request: Request, evidence_id: UUID) -> Response:  # noqa: ARG002
        """Return it."""
        return Response(serializers.EvidenceRow(selectors.get_evidence(evidence_id)).data)


class VersionEvidenceView(ListAPIView[Evidence]):
    """The evidence of one version: list it, attest more."""

    scopes = {"GET": "evidence:read", "POST": "evidence:write"}
    serializer_class = serializers.EvidenceRow
    filterset_class = filters.EvidenceFilter
    ordering_fields = ["created_at", "produced_at"]

    def get_queryset(self) -> QuerySet[Evidence]:
        """Return the evidence of the version that the address names."""
        return of_version(self, selectors.list_evidence())

    @extend_schema(
        request=serializers.AttestRequest,
        responses={201: serializers.Attested},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request, version_id: UUID) -> Response:
        """Sign for something; it meets manual gates of its topic."""
        wanted = valid(serializers.AttestRequest(data=request.data))
        piece = services.attest_evidence(
            version_id=version_id, actor=caller(request), at=timezone.now(),
            idempotency_key=idempotency_key(request), **wanted,
        )  # fmt: skip
        return Response(serializers.Attested(piece).data, status.HTTP_201_CREATED)


class PoliciesView(ListAPIView[PromotionPolicy]):
    """Promotion policies, every version: list them, store the next."""

    scopes = {"GET": "models:read", "POST": "models:approve"}
    queryset = selectors.list_policies()
    serializer_class = serializers.PolicyRow
    filterset_class = filters.PolicyFilter
    ordering_fields = ["created_at", "name"]

    @extend_schema(
        request=serializers.PolicyRequest,
        responses={201: serializers.StoredPolicy},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request) -> Response:
        """Store the next version of a policy; it is in force from then on."""
        wanted = valid(serializers.PolicyRequest(data=request.data))
        with within("text"):
            policy = services.store_policy(
                actor=caller(request), at=timezone.now(),
                idempotency_key=idempotency_key(request), **wanted,
            )  # fmt: skip
        return Response(serializers.StoredPolicy(policy).data, status.HTTP_201_CREATED)


class PolicyView(APIView):
    """One version of a policy."""

    scopes = {"GET": "models:read"}

    @extend_schema(responses=serializers.PolicyRow)
    def get(self, request: Request, policy_id: UUID) -> Response:  # noqa: ARG002
        """Return it."""
        return Response(serializers.PolicyRow(selectors.get_policy(policy_id)).data)

"""Conversions, signatures and trusted types over REST."""

from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crowetrade_site.core.api.headers import IDEMPOTENCY_KEY, idempotency_key
from crowetrade_site.core.api.input import caller, valid
from crowetrade_site.core.api.serializers import Reason
from registry import selectors, services
from registry.api import filters, serializers
from registry.api.views.rows import of_version
from registry.models import Conversion, SigningBundle, TrustedType

EITHER = ("models:write", "models:approve")


class VersionConversionsView(ListAPIView[Conversion]):
    """A model as skops or ONNX: list what was asked for, ask for more."""

    scopes = {"GET": "models:read", "POST": "models:write"}
    serializer_class = serializers.ConversionRow
    filterset_class = filters.ConversionFilter
    ordering_fields = ["created_at"]

    def get_queryset(self) -> QuerySet[Conversion]:
        """Return the conversions of the version that the address names."""
        return of_version(self, selectors.list_conversions())

    @extend_schema(
        request=serializers.ConversionRequest,
        responses={202: serializers.ConversionRow},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request, version_id: UUID) -> Response:
        """Ask for a conversion; a worker does it in the sandbox."""
        wanted = valid(serializers.ConversionRequest(data=request.data))
        made = services.convert_version(
            version_id=version_id, actor=caller(request), at=timezone.now(),
            idempotency_key=idempotency_key(request), **wanted,
        )  # fmt: skip
        return Response(
            serializers.ConversionRow(made).data,
            status.HTTP_202_ACCEPTED,
            headers={"Location": reverse("conversion", args=[made.public_id])},
        )


class ConversionView(APIView):
    """One conversion."""

    scopes = {"GET": "models:read"}

    @extend_schema(responses=serializers.ConversionRow)
    def get(self, request: Request, conversion_id: UUID) -> Response:  # noqa: ARG002
        """Return how it stands, and the version that came of it."""
        found = selectors.get_conversion(conversion_id)
        return Response(serializers.ConversionRow(found).data)


class VersionSignaturesView(ListAPIView[SigningBundle]):
    """Signatures over the files of a version: list them, attach another."""

    scopes = {"GET": "models:read", "POST": EITHER}
    serializer_class = serializers.SignatureRow
    filterset_class = filters.SignatureFilter
    ordering_fields = ["created_at", "verified_at"]

    def get_queryset(self) -> QuerySet[SigningBundle]:
        """Return the signatures of the version that the address names."""
        return of_version(self, selectors.list_signatures())

    @extend_schema(request=serializers.SignatureRequest, responses={201: serializers.SignatureRow})
    def post(self, request: Request, version_id: UUID) -> Response:
        """Attach a model-signing bundle; it is verified over the registered files first."""
        wanted = valid(serializers.SignatureRequest(data=request.data))
        made = services.attach_signature(
            version_id=version_id, actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(serializers.SignatureRow(made).data, status.HTTP_201_CREATED)


class TrustedTypesView(ListAPIView[TrustedType]):
    """Types that desks trust beside the registry's list: list them, propose another."""

    scopes = {"GET": "models:read", "POST": EITHER}
    queryset = selectors.list_trusted_types()
    serializer_class = serializers.TypeRow
    filterset_class = filters.TrustedTypeFilter
    ordering_fields = ["created_at"]

    @extend_schema(request=serializers.TypeRequest, responses={201: serializers.TypeRow})
    def post(self, request: Request) -> Response:
        """Propose a type; somebody else approves it."""
        wanted = valid(serializers.TypeRequest(data=request.data))
        made = services.propose_type(actor=caller(request), at=timezone.now(), **wanted)
        return Response(serializers.TypeRow(made).data, status.HTTP_201_CREATED)


class ApproveTypeView(APIView):
    """A yes to a type."""

    scopes = {"POST": "models:approve"}

    @extend_schema(request=Reason, responses=serializers.TypeRow)
    def post(self, request: Request, type_id: UUID) -> Response:
        """Trust a type that somebody else has proposed."""
        wanted = valid(Reason(data=request.data))
        found = services.approve_type(
            type_id=type_id, actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(serializers.TypeRow(found).data)


class RevokeTypeView(APIView):
    """The end of a type."""

    scopes = {"POST": EITHER}

    @extend_schema(request=Reason, responses=serializers.TypeRow)
    def post(self, request: Request, type_id: UUID) -> Response:
        """Trust a type no more, at once; or refuse a proposal."""
        wanted = valid(Reason(data=request.data))
        found = services.revoke_type(
            type_id=type_id, actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(serializers.TypeRow(found).data)

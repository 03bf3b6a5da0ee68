"""Versions of models over REST."""

from typing import Any
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
from crowetrade_site.core.api.negotiation import AsItIs
from crowetrade_site.core.api.rows import RowsView
from crowetrade_site.core.api.serializers import Reason
from registry import selectors, services
from registry.api import filters, serializers
from registry.api.views.models import name_of
from registry.api.views.rows import of_version
from registry.lifecycle import MOVING_SCOPES, Stage
from registry.models import ModelVersion, Waiver
from registry.services.versions import VersionCard


class VersionsView(RowsView[ModelVersion]):
    """Versions of all models."""

    scopes = {"GET": "models:read"}
    queryset = selectors.list_versions()
    serializer_class = serializers.VersionRow
    filterset_class = filters.VersionFilter
    ordering_fields = ["created_at", "changed_at"]
    content_negotiation_class = AsItIs  # of DRF's own `format` nothing is left but a filter's name


class ModelVersionsView(RowsView[ModelVersion]):
    """Versions of one model: list them, register another."""

    scopes = {"GET": "models:read", "POST": "models:write"}
    serializer_class = serializers.VersionRow
    filterset_class = filters.VersionFilter
    ordering_fields = ["created_at", "changed_at", "number"]
    content_negotiation_class = AsItIs

    def get_queryset(self) -> QuerySet[ModelVersion]:
        """Return the versions of the model that the address names."""
        rows = selectors.list_versions()
        if getattr(self, "swagger_fake_view", False):  # the schema is drawn for no model
            return rows.none()
        return rows.filter(registered_model=selectors.get_model(self.kwargs["model_id"]))

    @extend_schema(
        request=serializers.VersionRequest,
        responses={201: serializers.VersionDetail},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request, model_id: UUID) -> Response:
        """Register files that were handed in; a worker looks at them."""
        wanted = valid(serializers.VersionRequest(data=request.data))
        version = services.register_version(
            name=name_of(model_id), source=wanted.pop("source"),
            allow_duplicate=wanted.pop("allow_duplicate"), card=VersionCard(**wanted),
            actor=caller(request), at=timezone.now(), idempotency_key=idempotency_key(request),
        )  # fmt: skip
        return Response(
            serializers.VersionDetail(version).data,
            status.HTTP_201_CREATED,
            headers={"Location": reverse("version", args=[version.public_id])},
        )


class VersionView(APIView):
    """One version."""

    scopes = {"GET": "models:read", "PATCH": "models:write", "DELETE": "models:write"}

    @extend_schema(responses=serializers.VersionDetail)
    def get(self, request: Request, version_id: UUID) -> Response:  # noqa: ARG002
        """Return all that is known of it."""
        return Response(serializers.VersionDetail(selectors.get_version(version_id)).data)

    @extend_schema(request=serializers.DescriptionRequest, responses=serializers.VersionDetail)
    def patch(self, request: Request, version_id: UUID) -> Response:
        """Describe it anew."""
        wanted = valid(serializers.DescriptionRequest(data=request.data))
        version = services.update_version(
            version_id=version_id, actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(serializers.VersionDetail(version).data)

    @extend_schema(parameters=[Reason], responses={204: None})
    def delete(self, request: Request, version_id: UUID) -> Response:
        """Delete it, if it never left development."""
        wanted = valid(Reason(data=request.query_params))
        services.delete_version(
            version_id=version_id, actor=caller(request), at=timezone.now(),
            reason=wanted["reason"],
        )  # fmt: skip
        return Response(status=status.HTTP_204_NO_CONTENT)


class VersionTagsView(APIView):
    """The tags of a version."""

    scopes = {"POST": "models:write", "DELETE": "models:write"}

    @extend_schema(request=serializers.Tag, responses=serializers.VersionDetail)
    def post(self, request: Request, version_id: UUID) -> Response:
        """Set a tag."""
        wanted = valid(serializers.Tag(data=request.data))
        version = services.tag_version(
            version_id=version_id, actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(serializers.VersionDetail(version).data)

    @extend_schema(parameters=[serializers.TagKey], responses=serializers.VersionDetail)
    def delete(self, request: Request, version_id: UUID) -> Response:
        """Take a tag off."""
        wanted = valid(serializers.TagKey(data=request.query_params))
        version = services.untag_version(
            version_id=version_id, actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(serializers.VersionDetail(version).data)


class MoveVersionView(APIView):
    """Moves that take no request."""

    scopes = {"POST": MOVING_SCOPES}

    @extend_schema(request=serializers.MoveRequest, responses=serializers.VersionDetail)
    def post(self, request: Request, version_id: UUID) -> Response:
        """Submit to testing, rework, revoke or revive a version."""
        wanted = valid(serializers.MoveRequest(data=request.data))
        version = services.move_version(
            version_id=version_id, target=Stage(wanted["target"]), reason=wanted["reason"],
            actor=caller(request), at=timezone.now(),
        )  # fmt: skip
        return Response(serializers.VersionDetail(version).data)


class HoldVersionView(APIView):
    """Legal hold."""

    scopes = {"POST": "models:approve"}

    @extend_schema(request=serializers.HoldRequest, responses=serializers.VersionDetail)
    def post(self, request: Request, version_id: UUID) -> Response:
        """Put a version under legal hold, or release it."""
        wanted = valid(serializers.HoldRequest(data=request.data))
        version = services.hold_version(
            version_id=version_id, actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(serializers.VersionDetail(version).data)


class VersionWaiversView(ListAPIView[Waiver]):
    """Permissions for a quarantined version to leave development: list them, grant one."""

    scopes = {"GET": "models:read", "POST": "models:approve"}
    serializer_class = serializers.WaiverRow
    filterset_class = filters.WaiverFilter
    ordering_fields = ["created_at", "granted_at", "expires_at"]

    def get_queryset(self) -> QuerySet[Waiver]:
        """Return the waivers of the version that the address names."""
        return of_version(self, selectors.list_waivers())

    @extend_schema(request=serializers.WaiverRequest, responses={201: serializers.WaiverRow})
    def post(self, request: Request, version_id: UUID) -> Response:
        """Grant one, until a date."""
        wanted = valid(serializers.WaiverRequest(data=request.data))
        waiver = services.grant_waiver(
            version_id=version_id, actor=caller(request), at=timezone.now(), **wanted
        )
        return Response(serializers.WaiverRow(waiver).data, status.HTTP_201_CREATED)


class RevokeWaiverView(APIView):
    """The end of a waiver before its date."""

    scopes = {"POST": "models:approve"}

    @extend_schema(request=Reason, responses=serializers.WaiverRow)
    def post(self, request: Request, version_id: UUID, waiver_id: UUID) -> Response:
        """Take it back, and say why; it counts no more."""
        wanted = valid(Reason(data=request.data))
        waiver = services.revoke_waiver(
            version_id=version_id, waiver_id=waiver_id, actor=caller(request),
            at=timezone.now(), **wanted,
        )  # fmt: skip
        return Response(serializers.WaiverRow(waiver).data)


class CompareVersionsView(APIView):
    """Two versions side by side."""

    scopes = {"GET": "models:read"}

    @extend_schema(responses=serializers.Comparison)
    def get(self, request: Request, version_id: UUID, other_id: UUID) -> Response:  # noqa: ARG002
        """Return in what they differ."""
        one, other = selectors.get_version(version_id), selectors.get_version(other_id)
        found: dict[str, Any] = selectors.compare_versions(one, other)
        return Response(serializers.Comparison(found).data)


class VersionLineageView(APIView):
    """Where a version comes from."""

    scopes = {"GET": "models:read"}

    @extend_schema(responses=serializers.Lineage)
    def get(self, request: Request, version_id: UUID) -> Response:  # noqa: ARG002
        """Return its data, code, origin, copies and the runs that measured it."""
        found = selectors.get_lineage(selectors.get_version(version_id))
        return Response(serializers.Lineage(found).data)

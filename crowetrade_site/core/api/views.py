"""Tokens and the audit trail over REST."""

from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crowetrade_site.core import services
from crowetrade_site.core.api import filters, serializers
from crowetrade_site.core.api.input import bearer, caller, valid
from crowetrade_site.core.api.pagination import NewestFirst
from crowetrade_site.core.models import ApiToken, AuditEvent


class TokensView(ListAPIView[ApiToken]):
    """One's own tokens: list them, issue another."""

    scopes = {"GET": "tokens:write", "POST": "tokens:write"}
    serializer_class = serializers.TokenRow

    def get_queryset(self) -> QuerySet[ApiToken]:
        """Return the caller's tokens alone."""
        if getattr(self, "swagger_fake_view", False):  # the schema is drawn for nobody
            return ApiToken.objects.none()
        return ApiToken.objects.filter(user=caller(self.request))

    @extend_schema(request=serializers.TokenRequest, responses={201: serializers.NewToken})
    def post(self, request: Request) -> Response:
        """Issue a token; its text is in this answer and nowhere else."""
        wanted = valid(serializers.TokenRequest(data=request.data))
        user = caller(request)
        token, plain = services.issue_token(
            user=user, actor=user, at=timezone.now(), parent=bearer(request), **wanted
        )
        body = serializers.TokenRow(token).data | {"token": plain}
        return Response(body, status.HTTP_201_CREATED)


class TokenView(APIView):
    """One token."""

    scopes = {"DELETE": "tokens:write"}

    @extend_schema(responses={200: serializers.TokenRow})
    def delete(self, request: Request, token_id: UUID) -> Response:
        """Revoke it, at once and for good."""
        token = services.revoke_token(token_id=token_id, actor=caller(request), at=timezone.now())
        return Response(serializers.TokenRow(token).data)


class AuditPages(NewestFirst):
    """The trail's own order: the newest entry first."""

    ordering = ("-at", "-id")


class AuditView(ListAPIView[AuditEvent]):
    """The audit trail, newest first."""

    scopes = {"GET": "audit:read"}
    queryset = AuditEvent.objects.all()
    serializer_class = serializers.AuditRow
    filterset_class = filters.AuditFilter
    ordering_fields = ("at",)
    pagination_class = AuditPages

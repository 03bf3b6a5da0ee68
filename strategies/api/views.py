"""Strategies over REST."""

from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from crowetrade_site.core.api.headers import IDEMPOTENCY_KEY, idempotency_key
from crowetrade_site.core.api.input import caller, valid, within
from crowetrade_site.core.api.serializers import Reason
from strategies import selectors, services
from strategies.api import serializers
from strategies.models import Strategy


class StrategiesView(ListAPIView[Strategy]):
    """Stored strategies: list them, store another."""

    scopes = {"GET": "strategies:read", "POST": "strategies:write"}
    queryset = selectors.list_strategies()
    serializer_class = serializers.StrategyRow
    filterset_fields = ["name", "status", "digest"]
    ordering_fields = ["created_at", "name"]

    @extend_schema(
        request=serializers.StrategyRequest,
        responses={201: serializers.StrategyRow},
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self, request: Request) -> Response:
        """Store a spec as a draft."""
        wanted = valid(serializers.StrategyRequest(data=request.data))
        with within("document"):
            strategy = services.create_strategy(
                name=wanted["name"],
                document=wanted["document"],
                actor=caller(request),
                at=timezone.now(),
                idempotency_key=idempotency_key(request),
            )
        return Response(serializers.StrategyRow(strategy).data, status.HTTP_201_CREATED)


class StrategyView(APIView):
    """One stored strategy."""

    scopes = {"GET": "strategies:read"}

    @extend_schema(responses=serializers.StrategyRow)
    def get(self, request: Request, strategy_id: UUID) -> Response:  # noqa: ARG002
        """Return it with its document."""
        return Response(serializers.StrategyRow(selectors.get_strategy(strategy_id)).data)


class FreezeStrategyView(APIView):
    """The end of a draft."""

    scopes = {"POST": "strategies:write"}

    @extend_schema(request=Reason, responses=serializers.StrategyRow)
    def post(self, request: Request, strategy_id: UUID) -> Response:
        """Freeze a draft."""
        wanted = valid(Reason(data=request.data))
        strategy = services.freeze_strategy(
            strategy_id=strategy_id,
            actor=caller(request),
            at=timezone.now(),
            reason=wanted["reason"],
        )
        return Response(serializers.StrategyRow(strategy).data)

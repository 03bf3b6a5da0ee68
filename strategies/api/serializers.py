"""What the endpoints of strategies take and give."""

from typing import Any

from rest_framework import serializers

from crowetrade_site.core.api.rows import RowSerializer
from strategies.api.specs import StrategyField
from strategies.models import Strategy


class StrategyRequest(serializers.Serializer[Any]):
    """A spec to store under a name."""

    name = serializers.SlugField(max_length=80)
    document = StrategyField()


class StrategyRow(RowSerializer[Strategy]):
    """A stored strategy."""

    id = serializers.UUIDField(source="public_id")
    created_by = serializers.CharField(source="created_by.username")

    class Meta:
        model = Strategy
        fields = [
            "id",
            "name",
            "status",
            "digest",
            "document",
            "created_by",
            "created_at",
            "frozen_at",
        ]

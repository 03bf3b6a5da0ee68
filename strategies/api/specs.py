"""How the OpenAPI schema describes a strategy's document: as the pydantic models check it."""

from functools import cache
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from rest_framework import serializers

from crowetrade_site.core.api.schema import REFERENCE, reference_to
from strategies.selectors import strategy_schema

NAME = "StrategySpec"


class StrategyField(serializers.DictField):
    """A strategy's spec; the service checks it, so that all who hand one in are refused alike."""


class StrategyFieldExtension(OpenApiSerializerFieldExtension):
    """Every key of a strategy's spec."""

    target_class = "strategies.api.specs.StrategyField"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:  # noqa: ARG002
        """Return a reference to the spec, whose parts are components of the schema."""
        return reference_to(NAME, components(), auto_schema)


@cache
def components() -> dict[str, dict[str, Any]]:
    """Return the JSON schemas of a strategy's spec and all its parts, by name."""
    whole = strategy_schema(REFERENCE)
    parts = whole.pop("$defs", {})
    return dict(sorted({**parts, NAME: whole}.items()))

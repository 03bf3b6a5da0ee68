"""How the OpenAPI schema describes the document of a run: as the pydantic models check it."""

from functools import cache
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from pydantic import TypeAdapter
from rest_framework import serializers

from backtests.runspec import RunSpec
from backtests.search import SearchDocument
from crowetrade_site.core.api.schema import REFERENCE, reference_to
from strategies.selectors import strategy_schema


class SpecField(serializers.JSONField):
    """A run's spec; the service checks it, so that command line, API and admin refuse alike."""


class SpecFieldExtension(OpenApiSerializerFieldExtension):
    """Every key of a spec, by kind of run and of search."""

    target_class = "backtests.api.specs.SpecField"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:  # noqa: ARG002
        """Return a reference to the spec, whose parts are components of the schema."""
        return reference_to(RunSpec.__name__, components(), auto_schema)


@cache
def components() -> dict[str, dict[str, Any]]:
    """Return the JSON schemas of a run's spec and all its parts, by name."""
    run = RunSpec.model_json_schema(ref_template=REFERENCE)
    search = TypeAdapter(SearchDocument).json_schema(ref_template=REFERENCE)
    strategy = strategy_schema(REFERENCE)
    found: dict[str, dict[str, Any]] = {}
    for name, schema in (("RunSpec", run), ("SearchSpec", search), ("StrategySpec", strategy)):
        found |= schema.pop("$defs", {})
        found[name] = schema
    # two parts are checked by packages that the spec does not know: it takes any object there
    for part in found.values():
        properties = part.get("properties", {})
        if "search" in properties:
            properties["search"] = _instead(properties["search"], "SearchSpec")
        if "strategy" in properties:
            properties["strategy"] = _instead(properties["strategy"], "StrategySpec")
        if "strategies" in properties:
            labelled = properties["strategies"]
            labelled["additionalProperties"] = _instead(
                labelled["additionalProperties"], "StrategySpec"
            )
    # a replay takes both from its control's run, a comparison the first of its strategies
    found["RunSpec"]["required"] = []
    return dict(sorted(found.items()))


def _instead(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a schema with a reference in the place of an object that may hold anything."""
    if schema.get("additionalProperties") is True:
        kept = {key: schema[key] for key in ("description",) if key in schema}
        return {"$ref": REFERENCE.format(model=name), **kept}
    if "anyOf" in schema:
        return {**schema, "anyOf": [_instead(one, name) for one in schema["anyOf"]]}
    return schema

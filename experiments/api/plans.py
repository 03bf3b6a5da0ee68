"""How the OpenAPI schema describes an experiment's plan: as the pydantic models check it."""

from copy import deepcopy
from functools import cache
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from drf_spectacular.plumbing import ResolvedComponent
from rest_framework import serializers

from experiments.plans import ExperimentPlan

REFERENCE = "#/components/schemas/{model}"


class PlanField(serializers.JSONField):
    """A plan; the service checks it, so that command line, API and admin refuse alike."""


class PlanFieldExtension(OpenApiSerializerFieldExtension):
    """Every key of a plan."""

    target_class = "experiments.api.plans.PlanField"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:  # noqa: ARG002
        """Return a reference to the plan, whose parts are components of the schema."""
        for name, schema in deepcopy(components()).items():  # the framework writes into them
            found = ResolvedComponent(
                name=name, type=ResolvedComponent.SCHEMA, schema=schema, object=name
            )
            auto_schema.registry.register_on_missing(found)
        return {"$ref": REFERENCE.format(model=ExperimentPlan.__name__)}


@cache
def components() -> dict[str, dict[str, Any]]:
    """Return the JSON schemas of a plan and all its parts, by name."""
    whole = ExperimentPlan.model_json_schema(ref_template=REFERENCE)
    parts = whole.pop("$defs", {})
    return dict(sorted({**parts, ExperimentPlan.__name__: whole}.items()))

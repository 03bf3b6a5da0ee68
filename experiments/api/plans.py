"""How the OpenAPI schema describes an experiment's plan: as the pydantic models check it."""

from functools import cache
from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension
from rest_framework import serializers

from crowetrade_site.core.api.schema import REFERENCE, reference_to
from experiments.plans import ExperimentPlan


class PlanField(serializers.JSONField):
    """A plan; the service checks it, so that command line, API and admin refuse alike."""


class PlanFieldExtension(OpenApiSerializerFieldExtension):
    """Every key of a plan."""

    target_class = "experiments.api.plans.PlanField"

    def map_serializer_field(self, auto_schema: Any, direction: str) -> dict[str, Any]:  # noqa: ARG002
        """Return a reference to the plan, whose parts are components of the schema."""
        return reference_to(ExperimentPlan.__name__, components(), auto_schema)


@cache
def components() -> dict[str, dict[str, Any]]:
    """Return the JSON schemas of a plan and all its parts, by name."""
    whole = ExperimentPlan.model_json_schema(ref_template=REFERENCE)
    parts = whole.pop("$defs", {})
    return dict(sorted({**parts, ExperimentPlan.__name__: whole}.items()))

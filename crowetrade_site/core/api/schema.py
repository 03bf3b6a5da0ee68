"""The OpenAPI schema: every operation also answers with a problem document."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any, Final, Literal

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from drf_spectacular.utils import OpenApiResponse, inline_serializer
from rest_framework import serializers

from crowetrade_site.core.api.problems import CONTENT_TYPE

REFERENCE: Final = "#/components/schemas/{model}"  # as pydantic writes the names of parts

FAULT = inline_serializer(
    "Fault",
    {
        "path": serializers.CharField(
            help_text="Names with dots between, lists by numbers from 0: spec.signals.0.kind; a "
            "name that has dots itself in quotes. Of the body, or a parameter of the address; "
            "empty where it is of the whole."
        ),
        "message": serializers.CharField(),
    },
    many=True,
    required=False,
    help_text="Of invalid-input (422) always: the places that are wrong, 100 at most, and why.",
)
PROBLEM = inline_serializer(
    "Problem",
    {
        "type": serializers.CharField(),
        "title": serializers.CharField(),
        "status": serializers.IntegerField(),
        "detail": serializers.CharField(),
        "instance": serializers.CharField(),
        "request_id": serializers.CharField(),
        "errors": FAULT,
        "n_more_errors": serializers.IntegerField(
            required=False, help_text="How many more there are than errors lists."
        ),
    },
)


class TokenScheme(OpenApiAuthenticationExtension):
    """How the schema describes bearer tokens."""

    target_class = "crowetrade_site.core.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        """Return the bearer scheme."""
        return {"type": "http", "scheme": "bearer", "bearerFormat": "ct_…"}


class ProblemSchema(AutoSchema):
    """Spectacular's schema with the default answer `application/problem+json`."""

    def _get_response_bodies(
        self, direction: Literal["request", "response"] = "response"
    ) -> dict[str, Any]:
        bodies = super()._get_response_bodies(direction)
        problem = OpenApiResponse(PROBLEM, description="Refused; RFC 9457")
        bodies["default"] = self._get_response_for_code(problem, "default", [CONTENT_TYPE])
        return bodies

    def get_tags(self) -> list[str]:
        """Group operations by the first word after the version."""
        words = [word for word in self.path.split("/") if word and not word.startswith("{")]
        return [words[2]] if len(words) > 2 else super().get_tags()


def close_request_bodies(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Say of every object that a request sends that it has no other keys, as `valid` has it.

    Spectacular knows no serializer that refuses what it does not know. What takes any key says so
    itself.
    """
    parts = result["components"]["schemas"]
    bodies = [
        content["schema"]
        for operations in result["paths"].values()
        for operation in operations.values()
        for content in operation.get("requestBody", {}).get("content", {}).values()
    ]
    for schema in _objects(bodies, parts, set()):
        schema.setdefault("additionalProperties", False)
    return result


def _objects(
    node: Any, parts: dict[str, dict[str, Any]], seen: set[str]
) -> Iterator[dict[str, Any]]:
    """Give every object below a schema whose keys are known, each component once."""
    if isinstance(node, list):
        for one in node:
            yield from _objects(one, parts, seen)
    if not isinstance(node, dict):
        return
    name = str(node.get("$ref", "")).rpartition("/")[2]
    if name and name not in seen:
        seen.add(name)
        yield from _objects(parts[name], parts, seen)
    if "properties" in node or "patternProperties" in node:
        yield node
    inner = [node[key] for key in ("items", "anyOf", "oneOf", "allOf") if key in node]
    for key in ("properties", "patternProperties"):
        inner += node.get(key, {}).values()
    yield from _objects([*inner, node.get("additionalProperties")], parts, seen)


def reference_to(
    name: str, components: Mapping[str, dict[str, Any]], auto_schema: AutoSchema
) -> dict[str, Any]:
    """Return a reference to a document's schema, after all its parts are components of the whole.

    Parameters
    ----------
    name : str
        Of the document among the components.
    components : mapping of str to dict
        JSON schemas by name, with references as `REFERENCE` has them.
    auto_schema : AutoSchema
        Of the operation that takes the document.
    """
    for part, schema in deepcopy(dict(components)).items():  # the framework writes into them
        found = ResolvedComponent(
            name=part, type=ResolvedComponent.SCHEMA, schema=schema, object=part
        )
        auto_schema.registry.register_on_missing(found)
    return {"$ref": REFERENCE.format(model=name)}

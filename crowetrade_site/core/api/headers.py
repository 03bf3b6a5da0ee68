"""What clients say in headers."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key with the same body makes one thing, however often it is sent.",
)


def idempotency_key(request: Request) -> str:
    """Return the key of a request, empty when it has none."""
    return str(request.headers.get("Idempotency-Key", ""))


def names_etag(request: Request, digest: str) -> bool:
    """Return whether the client holds the very bytes of this digest already."""
    held = str(request.headers.get("If-None-Match", ""))
    tags = {tag.strip().removeprefix("W/").strip('"') for tag in held.split(",")}
    return bool(tags & {digest, "*"})

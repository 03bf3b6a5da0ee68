"""What clients say in headers."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.request import Request

from crowetrade_site.core.errors import InvalidInput

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="The same key with the same body makes one thing, however often it is sent.",
)
LONGEST_KEY = 200


def idempotency_key(request: Request) -> str:
    """Return the key of a request, empty when it has none.

    Raises
    ------
    InvalidInput
        It is too long to be kept, or not plain text (422).
    """
    key = str(request.headers.get("Idempotency-Key", ""))
    if len(key) > LONGEST_KEY or not (key.isascii() and key.isprintable()):
        raise InvalidInput(
            f"An Idempotency-Key has at most {LONGEST_KEY} printable ASCII characters."
        )
    return key

"""Reading a request: who calls, and what was sent."""

from typing import Any

from django.contrib.auth.models import User
from rest_framework.request import Request

from crowetrade_site.core.models import ApiToken


def caller(request: Request) -> User:
    """Return the authenticated user of a request."""
    user: User = request.user  # type: ignore[assignment]
    return user


def bearer(request: Request) -> ApiToken | None:
    """Return the token a request came with; None for a session."""
    return request.auth if isinstance(request.auth, ApiToken) else None


def valid(serializer: Any) -> dict[str, Any]:
    """Return a serializer's checked input."""
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)

"""Reading a request: who calls, and what was sent."""

from typing import Any

from django.contrib.auth.models import User
from rest_framework.request import Request


def caller(request: Request) -> User:
    """Return the authenticated user of a request."""
    user: User = request.user  # type: ignore[assignment]
    return user


def valid(serializer: Any) -> dict[str, Any]:
    """Return a serializer's checked input."""
    serializer.is_valid(raise_exception=True)
    return dict(serializer.validated_data)

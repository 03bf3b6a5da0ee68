"""Reading a request: who calls, and what was sent."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import User
from django.http import QueryDict
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.settings import api_settings

from crowetrade_site.core import hints
from crowetrade_site.core.api.choices import listing_choices
from crowetrade_site.core.errors import InvalidInput
from crowetrade_site.core.models import ApiToken


def caller(request: Request) -> User:
    """Return the authenticated user of a request."""
    user: User = request.user  # type: ignore[assignment]
    return user


def bearer(request: Request) -> ApiToken | None:
    """Return the token a request came with; None for a session."""
    return request.auth if isinstance(request.auth, ApiToken) else None


def valid(serializer: Any) -> dict[str, Any]:
    """Return a serializer's checked input: the one door of bodies and of query parameters.

    Raises
    ------
    ValidationError
        A key that the serializer does not know, which it would pass over in silence, or what it
        says itself (422); unknown keys come first, each with the nearest known one.
    """
    faults: dict[str, Any] = unknown_keys(serializer)
    if not serializer.is_valid():
        faults |= listing_choices(serializer, serializer.initial_data, serializer.errors)
    if faults:
        raise ValidationError(faults)
    return dict(serializer.validated_data)


def unknown_keys(serializer: Any) -> dict[str, list[str]]:
    """Return what is wrong with each key that a serializer takes nothing from."""
    sent = serializer.initial_data
    if not isinstance(sent, Mapping):
        return {}
    known = {name for name, field in serializer.fields.items() if not field.read_only}
    # the form of the answer may be asked for in any address
    passed = {api_settings.URL_FORMAT_OVERRIDE} if isinstance(sent, QueryDict) else set()
    unknown = [hints.shown(name) for name in sent if name not in known | passed]
    return {name: [unknown_key(name, known)] for name in unknown}


def unknown_key(name: str, known: Collection[str]) -> str:
    """Return what is said of a key that nobody takes."""
    return f"unknown key{hints.nearest(name, known) if known else '; no key is taken here.'}"


@contextmanager
def within(field: str) -> Iterator[None]:
    """Tell the faults of a document by their place in the body that it came in.

    A service names them by their place in the document, as whoever wrote the file knows them.
    """
    try:
        yield
    except InvalidInput as refusal:
        for fault in refusal.extensions.get("errors", ()):
            fault["path"] = ".".join(part for part in (field, fault["path"]) if part)
        raise

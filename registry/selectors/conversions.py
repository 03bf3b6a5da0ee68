"""Conversions of quarantined pickles."""

from uuid import UUID

from django.db.models import QuerySet

from crowetrade_site.core.errors import NotFound
from registry.models import Conversion


def list_conversions() -> QuerySet[Conversion]:
    """Return every conversion, with its version, its result and who asked for it."""
    return Conversion.objects.select_related(
        "version__registered_model", "result__registered_model", "requested_by"
    )


def get_conversion(conversion_id: UUID) -> Conversion:
    """Return a conversion.

    Raises
    ------
    NotFound
        There is none (404).
    """
    found = list_conversions().filter(public_id=conversion_id).first()
    if found is None:
        raise NotFound(f"There is no conversion {conversion_id}.")
    return found

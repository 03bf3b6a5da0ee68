"""Which types skops files may name: the registry's list, and what a desk has added to it."""

from collections.abc import Callable, Collection
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet

from crowetrade_site.core.errors import NotFound
from registry.artifacts.trusted import TRUSTED_TYPES
from registry.models import ModelVersion, RegisteredModel, TrustedType


def list_trusted_types() -> QuerySet[TrustedType]:
    """Return every type that a desk has proposed, approved or revoked, with the people."""
    return TrustedType.objects.select_related("proposed_by", "approved_by", "revoked_by")


def get_trusted_type(type_id: UUID) -> TrustedType:
    """Return a type that a desk has proposed.

    Raises
    ------
    NotFound
        There is none (404).
    """
    found = list_trusted_types().filter(public_id=type_id).first()
    if found is None:
        raise NotFound(f"There is no trusted type {type_id}.")
    return found


def trusted_types_of(desk: str) -> frozenset[str]:
    """Return all types that files of a desk may name now."""
    return trusted_types_of_each([desk])[desk]


def trusted_types_of_each(desks: Collection[str]) -> dict[str, frozenset[str]]:
    """Return all types that files of each of these desks may name now; "" has added none."""
    found = dict.fromkeys(desks, TRUSTED_TYPES)
    named = [desk for desk in found if desk]
    if not named:
        return found
    added = TrustedType.objects.filter(desk__in=named, approved_at__isnull=False, revoked_at=None)
    for desk, name in added.values_list("desk", "name"):
        found[desk] |= {name}
    return found


def vouches_for(desk: str, user: User) -> bool:
    """Return whether somebody has a model of a desk, or proposed a type that it trusts.

    True of a desk that has added no types: there is nothing to gain by its name.
    """
    added = TrustedType.objects.filter(desk=desk, approved_at__isnull=False, revoked_at=None)
    if not desk or not added.exists():
        return True
    owned = RegisteredModel.objects.filter(desk=desk, owner=user)
    return owned.exists() or added.filter(proposed_by=user).exists()


def trusted_no_more(
    version: ModelVersion, types_of: Callable[[str], frozenset[str]] = trusted_types_of
) -> list[str]:
    """Return types that a version was admitted with and its desk trusts no longer."""
    if not version.trusted_types:
        return []
    return sorted(set(version.trusted_types) - types_of(version.registered_model.desk))

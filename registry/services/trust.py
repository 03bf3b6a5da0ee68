"""Types that a desk trusts beside the registry's list: proposed by one, approved by another."""

from datetime import datetime
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from crowetrade_site.core import audit, roles
from crowetrade_site.core.errors import Conflict, Forbidden, InvalidInput
from registry import selectors
from registry.artifacts.trusted import TRUSTED_TYPES, may_be_trusted
from registry.models import TrustedType

LONGEST_NAME = 300


@transaction.atomic(durable=True)
def propose_type(*, desk: str, name: str, actor: User, at: datetime, reason: str) -> TrustedType:
    """Ask for a type to be trusted in skops files of a desk.

    Raises
    ------
    Forbidden
        The actor may neither register models nor judge them (403).
    InvalidInput
        No desk, no reason, no full name of a type, or one that runs what it is given (422).
    Conflict
        The registry, or the desk, has it already (409).
    """
    roles.require(actor, "models:write", "models:approve")
    if not desk.strip() or not reason.strip():
        raise InvalidInput("A trusted type needs a desk and a reason.")
    if len(name) > LONGEST_NAME or not may_be_trusted(name):
        raise InvalidInput(f"{name[:100]!r} is no type that can be trusted: module.Class is asked.")
    if name in TRUSTED_TYPES:
        raise Conflict(f"{name} is on the registry's own list.")
    try:
        with transaction.atomic():
            made = TrustedType.objects.create(
                desk=desk, name=name, reason=reason, proposed_by=actor, proposed_at=at
            )
    except IntegrityError:
        raise Conflict(f"{name} was proposed for {desk} already.") from None
    _tell("proposed", made, actor, at, reason)
    return made


@transaction.atomic(durable=True)
def approve_type(*, type_id: UUID, actor: User, at: datetime, reason: str = "") -> TrustedType:
    """Let files of the desk name a type from now on; never by who proposed it.

    Raises
    ------
    NotFound, Forbidden, Conflict
        No such type (404), the actor does not judge or has proposed it (403), it is trusted or
        revoked (409).
    """
    roles.require(actor, "models:approve")
    found = selectors.get_trusted_type(type_id)
    if found.proposed_by_id == actor.pk:
        raise Forbidden("Nobody approves a type that they proposed.")
    won = TrustedType.objects.filter(pk=found.pk, approved_at=None, revoked_at=None).update(
        approved_by=actor, approved_at=at, updated_at=at
    )
    if not won:
        raise Conflict(f"{found} is {found.state}.")
    _tell("approved", found, actor, at, reason)
    return selectors.get_trusted_type(type_id)


@transaction.atomic(durable=True)
def revoke_type(*, type_id: UUID, actor: User, at: datetime, reason: str) -> TrustedType:
    """Trust a type no more, or refuse a proposal: at once, by one person.

    Versions that need it are neither loaded nor promoted from then on.

    Raises
    ------
    NotFound, Forbidden, InvalidInput, Conflict
        No such type (404), neither a judge nor who proposed it (403), no reason (422), it is
        revoked already (409).
    """
    found = selectors.get_trusted_type(type_id)
    if found.proposed_by_id != actor.pk:
        roles.require(actor, "models:approve")
    if not reason.strip():
        raise InvalidInput("To revoke a trusted type needs a reason.")
    won = TrustedType.objects.filter(pk=found.pk, revoked_at=None).update(
        revoked_by=actor, revoked_at=at, updated_at=at
    )
    if not won:
        raise Conflict(f"{found} is revoked already.")
    _tell("revoked", found, actor, at, reason)
    return selectors.get_trusted_type(type_id)


def _tell(verb: str, row: TrustedType, actor: User, at: datetime, reason: str) -> None:
    audit.record(
        f"registry.trusted_type.{verb}", row, actor=actor, at=at, reason=reason,
        after={"desk": row.desk, "name": row.name},
    )  # fmt: skip

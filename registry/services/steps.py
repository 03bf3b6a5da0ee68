"""Steps that several verbs share, each inside the transaction of its caller."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import User

from crowetrade_site.core import audit, roles
from crowetrade_site.core.errors import Conflict, Forbidden, InvalidInput, NotFound, StaleState
from registry import selectors
from registry.lifecycle import (
    MOVING_SCOPES,
    RULES,
    SCOPES_OF_ROLE,
    STAGES,
    UP,
    MoveRule,
    Stage,
)
from registry.models import Conversion, KeptObject, ModelVersion, RegisteredModel

SUPERSEDED = "superseded"  # how a version leaves production that a rollback may bring back


def owns(model: RegisteredModel, actor: User) -> bool:
    """Whether somebody may write to a model: its owner, or an admin."""
    is_theirs = model.owner_id == actor.pk or roles.Role.ADMIN in roles.roles_of(actor)
    return is_theirs and "models:write" in roles.grants(actor)


def require_owner(model: RegisteredModel, actor: User) -> None:
    """Refuse whoever may not write to a model: not its owner, and no admin.

    Raises
    ------
    Forbidden
        (403)
    """
    roles.require(actor, "models:write")
    if not owns(model, actor):
        raise Forbidden(f"The model {model} belongs to {model.owner.get_username()}.")


def require_contributor(model: RegisteredModel, actor: User) -> None:
    """Refuse whoever may not register versions of a model.

    Its owner may, whoever its card names among its operators and may write models, and admins:
    a name that people load by is not one that anybody adds to.

    Raises
    ------
    Forbidden
        (403)
    """
    roles.require(actor, "models:write")
    is_named = actor.pk == model.owner_id or actor.get_username() in model.operators
    if not is_named and roles.Role.ADMIN not in roles.roles_of(actor):
        raise Forbidden(
            f"The model {model} belongs to {model.owner.get_username()}: versions of it are "
            "registered by its owner, by researchers whom its card names as operators, and by "
            "admins."
        )


def require_author(version: ModelVersion, actor: User) -> None:
    """Refuse whoever may not write to a version: not its author, nor the model's owner, no admin.

    Raises
    ------
    Forbidden
        (403)
    """
    roles.require(actor, "models:write")
    is_theirs = actor.pk in {version.created_by_id, version.registered_model.owner_id}
    if not is_theirs and roles.Role.ADMIN not in roles.roles_of(actor):
        raise Forbidden(f"{version} was registered by {version.created_by.get_username()}.")


def require_mover(actor: User) -> None:
    """Refuse whose token, or roles, give nothing of what moves versions.

    Raises
    ------
    Forbidden
        (403)
    """
    roles.require(actor, *MOVING_SCOPES)


def require_role(actor: User, able: Collection[roles.Role], refusal: str) -> None:
    """Refuse whoever has none of these roles, or has a token that is for something else.

    Raises
    ------
    Forbidden
        (403)
    """
    held = roles.roles_of(actor).intersection(able)
    if not held:
        raise Forbidden(refusal)
    roles.require(actor, *sorted(frozenset[str]().union(*(SCOPES_OF_ROLE[role] for role in held))))


def lock_model(name: str) -> RegisteredModel:
    """Return a model that nobody else writes to until the caller's transaction ends.

    Raises
    ------
    NotFound
        There is none of this name (404).
    """
    rows = RegisteredModel.objects.select_for_update(of=("self",), no_key=True)
    found = rows.select_related("owner").filter(name=name).first()
    if found is None:
        raise NotFound(f"There is no registered model {name}.")
    return found


def lock_version(version_id: UUID) -> ModelVersion:
    """Return a version that nobody else moves until the caller's transaction ends.

    Its model is locked with it: gates read the card, whose owner writes it alone only while no
    version is in use, and what is deleted with its model has not left development meanwhile. Models
    are locked before versions, and these before requests for them, by whoever takes several: in
    another order two could wait for each other.

    Raises
    ------
    NotFound
        There is none (404).
    """
    models = RegisteredModel.objects.select_for_update(no_key=True)
    models.filter(versions__public_id=version_id).order_by("pk").values_list("pk").first()
    rows = selectors.list_versions().select_for_update(of=("self",), no_key=True)
    found = rows.filter(public_id=version_id).first()
    if found is None:
        raise NotFound(f"There is no model version {version_id}.")
    return found


def rule_of(before: Stage, target: Stage) -> MoveRule:
    """Return the rule of a move.

    Raises
    ------
    IllegalTransition
        There is no such move (409).
    """
    STAGES.check(before, target)
    return RULES[before, target]


def require_reason(rule: MoveRule, reason: str) -> None:
    """Refuse a move that says nothing, where it must.

    Raises
    ------
    InvalidInput
        (422)
    """
    if rule.needs_reason and not reason.strip():
        message = f"To {rule.name} needs a reason: say why in `reason`."
        raise InvalidInput(message, errors=[{"path": "reason", "message": message}])


def require_sound(version: ModelVersion) -> None:
    """Refuse to move a version up whose bytes are not those that were registered.

    Raises
    ------
    Conflict
        (409)
    """
    if version.compromised_at is not None:
        raise Conflict(f"{version} is compromised: its bytes are not those that were registered.")


def move(
    version: ModelVersion, target: Stage, *, actor: User | None, at: datetime, reason: str,
    verb: str, heir: ModelVersion | None = None, **told: Any,
) -> None:  # fmt: skip
    """Compare and set a version's stage, and record it.

    Of one that leaves, the aliases that mean production go to its `heir`; all others end. Only one
    that was superseded may return to production by a rollback: whatever else happens to a version
    takes that from it, and the trail alone knows that it was there.

    Raises
    ------
    StaleState
        Somebody else moved it first, or its bytes were found to be others (409).
    """
    before = Stage(version.stage)
    changes: dict[str, Any] = {"stage": target, "stage_changed_at": at, "changed_at": at}
    if before == Stage.DEVELOPMENT:
        changes["left_development_at"] = version.left_development_at or at
    if verb != SUPERSEDED:
        changes["was_production_at"] = at if target == Stage.PRODUCTION else None
    rows = ModelVersion.objects.filter(pk=version.pk, stage=before)
    if target in UP:
        rows = rows.filter(compromised_at=None)
    if not rows.update(**changes):
        raise StaleState(f"{version} has left {before}, or was found to be compromised.")
    if target == Stage.ARCHIVED:
        told |= _hand_over(version, heir)
    audit.record(
        f"registry.version.{verb}", version, actor=actor, reason=reason, at=at,
        before={"stage": before}, after={"stage": target, "digest": version.digest, **told},
    )  # fmt: skip
    version.refresh_from_db()


def means_production(alias: str) -> bool:
    """Say whether an alias stands for production versions alone, and goes with them."""
    return alias.lower() in settings.PRODUCTION_ALIASES


def _hand_over(version: ModelVersion, heir: ModelVersion | None) -> dict[str, Any]:
    """Give aliases to an heir and end the others; return what the trail is told, if any."""
    names = sorted(version.aliases.values_list("alias", flat=True))
    moved = [name for name in names if heir is not None and means_production(name)]
    if moved:
        version.aliases.filter(alias__in=moved).update(version=heir)
    version.aliases.all().delete()
    ended = [name for name in names if name not in moved]
    return {"aliases": {"moved": moved, "ended": ended}} if names else {}


def erase(version: ModelVersion) -> None:
    """Delete a version that is no part of the record, with what hangs on it.

    Its bytes stay, whatever becomes of others that have them: the trail names its digest.
    """
    if version.files_discarded_at is None:
        sums = {file["sha256"] for file in version.manifest["files"]}
        KeptObject.objects.bulk_create(
            [KeptObject(sha256=sha256) for sha256 in sorted(sums)], ignore_conflicts=True
        )
    version.requests.all().delete()
    version.waivers.all().delete()
    version.signatures.all().delete()
    Conversion.objects.filter(result=version).update(result=None)
    version.conversions.all().delete()
    version.delete()

"""Registered models, their cards, tags and aliases."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import Q

from crowetrade_site.core import audit, canonical, idempotency, roles
from crowetrade_site.core.errors import Conflict, Forbidden, InvalidInput, translating
from registry import selectors
from registry.lifecycle import Stage
from registry.models import ModelAlias, ModelVersion, RegisteredModel
from registry.rules import names
from registry.rules.errors import RuleError
from registry.services.steps import (
    erase,
    lock_model,
    means_production,
    owns,
    require_author,
    require_mover,
    require_owner,
)

TIERS = ("", "high", "medium", "low")
CARD_FIELDS = (
    "description", "desk", "purpose", "tier", "operators", "limits", "dependencies", "review_date",
)  # fmt: skip
# What an approval was given for: while a version is in use nobody changes it for their own model.
GUARDED_FIELDS = frozenset({"limits", "operators", "desk", "tier", "purpose"})
IN_USE = (Stage.STAGING, Stage.PRODUCTION)


class NameTaken(Conflict):
    """A registered model has this name already."""

    slug, title = "name-taken", "The name is taken"


@transaction.atomic(durable=True)
def create_model(
    *,
    name: str,
    actor: User,
    at: datetime,
    card: Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    idempotency_key: str = "",
) -> RegisteredModel:
    """Register a name; whoever does owns it.

    Raises
    ------
    Forbidden
        The actor may not register models, or not for that desk (403).
    InvalidInput
        The name, a field of the card or a tag is not acceptable (422).
    NameTaken, DuplicateRequest
        The name is taken, or the idempotency key was used otherwise (409).
    """
    roles.require(actor, "models:write")
    fields = _checked_card(card or {})
    _require_name(name)
    with translating(RuleError, InvalidInput):
        kept = dict(names.require_tag(key, value) for key, value in (tags or {}).items())
        names.require_searchable(_searched(fields), kept)
    _require_of_desk(fields.get("desk", ""), actor)
    told = {"verb": "create_model", "name": name, "card": _plain(fields), "tags": kept}
    request = canonical.digest(told)
    if earlier := idempotency.recall(actor, idempotency_key, request):
        return selectors.get_model(earlier)
    try:
        with transaction.atomic():
            model = RegisteredModel.objects.create(
                name=name, owner=actor, tags=kept, changed_at=at, **fields
            )
    except IntegrityError:
        raise _taken(name) from None
    idempotency.remember(actor, idempotency_key, request, model.public_id)
    audit.record(
        "registry.model.created", model, actor=actor, at=at,
        after={"name": name, "tags": kept, **_plain(fields)},
    )  # fmt: skip
    return model


@transaction.atomic(durable=True)
def update_model(
    *, name: str, card: Mapping[str, Any], actor: User, at: datetime, reason: str = ""
) -> RegisteredModel:
    """Write fields of a model's card.

    While a version is in staging or production, `GUARDED_FIELDS` are changed by those who approve
    and have no part in it; everything else, and then too, by the owner, who takes operators off at
    any time: fewer people can add versions then, which waits for nobody.

    Raises
    ------
    Forbidden, NotFound, InvalidInput
        Not the owner, a guarded field of a model of their own, or a desk that they are not of
        (403), no such model (404), a field is not acceptable (422).
    """
    model = lock_model(name)
    fields = _checked_card(card)
    before = {key: getattr(model, key) for key in fields}
    changed = {key for key in fields if fields[key] != before[key]}
    guarded = changed & GUARDED_FIELDS if _in_use(model) else set[str]()
    if set(fields.get("operators", ())) <= set(model.operators) and owns(model, actor):
        guarded -= {"operators"}
    if guarded:
        _require_independent(model, sorted(guarded), actor)
    if changed - guarded or not guarded:
        require_owner(model, actor)
    if "desk" in changed:
        _require_of_desk(fields["desk"], actor)
    _write(model, fields, actor=actor, at=at, reason=reason, verb="updated", before=before)
    return selectors.get_model(name)


@transaction.atomic(durable=True)
def rename_model(*, name: str, new_name: str, actor: User, at: datetime) -> RegisteredModel:
    """Give a model another name; versions, evidence and history stay with it.

    Raises
    ------
    Forbidden, NotFound, InvalidInput, Conflict
        As `create_model` and `update_model`. A model of which a version has left development keeps
        its name (409): the next model of that name would answer to addresses that people rely on.
    """
    model = lock_model(name)
    require_owner(model, actor)
    if model.versions.filter(left_development_at__isnull=False).exists():
        raise Conflict(
            f"{model} keeps its name: a version of it has left development, and models:/{name}/… "
            "would lead to other bytes. Register a copy under another name."
        )
    _require_name(new_name)
    try:
        with transaction.atomic():
            _write(
                model, {"name": new_name}, actor=actor, at=at, reason="", verb="renamed",
                before={"name": name},
            )  # fmt: skip
    except IntegrityError:
        raise _taken(new_name) from None
    return selectors.get_model(new_name)


@transaction.atomic(durable=True)
def transfer_model(
    *, name: str, owner: str, actor: User, at: datetime, reason: str
) -> RegisteredModel:
    """Give a model to somebody else; its versions keep their authors.

    Parameters
    ----------
    owner : str
        User name of an active person who may register models.

    Raises
    ------
    Forbidden, NotFound
        Neither owner nor admin (403), no such model (404).
    InvalidInput, Conflict
        No reason, or nobody who may own models (422); they own it already (409).
    """
    model = lock_model(name)
    require_owner(model, actor)
    if not reason.strip():
        raise InvalidInput("Another owner needs a reason.")
    heir = User.objects.filter(username=owner, is_active=True).first()
    if heir is None or "models:write" not in roles.grants(heir):
        raise InvalidInput(f"{owner!r} is nobody who may own models: researchers and admins do.")
    if heir.pk == model.owner_id:
        raise Conflict(f"{model} belongs to {owner} already.")
    before = model.owner.get_username()
    RegisteredModel.objects.filter(pk=model.pk).update(owner=heir, changed_at=at, updated_at=at)
    audit.record(
        "registry.model.transferred", model, actor=actor, at=at, reason=reason,
        before={"owner": before}, after={"owner": owner},
    )  # fmt: skip
    return selectors.get_model(name)


@transaction.atomic(durable=True)
def delete_model(*, name: str, actor: User, at: datetime, reason: str = "") -> None:
    """Delete a model none of whose versions ever left development.

    Raises
    ------
    Forbidden, NotFound
        Not the owner (403), no such model (404).
    Conflict
        A version left development once, is held, was copied, or has evidence: its record
        stays (409).
    """
    model = lock_model(name)
    require_owner(model, actor)
    is_recorded = (
        ~Q(stage=Stage.DEVELOPMENT)
        | Q(left_development_at__isnull=False)
        | Q(is_held=True)
        | Q(evidence__isnull=False)
    )
    kept = model.versions.filter(is_recorded).order_by("number").first()
    if kept is not None:
        raise Conflict(f"{kept} is part of the record; archive what is no longer wanted.")
    copies = ModelVersion.objects.filter(copied_from__registered_model=model).with_names()
    if elsewhere := copies.exclude(registered_model=model).order_by("pk").first():
        raise Conflict(f"{elsewhere} was copied from {model}; its record stays.")
    audit.record(
        "registry.model.deleted", model, actor=actor, at=at, reason=reason,
        before={"name": name, "versions": list(model.versions.values_list("number", flat=True))},
    )  # fmt: skip
    for version in model.versions.order_by("-number"):  # copies before what they copy
        erase(version)
    model.delete()


@transaction.atomic(durable=True)
def tag_model(*, name: str, key: str, value: str, actor: User, at: datetime) -> RegisteredModel:
    """Set a tag of a model.

    Raises
    ------
    Forbidden, NotFound, InvalidInput
        Not the owner (403), no such model (404), no tag (422).
    """
    model = lock_model(name)
    require_owner(model, actor)
    with translating(RuleError, InvalidInput):
        names.require_tag(key, value)
    before = {key: model.tags.get(key)}
    _write(
        model, {"tags": {**model.tags, key: value}}, actor=actor, at=at, reason="", verb="tagged",
        before=before, after={key: value},
    )  # fmt: skip
    return model


@transaction.atomic(durable=True)
def untag_model(*, name: str, key: str, actor: User, at: datetime) -> RegisteredModel:
    """Take a tag off a model; one that it does not have is no error.

    Raises
    ------
    Forbidden, NotFound
        Not the owner (403), no such model (404).
    """
    model = lock_model(name)
    require_owner(model, actor)
    if key in model.tags:
        left = {k: v for k, v in model.tags.items() if k != key}
        _write(
            model, {"tags": left}, actor=actor, at=at, reason="", verb="untagged",
            before={key: model.tags[key]}, after={},
        )  # fmt: skip
    return model


@transaction.atomic(durable=True)
def set_alias(
    *, name: str, alias: str, number: int, actor: User, at: datetime, reason: str = ""
) -> ModelAlias:
    """Let a word stand for a version; it moves if another version has it.

    That takes the right over both: whoever loads by the word gets other bytes by it.

    Raises
    ------
    Forbidden, NotFound, InvalidInput
        Neither author of the one and the other nor owner (403), no such model or version (404), no
        alias (422).
    Conflict
        The alias means production and the version is not there, or the version is archived (409).
    """
    with translating(RuleError, InvalidInput):
        names.require_alias(alias)
    model = lock_model(name)
    version = selectors.get_version_of(name, number)
    _hold_still(version)
    earlier = _alias_of(model, alias)
    _require_may_alias(version, alias, earlier, actor)
    before = earlier.version.number if earlier is not None else None
    row, _ = ModelAlias.objects.update_or_create(
        registered_model=model, alias=alias, defaults={"version": version}
    )
    RegisteredModel.objects.filter(pk=model.pk).update(changed_at=at)
    audit.record(
        "registry.alias.moved" if before else "registry.alias.set", version, actor=actor, at=at,
        reason=reason, before={"alias": alias, "version": before},
        after={"alias": alias, "version": number},
    )  # fmt: skip
    return row


@transaction.atomic(durable=True)
def delete_alias(*, name: str, alias: str, actor: User, at: datetime, reason: str = "") -> None:
    """Take an alias away; one that is not there is no error.

    Raises
    ------
    Forbidden, NotFound
        Neither author nor owner (403), no such model (404).
    """
    model = lock_model(name)
    require_mover(actor)
    row = _alias_of(model, alias)
    if row is None:
        return
    if means_production(alias):
        _require_in_charge(alias, actor)
    else:
        require_author(row.version, actor)
    audit.record(
        "registry.alias.deleted", row.version, actor=actor, at=at, reason=reason,
        before={"alias": alias, "version": row.version.number},
    )  # fmt: skip
    row.delete()


def _require_name(name: str) -> None:
    """Refuse what is no name; one that a model has since rules were others is taken."""
    with translating(RuleError, InvalidInput):
        try:
            names.require_model_name(name)
        except RuleError:
            if name.isprintable() and RegisteredModel.objects.filter(name=name).exists():
                raise NameTaken(f"There is a registered model {name!r} already.") from None
            raise


def _in_use(model: RegisteredModel) -> list[int]:
    return list(model.versions.filter(stage__in=IN_USE).values_list("pk", flat=True))


def _require_of_desk(desk: str, actor: User) -> None:
    """Refuse a model the name of a desk that trusts types of its own: with it come these."""
    if "models:approve" not in roles.grants(actor) and not selectors.vouches_for(desk, actor):
        raise Forbidden(
            f"{desk} trusts types of its own, so its models come from who has one there or "
            "proposed such a type, from validators or admins: one of them gives the model that "
            "desk, or registers it and hands it over."
        )


def _require_independent(model: RegisteredModel, fields: list[str], actor: User) -> None:
    authors = set(model.versions.values_list("created_by", flat=True).distinct())
    authors = authors.union(*selectors.authors_of_each(_in_use(model)).values())
    is_judge = "models:approve" in roles.grants(actor)
    if not is_judge or actor.pk in authors | {model.owner_id}:
        raise Forbidden(
            f"A version of {model} is in staging or production: {', '.join(fields)} may be changed "
            "by a validator or an admin who is neither its owner nor an author of its versions, "
            "with the scope models:approve."
        )


def _hold_still(version: ModelVersion) -> None:
    """Keep a version where it is until the end of the transaction, and look where that is."""
    locked = ModelVersion.objects.select_for_update(no_key=True).filter(pk=version.pk)
    version.stage = locked.values_list("stage", flat=True).get()


def _alias_of(model: RegisteredModel, alias: str) -> ModelAlias | None:
    """Return a word of a model with the version that it stands for."""
    rows = ModelAlias.objects.filter(registered_model=model, alias=alias)
    return rows.select_related("version__registered_model__owner", "version__created_by").first()


def _require_in_charge(alias: str, actor: User) -> None:
    able = {roles.Role.OPERATOR, roles.Role.ADMIN}
    if not able & roles.roles_of(actor):
        raise Forbidden(f"The alias {alias} means production: operators and admins set it.")
    roles.require(actor, "models:operate")


def _require_may_alias(
    version: ModelVersion, alias: str, earlier: ModelAlias | None, actor: User
) -> None:
    if version.stage == Stage.ARCHIVED:
        raise Conflict(f"{version} is archived; no alias may stand for it.")
    if means_production(alias):
        if version.stage != Stage.PRODUCTION:
            raise Conflict(
                f"The alias {alias} means production, and {version} is in {version.stage}; "
                "promote it first."
            )
        _require_in_charge(alias, actor)
        return
    require_author(version, actor)
    if earlier is not None:
        require_author(earlier.version, actor)


def _taken(name: str) -> NameTaken:
    """Name the model that is in the way, which may differ in case alone."""
    present = RegisteredModel.objects.filter(name__iexact=name).first()
    return NameTaken(
        f"There is a registered model {(present.name if present else name)!r} already."
    )


def _write(
    model: RegisteredModel, fields: Mapping[str, Any], *, actor: User, at: datetime, reason: str,
    verb: str, before: Mapping[str, Any], after: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    card = {"description": model.description, "purpose": model.purpose, "tags": model.tags}
    with translating(RuleError, InvalidInput):
        names.require_searchable(_searched(card | {**fields}), (card | {**fields})["tags"])
    RegisteredModel.objects.filter(pk=model.pk).update(**fields, changed_at=at, updated_at=at)
    told = fields if after is None else after
    audit.record(
        f"registry.model.{verb}", model, actor=actor, at=at, reason=reason,
        before=_plain(before), after=_plain(told),
    )  # fmt: skip
    model.refresh_from_db()


def _searched(card: Mapping[str, Any]) -> list[str]:
    return [card.get("description", ""), card.get("purpose", "")]


def _checked_card(card: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(set(card) - set(CARD_FIELDS))
    if unknown:
        known = ", ".join(CARD_FIELDS)
        raise InvalidInput(f"A model card has no field {unknown[0]!r}; its fields are: {known}.")
    fields = dict(card)
    if fields.get("tier", "") not in TIERS:
        raise InvalidInput("tier must be high, medium or low.")
    return fields


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value.isoformat() if isinstance(value, date) else value
        for key, value in fields.items()
    }

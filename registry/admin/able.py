"""Who could do what, so that buttons are shown to those whom a service would accept."""

from collections.abc import Callable, Mapping
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Count, Q

from crowetrade_site.core import roles
from crowetrade_site.core.errors import DomainError
from registry import selectors
from registry.lifecycle import RULES, Stage
from registry.models import ModelAlias, ModelVersion, RegisteredModel
from registry.services.catalog import CARD_FIELDS, GUARDED_FIELDS, IN_USE
from registry.services.steps import (
    means_production,
    require_author,
    require_contributor,
    require_owner,
)


def allows(rule: Callable[..., Any], *arguments: Any) -> bool:
    """Say whether a rule of the services refuses nothing here."""
    try:
        rule(*arguments)
    except DomainError:
        return False
    return True


def on_model(model: RegisteredModel, user: User) -> set[str]:
    """Return the names of what somebody could do to a model, its card and its aliases."""
    grants, is_owner = roles.grants(user), allows(require_owner, model, user)
    found = count_versions(model, user)
    names = {"register_version"} if allows(require_contributor, model, user) else set()
    if card_fields(model, user, found):
        names.add("edit_card")
    if found["n_in_production"] and found["n_to_return"] and _may_roll_back(user):
        names.add("roll_back")
    n_to_alias = found["n_live"] if is_owner else found["n_own_live"] * ("models:write" in grants)
    if n_to_alias or (found["n_in_production"] and "models:operate" in grants):
        names.add("set_alias")
    if aliases_to_delete(model, user):
        names.add("delete_alias")
    if not is_owner:
        return names
    names |= {"transfer", "tag", "untag"} if model.tags else {"transfer", "tag"}
    names |= set() if found["n_left"] else {"rename"}
    n_kept = found["n_left"] + found["n_elsewhere"] + found["n_held"]
    if not n_kept and not _is_recorded(model):
        names.add("remove")
    return names


def on_version(version: ModelVersion, user: User) -> set[str]:
    """Return the names of what somebody could do to a version beside moving it."""
    grants, names = roles.grants(user), {"compare"}
    if "evidence:write" in grants and user.pk not in selectors.authors_of(version):
        names.add("attest")
    if version.compromised_at is None and not grants.isdisjoint({"models:write", "models:approve"}):
        names.add("sign")
    if not allows(require_author, version, user):
        return names
    names |= {"describe", "tag", "untag"} if version.tags else {"describe", "tag"}
    has_left = version.stage != Stage.DEVELOPMENT or version.left_development_at is not None
    is_recorded = has_left or version.is_held
    if not is_recorded and not version.evidence.exists() and not version.copies.exists():
        names.add("remove")
    return names


def card_fields(model: RegisteredModel, user: User, found: Mapping[str, int]) -> frozenset[str]:
    """Return the fields of a card that somebody may change, as `services.update_model` has it.

    Parameters
    ----------
    found : mapping
        What `count_versions` counts.
    """
    fields = frozenset(CARD_FIELDS) if allows(require_owner, model, user) else frozenset[str]()
    if not found["n_in_use"]:
        return fields
    is_independent = not found["n_own"] and _is_independent(model, user)
    # owners take operators off at any time; whom they add the service refuses
    return fields | GUARDED_FIELDS if is_independent else fields - (GUARDED_FIELDS - {"operators"})


def aliases_of(model: RegisteredModel) -> list[ModelAlias]:
    """Return the aliases of a model, once a request: the page and its buttons both ask."""
    seen: dict[str, list[ModelAlias]] = vars(model)
    if "_aliases" not in seen:
        rows = model.aliases.select_related(
            "version__registered_model__owner", "version__created_by"
        )
        seen["_aliases"] = list(rows.order_by("alias"))
    return seen["_aliases"]


def aliases_to_delete(model: RegisteredModel, user: User) -> list[str]:
    """Return the aliases of a model that somebody may take away."""
    is_in_charge = "models:operate" in roles.grants(user)
    return [
        row.alias
        for row in aliases_of(model)
        if (
            is_in_charge
            if means_production(row.alias)
            else allows(require_author, row.version, user)
        )
    ]


def count_versions(model: RegisteredModel, user: User) -> dict[str, int]:
    """Return how many versions of a model there are of each sort that a rule asks about."""
    live, own = ~Q(stage=Stage.ARCHIVED), Q(created_by=user)
    sorts = {
        "n_own": own, "n_live": live, "n_own_live": live & own,
        "n_in_use": Q(stage__in=IN_USE), "n_in_production": Q(stage=Stage.PRODUCTION),
        "n_to_return": Q(
            stage=Stage.ARCHIVED, was_production_at__isnull=False, compromised_at=None
        ),
        "n_left": Q(left_development_at__isnull=False), "n_held": Q(is_held=True),
        "n_elsewhere": ~Q(stage=Stage.DEVELOPMENT),
    }  # fmt: skip
    found: dict[str, int] = model.versions.aggregate(
        **{name: Count("pk", filter=sort) for name, sort in sorts.items()}
    )
    return found


def _may_roll_back(user: User) -> bool:
    rule = RULES[Stage.ARCHIVED, Stage.PRODUCTION]
    return rule.allows(roles.roles_of(user), is_own=False)


def _is_recorded(model: RegisteredModel) -> bool:
    """Say whether evidence or a copy elsewhere keeps the versions of a model."""
    copies = ModelVersion.objects.filter(copied_from__registered_model=model)
    return (
        model.versions.filter(evidence__isnull=False).exists()
        or copies.exclude(registered_model=model).exists()
    )


def _is_independent(model: RegisteredModel, user: User) -> bool:
    if "models:approve" not in roles.grants(user) or model.owner_id == user.pk:
        return False
    in_use = model.versions.filter(stage__in=IN_USE).values_list("pk", flat=True)
    return all(user.pk not in one for one in selectors.authors_of_each(in_use).values())

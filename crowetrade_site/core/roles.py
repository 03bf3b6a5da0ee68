"""Roles and what each may do: one table for admin, API, command line and worker."""

from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING

from crowetrade_site.core.errors import Forbidden

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser, User


class Role(StrEnum):
    """The five roles; each is a group of the same name."""

    RESEARCHER = "researcher"
    VALIDATOR = "validator"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    ADMIN = "admin"


READS = frozenset(
    f"{area}:read"
    for area in ("models", "evidence", "experiments", "datasets", "runs", "strategies")
)
OWN_TOKENS = frozenset({"tokens:write"})
SCOPES = READS | OWN_TOKENS | {
    "audit:read",
    "datasets:write",
    "evidence:write",
    "experiments:feed",
    "experiments:write",
    "models:write",
    "models:approve",
    "models:operate",
    "runs:operate",
    "runs:write",
    "strategies:write",
    "users:write",
}  # fmt: skip
GRANTS: dict[Role, frozenset[str]] = {
    Role.RESEARCHER: READS
    | OWN_TOKENS
    | {
        "datasets:write",
        "experiments:feed",
        "experiments:write",
        "models:write",
        "runs:write",
        "strategies:write",
    },
    Role.VALIDATOR: READS
    | OWN_TOKENS
    | {"audit:read", "evidence:write", "models:approve", "runs:write"},
    Role.OPERATOR: READS
    | OWN_TOKENS
    | {
        "audit:read",
        "experiments:feed",
        "experiments:write",
        "models:operate",
        "runs:operate",
        "runs:write",
    },
    Role.AUDITOR: READS | OWN_TOKENS | {"audit:read"},
    Role.ADMIN: SCOPES,
}


def roles_of(user: "User | AnonymousUser") -> frozenset[Role]:
    """Return a user's roles; a superuser is an admin; inactive and anonymous users have none."""
    if not getattr(user, "is_active", False) or not user.is_authenticated:
        return frozenset()
    cached: frozenset[Role] | None = getattr(user, "_roles", None)
    return cached if cached is not None else know(user, user.groups.values_list("name", flat=True))


def know(user: "User | AnonymousUser", groups: Iterable[str]) -> frozenset[Role]:
    """Keep what the names of a user's groups say, for the length of a request, and return it."""
    named = set(groups)
    found = frozenset(role for role in Role if role in named)
    if user.is_superuser:
        found |= {Role.ADMIN}
    setattr(user, "_roles", found)  # noqa: B010 - one query a request
    return found


def forget(user: "User | AnonymousUser") -> None:
    """Read a user's roles anew at the next question: they were changed."""
    vars(user).pop("_roles", None)


def confine(user: "User | AnonymousUser", scopes: Iterable[str]) -> None:
    """Let this user object do no more than a token allows, whoever asks and wherever."""
    setattr(user, "_confined_to", frozenset(scopes))  # noqa: B010 - for the length of a request


def grants(user: "User | AnonymousUser") -> frozenset[str]:
    """Return every scope a user's roles give, within what their token allows."""
    given = frozenset[str]().union(*(GRANTS[role] for role in roles_of(user)))
    allowed: frozenset[str] | None = getattr(user, "_confined_to", None)
    return given if allowed is None else given & allowed


def require(user: "User | AnonymousUser", *scopes: str) -> None:
    """Refuse an actor whose roles give none of `scopes`.

    Raises
    ------
    Forbidden
        Names the scopes and the roles that give them (403).
    """
    wanted = frozenset(scopes)
    if wanted & grants(user):
        return
    named = " or ".join(scopes)
    if any(wanted & GRANTS[role] for role in roles_of(user)):
        raise Forbidden(f"This token lacks the scope {named}.", scope=named)
    able = ", ".join(role for role in Role if wanted & GRANTS[role])
    raise Forbidden(f"This needs {named}, which these roles have: {able}.", scope=named)

"""Accounts and tokens: what changes them, each with one audit event."""

import getpass
import secrets
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.db import transaction
from django.utils import timezone

from crowetrade_site.core import audit, roles, tokens
from crowetrade_site.core.errors import Forbidden, InvalidInput, NotFound
from crowetrade_site.core.models import ApiToken

CONSOLE = "console"


def ensure_admin() -> str | None:
    """Create the user `admin` if there is no superuser, and return its drawn password once."""
    if get_user_model().objects.filter(is_superuser=True).exclude(username=CONSOLE).exists():
        return None
    password = secrets.token_urlsafe(12)
    with transaction.atomic(durable=True):
        user = get_user_model().objects.create_superuser("admin", password=password)
        audit.record("core.user.created", user, actor=None, at=timezone.now(), reason="first start")
    return password


def console_user() -> User:
    """Return the account that stands for whoever runs commands on the machine itself.

    It cannot log in. Who may run `manage.py` owns the installation, so it is an admin.
    """
    user, created = User.objects.get_or_create(username=CONSOLE, defaults={"is_active": True})
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
        user.groups.add(Group.objects.get(name=roles.Role.ADMIN))
    return user


def acting_user(username: str | None) -> User:
    """Return the user a command acts as: the one named, else the console account.

    Raises
    ------
    NotFound
        There is no active user of that name.
    """
    if not username:
        return console_user()
    try:
        return User.objects.get(username=username, is_active=True)
    except User.DoesNotExist:
        raise NotFound(f"There is no active user {username!r}.") from None


def console_reason(reason: str = "") -> str:
    """Return a reason that names the operating system's user beside what was given."""
    return f"{reason} (by {getpass.getuser()} on the command line)".strip()


@transaction.atomic(durable=True)
def issue_token(
    *,
    user: User,
    name: str,
    scopes: Iterable[str],
    actor: User,
    at: datetime,
    expires_at: datetime | None = None,
) -> tuple[ApiToken, str]:
    """Issue a token and return it with its plain text, which is kept nowhere.

    Raises
    ------
    Forbidden
        The actor may not issue tokens, or not for somebody else (403).
    InvalidInput
        A scope is unknown or beyond the user's roles, or the expiry is past (422).
    """
    roles.require(actor, "tokens:write" if actor == user else "users:write")
    wanted = sorted(set(scopes))
    _check_scopes(wanted, user)
    if expires_at and expires_at <= at:
        raise InvalidInput("expires_at lies in the past.")
    plain = tokens.draw()
    token = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=plain[:10],
        digest=tokens.digest(plain),
        scopes=wanted,
        expires_at=expires_at,
    )
    audit.record(
        "core.token.issued", token, actor=actor, at=at,
        after={"user": user.get_username(), "name": name, "scopes": wanted},
    )  # fmt: skip
    return token, plain


def _check_scopes(wanted: list[str], user: User) -> None:
    if not wanted:
        raise InvalidInput("A token needs at least one scope.")
    unknown = set(wanted) - roles.SCOPES
    if unknown:
        raise InvalidInput(
            f"Unknown scope {min(unknown)!r}; known are {', '.join(sorted(roles.SCOPES))}."
        )
    beyond = set(wanted) - roles.grants(user)
    if beyond:
        raise InvalidInput(f"{user.get_username()}'s roles do not give {min(beyond)!r}.")


@transaction.atomic(durable=True)
def revoke_token(*, token_id: UUID, actor: User, at: datetime, reason: str = "") -> ApiToken:
    """Revoke a token, at once and for good; revoking it again changes nothing.

    Raises
    ------
    NotFound
        There is no such token, or it is another's and the actor is no admin (404).
    """
    token = ApiToken.objects.select_for_update().filter(public_id=token_id).first()
    if token is None or not (token.user_id == actor.pk or "users:write" in roles.grants(actor)):
        raise NotFound("There is no such token.")
    if token.revoked_at is None:
        token.revoked_at = at
        token.save(update_fields=["revoked_at", "updated_at"])
        audit.record("core.token.revoked", token, actor=actor, at=at, reason=reason)
    return token


@transaction.atomic(durable=True)
def grant_role(*, user: User, role: roles.Role, actor: User, at: datetime, reason: str) -> None:
    """Give a user a role.

    Raises
    ------
    Forbidden
        The actor may not, or it is their own account (403).
    """
    roles.require(actor, "users:write")
    if actor == user and not actor.is_superuser:
        raise Forbidden("Nobody grants roles to themselves.")
    user.groups.add(Group.objects.get(name=role))
    audit.record("core.role.granted", user, actor=actor, at=at, reason=reason, after={"role": role})

"""Accounts and tokens: what changes them, each with one audit event."""

import getpass
import secrets
from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import Q
from django.utils import timezone

from crowetrade_site.core import audit, roles, tokens
from crowetrade_site.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from crowetrade_site.core.models import ApiToken

ADMIN = "admin"
CONSOLE = "console"
ACCOUNTS_LOCK = 0x0C20_ACC7
LONGEST_NAME = 100


@transaction.atomic(durable=True)
def ensure_admin() -> str | None:
    """Create the user `admin` if there is no superuser, and return its drawn password once.

    Nothing is created when the name is taken: whoever has it was made by a person.
    """
    _one_at_a_time()
    users = get_user_model().objects
    if users.filter(Q(is_superuser=True) | Q(username=ADMIN)).exclude(username=CONSOLE).exists():
        return None
    password = secrets.token_urlsafe(12)
    user = users.create_superuser(ADMIN, password=password)
    audit.record("core.user.created", user, actor=None, at=timezone.now(), reason="first start")
    return password


def console_user() -> User:
    """Return the account that stands for whoever runs commands on the machine itself.

    It cannot log in. Who may run `manage.py` owns the installation, so it is an admin.
    """
    user = User.objects.filter(username=CONSOLE).first()
    return user or _create_console_user()


@transaction.atomic
def _create_console_user() -> User:
    _one_at_a_time()
    if user := User.objects.filter(username=CONSOLE).first():
        return user
    user = User.objects.create_user(CONSOLE)  # without a password, it has an unusable one
    user.groups.add(Group.objects.get(name=roles.Role.ADMIN))
    audit.record(
        "core.user.created", user, actor=None, at=timezone.now(), reason="first command",
        after={"username": CONSOLE, "roles": [roles.Role.ADMIN]},
    )  # fmt: skip
    return user


def _one_at_a_time() -> None:
    """Let of two processes that start together the second wait and see what the first made."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ACCOUNTS_LOCK])


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
    parent: ApiToken | None = None,
) -> tuple[ApiToken, str]:
    """Issue a token and return it with its plain text, which is kept nowhere.

    `parent` is the token by which the actor asks, if it is one; the new token can do no more
    and lives no longer.

    Raises
    ------
    Forbidden
        The actor may not issue tokens, or not for somebody else (403).
    InvalidInput
        A scope is unknown or beyond the user's roles or the parent token, the name is blank or
        long, or the expiry is past or beyond the parent's (422).
    """
    roles.require(actor, "tokens:write" if actor == user else "users:write")
    wanted = sorted(set(scopes))
    _check_name(name)
    _check_scopes(wanted, user, parent)
    _check_expiry(expires_at, at, parent)
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
        after={
            "user": user.get_username(),
            "name": name,
            "scopes": wanted,
            "expires_at": audit.stamp(expires_at) if expires_at else None,
            "parent": parent.prefix if parent else None,
        },
    )  # fmt: skip
    return token, plain


def _check_name(name: str) -> None:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"A token's name has 1 to {LONGEST_NAME} printable characters.")


def _check_expiry(expires_at: datetime | None, at: datetime, parent: ApiToken | None) -> None:
    if expires_at and expires_at <= at:
        raise InvalidInput("expires_at lies in the past.")
    end = parent.expires_at if parent else None
    if end and (expires_at is None or expires_at > end):
        raise InvalidInput(
            "A token may not outlive the one that asks for it: expires_at must be at most "
            f"{audit.stamp(end)}."
        )


def _check_scopes(wanted: list[str], user: User, parent: ApiToken | None) -> None:
    if not wanted:
        raise InvalidInput("A token needs at least one scope.")
    unknown = set(wanted) - roles.SCOPES
    if unknown:
        raise InvalidInput(
            f"Unknown scope {min(unknown)!r}; known are {', '.join(sorted(roles.SCOPES))}."
        )
    if parent and (wider := set(wanted) - set(parent.scopes)):
        raise InvalidInput(f"The token that asks for this one lacks {min(wider)!r} itself.")
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
def create_user(
    *,
    username: str,
    email: str,
    roles_given: Iterable[roles.Role],
    password: str,
    actor: User,
    at: datetime,
    reason: str,
) -> User:
    """Create an account that may log in to the admin and has these roles.

    Raises
    ------
    Forbidden
        The actor may not create accounts (403).
    InvalidInput
        The name is not acceptable or the password is too weak (422).
    Conflict
        The name is taken (409).
    """
    roles.require(actor, "users:write")
    named = sorted(set(roles_given))
    user = User(username=username, email=email, is_staff=True)
    _check_account(user, password)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        raise Conflict(f"There is a user {username!r} already.") from None
    user.groups.set(Group.objects.filter(name__in=named))
    audit.record(
        "core.user.created", user, actor=actor, at=at, reason=reason,
        after={"username": username, "roles": named},
    )  # fmt: skip
    return user


@transaction.atomic(durable=True)
def set_password(*, user: User, password: str, actor: User, at: datetime, reason: str) -> None:
    """Give an account another password.

    Raises
    ------
    Forbidden
        It is another's account and the actor may not, or the console's, as which nobody may
        log in (403).
    InvalidInput
        The password is too weak (422).
    """
    if user.username == CONSOLE:
        raise Forbidden("The console account has no password: nobody may log in as it.")
    if actor != user:
        roles.require(actor, "users:write")
    _check_account(user, password)
    user.set_password(password)
    user.save(update_fields=["password"])
    audit.record("core.user.password_set", user, actor=actor, at=at, reason=reason)


def _check_account(user: User, password: str) -> None:
    try:
        user.clean_fields(exclude=["password"])
        validate_password(password, user)
    except ValidationError as error:
        raise InvalidInput(" ".join(error.messages)) from None


@transaction.atomic(durable=True)
def grant_role(*, user: User, role: roles.Role, actor: User, at: datetime, reason: str) -> None:
    """Give a user a role; giving it again changes nothing.

    Raises
    ------
    Forbidden
        The actor may not, or it is their own account (403).
    """
    roles.require(actor, "users:write")
    if actor == user and not actor.is_superuser:
        raise Forbidden("Nobody grants roles to themselves.")
    if user.groups.filter(name=role).exists():
        return
    user.groups.add(Group.objects.get(name=role))
    roles.forget(user)
    audit.record("core.role.granted", user, actor=actor, at=at, reason=reason, after={"role": role})

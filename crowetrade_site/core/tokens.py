"""API tokens: drawn, hashed, checked. The plain text is shown once and never stored."""

import hashlib
import secrets
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from django.contrib.auth.models import User
from django.db import connection

from crowetrade_site.core import prepared, roles
from crowetrade_site.core.models import ApiToken

PREFIX = "ct_"
KEYWORDS = ("bearer", "token")  # in small letters, before a token in `Authorization`
USE_RECORDED_EVERY = timedelta(minutes=1)


def draw() -> str:
    """Return a new plain token: 256 random bits behind a recognizable prefix."""
    return PREFIX + secrets.token_urlsafe(32)


def digest(plain: str) -> str:
    """Return the SHA-256 of a token; enough, since a token is 256 random bits."""
    return hashlib.sha256(plain.encode()).hexdigest()


def find(plain: str, *, at: datetime) -> ApiToken | None:
    """Return the valid token of this plain text, noting its use.

    Its user is confined to the token's scopes.
    """
    row = prepared.first(_query(), digest(plain), at)
    if row is None:
        return None
    token, user, groups = _read(row)
    if token.last_used_at is None or at - token.last_used_at >= USE_RECORDED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=at)
    token.user = user
    roles.know(user, groups)
    roles.confine(user, token.scopes)
    return token


@cache
def _query() -> str:
    """Return what finds token, user and roles at once: every request of every client asks it."""
    columns = ", ".join(
        f"{name}.{field.column}"
        for name, model in (("token", ApiToken), ("account", User))
        for field in model._meta.concrete_fields  # noqa: SLF001 - Django's documented Meta API
    )
    return f"""
        SELECT {columns}, ARRAY(
            SELECT auth_group.name FROM auth_user_groups JOIN auth_group
            ON auth_group.id = auth_user_groups.group_id
            WHERE auth_user_groups.user_id = account.id
        )
        FROM core_apitoken AS token JOIN auth_user AS account ON account.id = token.user_id
        WHERE token.digest = %s AND token.revoked_at IS NULL AND account.is_active
        AND (token.expires_at IS NULL OR token.expires_at > %s)
    """  # noqa: S608 - names of our own tables


def _read(row: tuple[Any, ...]) -> tuple[ApiToken, User, list[str]]:
    names = [field.attname for field in ApiToken._meta.concrete_fields]  # noqa: SLF001
    more = [field.attname for field in User._meta.concrete_fields]  # noqa: SLF001
    token = ApiToken.from_db(connection.alias, names, row[: len(names)])
    user = User.from_db(connection.alias, more, row[len(names) : -1])
    return token, user, row[-1]

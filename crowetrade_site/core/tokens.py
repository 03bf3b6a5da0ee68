"""API tokens: drawn, hashed, checked. The plain text is shown once and never stored."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db.models import Q

from crowetrade_site.core import roles
from crowetrade_site.core.models import ApiToken

PREFIX = "ct_"
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
    token = (
        ApiToken.objects.select_related("user")
        .filter(Q(expires_at__isnull=True) | Q(expires_at__gt=at))
        .filter(digest=digest(plain), revoked_at__isnull=True, user__is_active=True)
        .first()
    )
    if token is None:
        return None
    if token.last_used_at is None or at - token.last_used_at >= USE_RECORDED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=at)
    roles.confine(token.user, token.scopes)
    return token

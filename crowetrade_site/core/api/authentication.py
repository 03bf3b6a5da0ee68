"""Bearer tokens."""

from django.contrib.auth.models import User
from django.utils import timezone
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from crowetrade_site.core import context, tokens
from crowetrade_site.core.models import ApiToken


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer ct_…`, checked against the stored SHA-256."""

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """Return the token's user, or None when the request carries no bearer token."""
        keyword, _, plain = get_authorization_header(request).partition(b" ")
        if keyword.lower().decode("latin-1") not in tokens.KEYWORDS:
            return None
        return self.owner(plain.strip().decode("latin-1"))

    def owner(self, plain: str) -> tuple[User, ApiToken]:
        """Return the user of a token and the token, or refuse it."""
        token = tokens.find(plain, at=timezone.now())
        if token is None:
            raise AuthenticationFailed("The token is unknown, expired or revoked.")
        context.actor_name.set(token.user.get_username())
        return token.user, token

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        """Return the challenge of a 401."""
        return 'Bearer realm="CroweTrade"'

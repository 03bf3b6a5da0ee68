"""API keys as MLflow's clients send them."""

import binascii
from base64 import b64decode

from django.contrib.auth.models import User
from rest_framework.authentication import get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from crowetrade_site.core.api.authentication import TokenAuthentication
from crowetrade_site.core.models import ApiToken


class KeyAuthentication(TokenAuthentication):
    """`Authorization: Bearer ct_…`, or Basic with the key as password, whatever the name.

    A password of an account is never taken: these requests come from scripts.
    """

    def authenticate(self, request: Request) -> tuple[User, ApiToken] | None:
        """Return the key's user, or None when the request carries none."""
        keyword, _, encoded = get_authorization_header(request).partition(b" ")
        if keyword.lower() != b"basic":
            return super().authenticate(request)
        try:
            plain = b64decode(encoded.strip(), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise AuthenticationFailed("The Authorization header cannot be read.") from None
        return self.owner(plain.partition(":")[2])

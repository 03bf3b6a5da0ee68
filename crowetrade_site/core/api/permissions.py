"""Scopes of the API: a token must carry the scope and its user's roles must grant it."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from crowetrade_site.core import roles


class HasScope(BasePermission):
    """Ask the view's `scopes` for the request's method, such as ``{"GET": "runs:read"}``.

    Of several, such as ``("models:write", "models:approve")``, one is enough.
    """

    message = "You may not do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        """Return whether token and roles allow the request; an unlisted verb allows nobody."""
        if not request.user.is_authenticated:
            return False
        scopes = getattr(view, "scopes", {})
        method = "GET" if request.method in {"HEAD", "OPTIONS"} else request.method
        scope = scopes.get(method)
        if scope is None:
            return not hasattr(view, str(method).lower())  # the view answers 405 itself
        roles.require(request.user, *((scope,) if isinstance(scope, str) else scope))
        return True

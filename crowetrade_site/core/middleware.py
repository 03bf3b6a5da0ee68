"""Request id and actor for logs and the audit trail; what pages need, for pages alone."""

import re
from collections.abc import Callable
from typing import Any

from django.contrib.auth import middleware as auth
from django.contrib.messages import middleware as messages
from django.contrib.sessions import middleware as sessions
from django.http import HttpRequest, HttpResponse
from django.utils.deprecation import MiddlewareMixin

from crowetrade_site.core import context
from crowetrade_site.core.tokens import KEYWORDS

ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestContextMiddleware:
    """Give each request an id: the client's `X-Request-ID` if it is well-formed, else a new one."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get("X-Request-ID", "")
        with context.acting(request=given if ACCEPTABLE_ID.fullmatch(given) else "") as request_id:
            response = self.get_response(request)
            response["X-Request-ID"] = request_id
            return response


def is_of_token(request: HttpRequest) -> bool:
    """Return whether somebody asks with a token, be it valid or not."""
    keyword, _, _plain = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    return keyword.lower() in KEYWORDS


class _OfPages(MiddlewareMixin):
    """What a request of the API with a token passes by.

    The token says who asks, and no cookie is looked at; sessions, users and messages that nobody
    asks for are an eighth of what an answer costs.
    """

    def __call__(self, request: HttpRequest) -> Any:
        if request.path_info.startswith("/api/") and is_of_token(request):
            return self.get_response(request)
        return super().__call__(request)


class SessionMiddleware(_OfPages, sessions.SessionMiddleware):
    """Sessions of pages."""


class AuthenticationMiddleware(_OfPages, auth.AuthenticationMiddleware):
    """Users of pages."""


class MessageMiddleware(_OfPages, messages.MessageMiddleware):
    """Messages of pages."""


class ActorMiddleware:
    """Name the logged-in user in the context; token clients are named by authentication."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        user: Any = getattr(request, "user", None)  # none of who comes with a token
        if user is not None and user.is_authenticated:
            context.actor_name.set(request.user.get_username())
        return self.get_response(request)

"""Request id and actor for logs and the audit trail."""

import re
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from crowetrade_site.core import context

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


class ActorMiddleware:
    """Name the logged-in user in the context; token clients are named by authentication."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            context.actor_name.set(request.user.get_username())
        return self.get_response(request)

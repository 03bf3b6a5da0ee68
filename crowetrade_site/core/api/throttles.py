"""Limits of requests by user, and of verbs that cost more than others."""

from typing import Any, cast

from django.core.cache import caches
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import ScopedRateThrottle, UserRateThrottle


class RequestRateThrottle(UserRateThrottle):
    """Count every request of a user, in the memory of the process that answers it."""

    cache = caches["requests"]


class VerbRateThrottle(ScopedRateThrottle):
    """Ask the view's `rates` for the request's method, such as ``{"POST": "runs"}``.

    The counts are in the database: of several web processes none forgets what another has seen, and
    no further server is needed. What a name allows is in `DEFAULT_THROTTLE_RATES`.
    """

    cache = caches["rates"]

    def allow_request(self, request: Request, view: Any) -> bool:
        """Return whether the user has asked for this less often than they may."""
        scope = getattr(view, "rates", {}).get(request.method)
        if scope is None:
            return True
        self.scope = scope
        self.rate = cast("str | None", api_settings.DEFAULT_THROTTLE_RATES[scope])
        self.num_requests, self.duration = self.parse_rate(self.rate)
        return super(ScopedRateThrottle, self).allow_request(request, view)

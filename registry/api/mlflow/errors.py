"""Every refusal in MLflow's shape: one of its codes and a message."""

import logging
from http import HTTPStatus
from typing import Any

from django.http import UnreadablePostError
from rest_framework.response import Response

from crowetrade_site.core.api import problems
from crowetrade_site.core.errors import (
    Conflict,
    Corrupted,
    DomainError,
    Forbidden,
    GateNotMet,
    Gone,
    IllegalTransition,
    InvalidInput,
    InvalidRequest,
    NotFound,
    Unavailable,
)
from crowetrade_site.core.storage import StoreFull
from registry.services.catalog import NameTaken

logger = logging.getLogger(__name__)


class EndpointNotFound(NotFound):
    """MLflow has such an address, perhaps; this server does not."""

    slug, title = "endpoint-not-found", "There is no such endpoint"


class FeatureDisabled(DomainError):
    """MLflow's own server does this, and the registry does not."""

    slug, status, title = "feature-disabled", 400, "The registry does not do this"


class LengthRequired(DomainError):
    """A body came without its length."""

    slug, status, title = "length-required", 411, "The length is required"


# Code and status by the first class that fits. A decision is never 5xx: clients repeat those.
CODES: tuple[tuple[type[DomainError], str, int], ...] = (
    (EndpointNotFound, "ENDPOINT_NOT_FOUND", 404),
    (FeatureDisabled, "FEATURE_DISABLED", 400),
    (LengthRequired, "BAD_REQUEST", 411),
    (NameTaken, "RESOURCE_ALREADY_EXISTS", 400),
    (IllegalTransition, "INVALID_STATE_TRANSITION", 400),
    (GateNotMet, "INVALID_STATE_TRANSITION", 400),
    (Corrupted, "DATA_LOSS", 409),
    (Conflict, "RESOURCE_CONFLICT", 409),
    (InvalidInput, "INVALID_PARAMETER_VALUE", 400),
    (InvalidRequest, "BAD_REQUEST", 400),
    (problems.TooLarge, "BAD_REQUEST", 413),
    (Forbidden, "PERMISSION_DENIED", 403),
    (NotFound, "RESOURCE_DOES_NOT_EXIST", 404),
    (Gone, "RESOURCE_DOES_NOT_EXIST", 404),
    (StoreFull, "RESOURCE_EXHAUSTED", 507),
    (Unavailable, "TEMPORARILY_UNAVAILABLE", 503),
)
# The same for what the framework refuses, by its status.
BY_STATUS: dict[int, tuple[str, int]] = {
    401: ("UNAUTHENTICATED", 401),
    403: ("PERMISSION_DENIED", 403),
    404: ("ENDPOINT_NOT_FOUND", 404),
    405: ("ENDPOINT_NOT_FOUND", 405),
    422: ("INVALID_PARAMETER_VALUE", 400),
    429: ("REQUEST_LIMIT_EXCEEDED", 429),
}


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Answer any exception as MLflow's server would; the unexpected is logged."""
    if isinstance(error, UnreadablePostError):
        error = InvalidRequest("The request's body ended early.")
    problem = problems.exception_handler(error, context)
    if problem is None:
        logger.error("An MLflow client met an unexpected error", exc_info=error)
        text = "Something went wrong on our side; the log has it under the request id."
        return _answer("INTERNAL_ERROR", text, HTTPStatus.INTERNAL_SERVER_ERROR)
    code, status = _code(error, problem.status_code)
    kept = ("WWW-Authenticate", "Retry-After")
    headers = {name: problem[name] for name in kept if name in problem}
    return _answer(code, problem.data["detail"], status, headers)


def _code(error: Exception, status: int) -> tuple[str, int]:
    for kind, code, its_status in CODES:
        if isinstance(error, kind):
            return code, its_status
    return BY_STATUS.get(status, ("BAD_REQUEST", status))


def _answer(
    code: str, message: str, status: int, headers: dict[str, str] | None = None
) -> Response:
    return Response({"error_code": code, "message": message}, status, headers=headers)

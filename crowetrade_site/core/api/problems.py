"""Every error of the API as `application/problem+json` (RFC 9457), and nothing else."""

import logging
import re
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    JsonResponse,
    UnreadablePostError,
)
from django.shortcuts import render
from django.urls import Resolver404, resolve
from rest_framework.exceptions import APIException, ErrorDetail, ParseError, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import set_rollback

from crowetrade_site.core import context
from crowetrade_site.core.errors import (
    DomainError,
    Forbidden,
    InvalidInput,
    InvalidRequest,
    NotFound,
)

MOST_DRAINED, _PIECE = 16 * 2**20, 2**16  # bytes of a body that nobody wants
CONTENT_TYPE = "application/problem+json"
logger = logging.getLogger(__name__)


class TooLarge(DomainError):
    """The body is larger than `DATA_UPLOAD_MAX_MEMORY_SIZE` or has too many fields."""

    slug, status, title = "too-large", 413, "The request is too large"


def exception_handler(error: Exception, context_: dict[str, Any]) -> Response | None:
    """Turn any refusal into a problem document; the unexpected stays an exception (500)."""
    if isinstance(error, Http404):
        error = NotFound(str(error) or "There is no such thing.")
    elif isinstance(error, PermissionDenied):
        error = Forbidden(str(error) or "You may not do this.")
    elif isinstance(error, RequestDataTooBig):
        _drain(context_["request"])
        error = TooLarge("The request's body is too large.")
    elif isinstance(error, SuspiciousOperation):
        error = ParseError("The request is malformed.")
    elif isinstance(error, ValidationError):
        error = _invalid(error)
    if isinstance(error, DomainError):
        problem, headers = _of_domain(error), {}
    elif isinstance(error, APIException):
        problem, headers = _from_framework(error), _headers(error)
    else:
        return None
    set_rollback()
    problem |= _where(context_["request"].path)
    return Response(problem, problem["status"], headers=headers, content_type=CONTENT_TYPE)


def _drain(request: Request) -> None:
    """Read what is left of a body, up to a point: else the connection breaks before the answer."""
    sent: HttpRequest = request._request  # noqa: SLF001 - DRF's own would hold the whole
    with suppress(UnreadablePostError):
        for _ in range(MOST_DRAINED // _PIECE):
            if not sent.read(_PIECE):
                return


def _where(path: str) -> dict[str, str]:
    return {"instance": path, "request_id": context.request_id.get()}


def _headers(error: APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(error, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    return headers


def _from_framework(error: APIException) -> dict[str, Any]:
    return {
        "type": f"urn:crowetrade:problem:{str(error.default_code).replace('_', '-')}",
        "title": HTTPStatus(error.status_code).phrase,
        "status": error.status_code,
        "detail": str(error.detail),
    }


def _invalid(error: ValidationError) -> InvalidInput:
    """Return what a serializer or a filter refuses as everything else that is wrong is told."""
    errors = list(_flatten("", error.detail))
    return InvalidInput.of(errors or [{"path": "", "message": "Invalid input."}])


def _of_domain(error: DomainError) -> dict[str, Any]:
    """Return a refusal's members; wrong input says in `errors` where, be it nowhere or anywhere."""
    problem = error.problem()
    if isinstance(error, InvalidInput):
        problem.setdefault("errors", [{"path": "", "message": error.detail}])
    return problem


def _flatten(path: str, detail: Any) -> Any:
    """Yield DRF's nested validation messages as ``{path, message}``."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            key = "" if name == "non_field_errors" else str(name)
            yield from _flatten(".".join(part for part in (path, key) if part), inner)
    elif isinstance(detail, list):
        for index, inner in enumerate(detail):
            nested = not isinstance(inner, ErrorDetail)
            yield from _flatten(f"{path}.{index}" if nested else path, inner)
    else:
        yield {"path": path, "message": str(detail)}


_NAMED: Final = re.compile(r"(/api/v\d+/[a-z-]+/)([^/]+)(/.*)")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """Answer a request that Django itself refuses."""
    return _answer(request, InvalidRequest("The request is not acceptable."))


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer a request that the viewer has no right to."""
    return _answer(request, Forbidden(str(exception) or "You may not do this."))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:  # noqa: ARG001
    """Answer an unknown address."""
    sentence = f"There is nothing at {request.path}.{_hint_of_ids(request.path_info)}"
    return _answer(request, NotFound(sentence))


def _hint_of_ids(path: str) -> str:
    """Return what is said of a name where an address takes an id; nothing elsewhere."""
    asked = _NAMED.fullmatch(path)
    if asked is None:
        return ""
    rows, name, rest = asked.groups()
    try:
        resolve(f"{rows}{UUID(int=0)}{rest}")
        view = getattr(resolve(rows).func, "cls", None)
    except Resolver404:
        return ""
    filters = getattr(getattr(view, "filterset_class", None), "base_filters", {})
    found = f": GET {rows}?name={quote(name)} finds a name's" if "name" in filters else ""
    return f" Addresses take ids{found}."


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer after an unexpected exception, without its text; the log has it by request id."""
    error = DomainError("Something went wrong on our side; the log has it under the request id.")
    return _answer(request, error)


def _answer(request: HttpRequest, error: DomainError) -> HttpResponse:
    """Answer a person with a page, and a program with a problem document."""
    problem = error.problem() | _where(request.path)
    if request.path.startswith("/admin/") and request.accepts("text/html"):
        return render(request, "problem.html", {"problem": problem}, status=error.status)
    return JsonResponse(problem, status=error.status, content_type=CONTENT_TYPE)

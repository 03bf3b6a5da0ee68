"""Whether the process is alive, and whether it can serve."""

from celery import current_app
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from kombu.exceptions import OperationalError


def live(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """Answer while the process runs."""
    return JsonResponse({"status": "live"})


def ready(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    """Answer 200 when database and broker answer, else 503 naming what does not."""
    checks = {"database": _database(), "broker": _broker()}
    healthy = all(checks.values())
    body = {"status": "ready" if healthy else "not ready", **checks}
    return JsonResponse(body, status=200 if healthy else 503)


def _database() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return False
    return True


def _broker() -> bool:
    try:
        with current_app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, timeout=2)
    except (OperationalError, OSError):
        return False
    return True

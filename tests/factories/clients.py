"""REST clients and what they must get when they are refused."""

from typing import Any

from django.contrib.auth.models import User
from rest_framework.test import APIClient

from tests.factories.accounts import token


def client(user: User, *scopes: str) -> APIClient:
    """Return a client with a token of the user."""
    made = APIClient()
    made.credentials(HTTP_AUTHORIZATION=f"Bearer {token(user, *scopes)}")
    return made


def problem(answer: Any, status: int) -> dict[str, Any]:
    """Return the problem document of a refusal, checked for the members every one has."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "detail", "instance", "request_id"} <= set(body)
    assert body["status"] == status
    assert body["detail"]
    return body

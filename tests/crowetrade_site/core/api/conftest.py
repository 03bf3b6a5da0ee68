"""Clients of the REST API, by role."""

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from crowetrade_site.core import roles, services


@pytest.fixture
def as_user(make_user):
    """Make clients that carry a token: of a role, with all its scopes or with some."""

    def make(role: str = "researcher", scopes=None, user=None, **changes) -> APIClient:
        user = user or make_user(role)
        _, plain = services.issue_token(
            user=user, name="test", scopes=scopes or roles.grants(user), actor=user,
            at=timezone.now(), **changes,
        )  # fmt: skip
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {plain}")
        client.user, client.plain = user, plain
        return client

    return make

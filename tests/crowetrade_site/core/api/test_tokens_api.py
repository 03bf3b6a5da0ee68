from datetime import timedelta
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from crowetrade_site.core.models import ApiToken, AuditEvent

pytestmark = pytest.mark.django_db
FIELDS = {"id", "name", "prefix", "scopes", "created_at", "expires_at", "revoked_at"} | {
    "last_used_at"
}


def issue(client, **body):
    wanted = {"name": "notebook", "scopes": ["runs:read"]} | body
    return client.post(reverse("tokens"), wanted, format="json")


class TestTokensView:
    def test_issues_a_token_that_works_and_shows_it_once(self, as_user):
        client = as_user()

        response = issue(client, scopes=["tokens:write", "runs:read"])

        assert response.status_code == 201
        assert set(response.json()) == FIELDS | {"token"}
        other = APIClient()
        other.credentials(HTTP_AUTHORIZATION=f"Bearer {response.json()['token']}")
        listed = other.get(reverse("tokens"))
        assert listed.status_code == 200
        assert {row["name"] for row in listed.json()["results"]} == {"notebook", "test"}
        assert response.json()["token"] not in listed.content.decode()
        assert all(set(row) == FIELDS for row in listed.json()["results"])

    def test_lists_one_s_own_alone(self, as_user, make_user):
        as_user("operator")

        rows = as_user("researcher").get(reverse("tokens")).json()["results"]

        assert len(rows) == 1

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"name": ""}, "name"),
            ({"name": "x" * 101}, "name"),
            ({"scopes": []}, "scopes"),
            ({"scopes": ["everything"]}, "scopes.0"),
            ({"scopes": "runs:read"}, "scopes"),
            ({"expires_at": "tomorrow"}, "expires_at"),
        ],
    )
    def test_refuses_wrong_input(self, as_user, body, path):
        response = issue(as_user(), **body)

        assert response.status_code == 422
        assert response.json()["errors"][0]["path"] == path

    def test_refuses_scopes_beyond_the_roles(self, as_user):
        response = issue(as_user(), scopes=["models:approve"])

        assert response.status_code == 422
        assert ApiToken.objects.count() == 1

    def test_refuses_scopes_beyond_the_token_that_asks(self, as_user):
        """Else whoever finds a narrow token could turn it into a wide one."""
        response = issue(as_user("admin", scopes=["tokens:write"]), scopes=["users:write"])

        assert response.status_code == 422
        assert "lacks 'users:write' itself" in response.json()["detail"]

    def test_refuses_to_outlive_the_token_that_asks(self, as_user):
        client = as_user(expires_at=timezone.now() + timedelta(hours=1))

        assert issue(client).status_code == 422
        soon = timezone.now() + timedelta(minutes=5)
        assert issue(client, expires_at=soon.isoformat()).status_code == 201

    def test_writes_one_entry_for_one_token(self, as_user):
        client = as_user()
        before = AuditEvent.objects.count()

        issue(client)

        assert AuditEvent.objects.count() == before + 1
        event = AuditEvent.objects.last()
        assert (event.verb, event.actor) == ("core.token.issued", "researcher")
        assert event.request_id

    def test_lists_with_as_many_queries_for_thirty_as_for_one(
        self, as_user, django_assert_num_queries
    ):
        client = as_user()
        client.get(reverse("tokens"))  # notes the token's use, for a minute
        with django_assert_num_queries(2):  # token with roles, rows
            client.get(reverse("tokens"))
        for _ in range(30):
            issue(client)

        with django_assert_num_queries(2):
            assert len(client.get(reverse("tokens")).json()["results"]) == 31


class TestTokenView:
    def revoke(self, client, token_id):
        return client.delete(reverse("token", args=[token_id]))

    def test_revokes_at_once(self, as_user):
        client = as_user()
        made = issue(client, scopes=["tokens:write"]).json()
        other = APIClient()
        other.credentials(HTTP_AUTHORIZATION=f"Bearer {made['token']}")
        assert other.get(reverse("tokens")).status_code == 200

        response = self.revoke(client, made["id"])

        assert response.status_code == 200
        assert response.json()["revoked_at"]
        assert other.get(reverse("tokens")).status_code == 401

    def test_may_revoke_itself(self, as_user):
        client = as_user()
        own = ApiToken.objects.get()

        assert self.revoke(client, own.public_id).status_code == 200
        assert self.revoke(client, own.public_id).status_code == 401

    def test_does_not_tell_another_s_token_from_none(self, as_user):
        as_user("operator")
        client = as_user("researcher")
        anothers = ApiToken.objects.get(user__username="operator")

        refused, unknown = (self.revoke(client, which) for which in (anothers.public_id, uuid4()))

        assert (refused.status_code, unknown.status_code) == (404, 404)
        assert refused.json()["detail"] == unknown.json()["detail"]

    def test_lets_an_admin_s_full_token_revoke_any(self, as_user):
        as_user("operator")
        anothers = ApiToken.objects.get()

        narrow = as_user("admin", scopes=["tokens:write"])
        assert self.revoke(narrow, anothers.public_id).status_code == 404
        full = as_user(user=narrow.user)
        assert self.revoke(full, anothers.public_id).status_code == 200

import json
from base64 import b64encode
from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.urls import reverse

from crowetrade_site.core import merkle
from crowetrade_site.core.models import AuditEvent
from tests.crowetrade_site.core.trail import NOON, note

pytestmark = pytest.mark.django_db


@pytest.fixture
def client(as_user):
    return as_user("auditor")


def ask(client, **query) -> list[dict]:
    response = client.get(reverse("audit"), query)
    assert response.status_code == 200, response.content
    return response.json()["results"]


class TestAuditView:
    def test_returns_text_that_can_be_checked_against_its_leaf(self, client):
        note()

        row = ask(client, verb="core.test.noted")[0]

        assert row["leaf"] == merkle.leaf_hash(row["canonical"].encode()).hex()
        assert json.loads(row["canonical"])["event_id"] == row["id"]
        assert set(row) == {
            "id", "at", "verb", "actor", "reason", "request_id", "object_type", "object_id",
            "canonical", "leaf",
        }  # fmt: skip

    def test_filters(self, client):
        for day, verb in enumerate(["core.a.made", "core.b.made", "core.a.made"]):
            note(verb=verb, at=NOON + timedelta(days=day))
        second = AuditEvent.objects.get(verb="core.b.made")

        def verbs(**query):
            return [row["verb"] for row in ask(client, actor="system", **query)]

        assert verbs() == ["core.a.made", "core.b.made", "core.a.made"]
        assert verbs(verb="core.b.made") == ["core.b.made"]
        assert verbs(object_id=second.object_id) == ["core.b.made"]
        assert len(verbs(object_type="core.ApiToken")) == 3
        assert len(verbs(since=(NOON + timedelta(days=1)).isoformat())) == 2
        assert len(verbs(until=(NOON + timedelta(days=1)).isoformat())) == 1
        assert verbs(request_id="none") == []
        assert ask(client, actor="nobody") == []

    @pytest.mark.parametrize("name", ["since", "until"])
    def test_refuses_a_time_that_is_none(self, client, name):
        response = client.get(reverse("audit"), {name: "yesterday"})

        assert response.status_code == 422
        assert response.json()["errors"][0]["path"] == name

    def test_refuses_a_filter_that_is_none(self, client):
        response = client.get(reverse("audit"), {"actr": "root", "page_size": 5})

        assert response.status_code == 422
        assert "'actr'; did you mean 'actor'?" in response.json()["detail"]

    def test_can_be_read_only(self, client):
        for method in ("post", "put", "patch", "delete"):
            assert getattr(client, method)(reverse("audit")).status_code == 405

    def test_lists_with_as_many_queries_for_thirty_as_for_one(
        self, client, django_assert_num_queries
    ):
        ask(client)  # notes the token's use, for a minute
        with django_assert_num_queries(2):  # token with roles, rows
            ask(client)
        note(30)

        with django_assert_num_queries(2):
            ask(client)


class TestNewestFirst:
    def walk(self, client, **query) -> list[str]:
        """Follow the cursors from the first page to the last."""
        url, found = f"{reverse('audit')}?{urlencode(query)}", []
        while url:
            page = client.get(url).json()
            found += [row["id"] for row in page["results"]]
            url = page["next"]
        return found

    @pytest.mark.parametrize("ordering", ["", "at", "-at"])
    def test_skips_and_repeats_nothing_among_equal_times(self, client, ordering):
        for hour in range(3):
            note(7, at=NOON + timedelta(hours=hour))
        events = AuditEvent.objects.filter(actor="system").order_by("at", "id")
        expected = [str(event.event_id) for event in events]

        found = self.walk(client, actor="system", page_size=4, ordering=ordering)

        assert found == (expected if ordering == "at" else expected[::-1])

    def test_stays_stable_while_rows_arrive(self, client):
        for minute in range(6):
            note(at=NOON + timedelta(minutes=minute))
        first = client.get(reverse("audit"), {"actor": "system", "page_size": 4}).json()
        note(5, at=NOON + timedelta(days=1))

        second = client.get(first["next"]).json()

        ids = [row["id"] for row in first["results"] + second["results"]]
        assert len(set(ids)) == 6

    @pytest.mark.parametrize(("asked", "given"), [(1, 1), (500, 30), (501, 30), ("x", 30), (0, 30)])
    def test_bounds_the_page(self, client, asked, given):
        note(30)

        assert len(ask(client, page_size=asked, actor="system")) == given

    def test_names_the_orderings_there_are(self, client):
        response = client.get(reverse("audit"), {"ordering": "canonical"})

        assert response.status_code == 422
        assert response.json()["detail"] == ("ordering='canonical' is unknown; known are: at, -at.")

    @pytest.mark.parametrize(
        "cursor", ["x", "é", "p=x", "p=2026-99-01", "o=-1", "r=x", "p=%00", "p=" + "9" * 40]
    )
    def test_does_not_fall_for_a_made_up_cursor(self, client, cursor):
        note()
        encoded = b64encode(cursor.encode()).decode() if "=" in cursor else cursor

        response = client.get(reverse("audit"), {"cursor": encoded})

        assert response.status_code == 404
        assert response["Content-Type"] == "application/problem+json"

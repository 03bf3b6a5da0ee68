"""The feed of events: in order, at least once, nothing left out."""

from datetime import timedelta

import pytest
from django.utils import timezone

from crowetrade_site.core import seals
from crowetrade_site.core.models import AuditEvent
from tests.factories.accounts import account
from tests.factories.clients import client, problem
from tests.factories.registry import model_version

pytestmark = pytest.mark.django_db(transaction=True)
FEED = "/api/v1/events/"


@pytest.fixture
def author(transactional_db):
    return account("researcher", "author")


@pytest.fixture
def api(author):
    return client(author)


def seal():
    seals.seal(at=timezone.now() + timedelta(seconds=1))


def follow(api, after="", limit=2):
    """Return all events behind a cursor, page by page, and the last cursor."""
    found = []
    while True:
        page = api.get(FEED, {"after": after, "limit": limit}).json()
        if not page["events"]:
            return found, page["next"]
        found += page["events"]
        after = page["next"]


class TestEvents:
    def test_come_in_order_once_they_are_sealed(self, api, author):
        version = model_version(author)
        assert api.get(FEED).json() == {"events": [], "next": ""}
        seal()

        events, after = follow(api)

        assert [one["verb"] for one in events] == [
            "registry.model.created", "registry.file.stored", "registry.version.registered"
        ]  # fmt: skip
        assert events[-1]["object_id"] == str(version.public_id)
        assert events[-1]["after"]["number"] == 1
        assert events[-1]["roles"] == ["researcher"]
        model_version(author)
        seal()
        more, _ = follow(api, after)
        assert len(more) == 3
        assert {one["id"] for one in more}.isdisjoint({one["id"] for one in events})

    def test_are_all_there_whatever_the_page_s_length(self, api, author):
        for _ in range(3):
            model_version(author)
            seal()

        whole = [follow(api, limit=limit)[0] for limit in (1, 4, 500)]

        assert whole[0] == whole[1] == whole[2]
        of_registry = AuditEvent.objects.filter(verb__startswith="registry.")
        assert len(whole[0]) == of_registry.count() == 9

    def test_are_the_registry_s_alone(self, api, author):
        client(author)  # its token has an entry of its own
        seal()

        assert follow(api)[0] == []

    @pytest.mark.parametrize("after", ["x", "1", "1.", ".1", "-1.2", "1.2.3", "9" * 30 + ".1"])
    def test_refuse_what_is_no_cursor(self, api, after):
        problem(api.get(FEED, {"after": after}), 422)

    def test_are_for_those_who_may_read_models(self, author):
        problem(client(author, "runs:read").get(FEED), 403)

    def test_take_two_queries_beside_the_caller_s(self, api, author, django_assert_max_num_queries):
        model_version(author)
        seal()

        with django_assert_max_num_queries(6):
            api.get(FEED)

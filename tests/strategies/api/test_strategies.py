"""Strategies over REST."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from strategies.models import Strategy
from tests.factories.accounts import account
from tests.factories.backtests import STRATEGY
from tests.factories.clients import client, problem
from tests.factories.strategies import frozen, stored

STRATEGIES = "/api/v1/strategies/"


@pytest.fixture
def api(owner):
    return client(owner)


class TestCreate:
    def test_answers_with_the_draft(self, api):
        answer = api.post(STRATEGIES, {"name": "one", "document": STRATEGY})

        assert (answer.status_code, answer.json()["status"]) == (201, "draft")

    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            ({}, "name: "),
            ({"name": "a b", "document": STRATEGY}, "name: "),
            ({"name": "a", "document": 5}, "document: "),
            ({"name": "a", "document": {}}, "signals: Field required"),
            ({"name": "a", "document": STRATEGY | {"sinals": 1}}, "did you mean 'signals'?"),
        ],
    )
    def test_refuses_what_is_wrong(self, api, body, sentence):
        assert sentence in problem(api.post(STRATEGIES, body), 422)["detail"]
        assert not Strategy.objects.exists()

    def test_refuses_a_name_that_is_taken(self, api, owner):
        stored(owner, "one")

        problem(api.post(STRATEGIES, {"name": "one", "document": STRATEGY}), 409)

    def test_makes_one_of_one_key(self, api):
        body = {"name": "one", "document": STRATEGY}

        ids = {
            api.post(STRATEGIES, body, headers={"Idempotency-Key": "k"}).json()["id"]
            for _ in range(2)
        }

        assert len(ids) == 1

    def test_refuses_a_reader(self, owner):
        body = {"name": "one", "document": STRATEGY}

        problem(client(owner, "strategies:read").post(STRATEGIES, body), 403)
        problem(client(account("operator")).post(STRATEGIES, body), 403)


class TestList:
    @pytest.mark.parametrize(
        ("query", "expected"), [("", 2), ("status=frozen", 1), ("name=one", 1), ("name=x", 0)]
    )
    def test_filters(self, api, owner, query, expected):
        stored(owner, "one")
        frozen(owner, "two")

        assert len(api.get(f"{STRATEGIES}?{query}").json()["results"]) == expected

    def test_orders_by_name(self, api, owner):
        for name in ("b", "c", "a"):
            stored(owner, name)

        rows = api.get(f"{STRATEGIES}?ordering=name").json()["results"]

        assert [row["name"] for row in rows] == ["a", "b", "c"]
        problem(api.get(f"{STRATEGIES}?ordering=digest"), 422)

    def test_needs_the_same_queries_for_any_number_of_rows(self, api, owner):
        api.get(STRATEGIES)  # the token notes its first use
        counts = []
        for number in range(2):
            for more in range(1 + 20 * number):
                stored(owner, f"s{number}-{more}")
            with CaptureQueriesContext(connection) as queries:
                api.get(STRATEGIES)
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 4


class TestGetAndFreeze:
    def test_return_the_strategy(self, api, owner):
        address = f"{STRATEGIES}{stored(owner).public_id}/"

        assert api.get(address).json()["document"]["signals"]
        assert api.post(f"{address}freeze/", {"reason": "done"}).json()["status"] == "frozen"
        problem(api.post(f"{address}freeze/"), 409)

    def test_find_no_unknown_one(self, api):
        problem(api.get(f"{STRATEGIES}{uuid4()}/"), 404)
        problem(api.post(f"{STRATEGIES}{uuid4()}/freeze/"), 404)

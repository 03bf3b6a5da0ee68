"""How often one user may ask for what costs much."""

import pytest
from rest_framework.settings import api_settings

from tests.factories.accounts import account
from tests.factories.backtests import spec
from tests.factories.clients import client, problem

RUNS = "/api/v1/runs/"


@pytest.fixture
def rates(monkeypatch):
    def allow(**stated):
        rates = api_settings.DEFAULT_THROTTLE_RATES | stated
        monkeypatch.setattr(api_settings, "DEFAULT_THROTTLE_RATES", rates)

    return allow


class TestRate:
    @pytest.mark.parametrize(("tail", "scope"), [("", "runs"), ("estimate/", "estimates")])
    def test_refuses_more_and_says_when_to_come_again(self, api, tiny, rates, tail, scope):
        rates(**{scope: "2/min"})
        answers = [api.post(RUNS + tail, {"spec": spec()}) for _ in range(3)]

        assert [answer.status_code < 300 for answer in answers] == [True, True, False]
        body = problem(answers[-1], 429)
        assert body["type"] == "urn:crowetrade:problem:throttled"
        assert 0 < int(answers[-1]["Retry-After"]) <= 61

    def test_counts_each_user_apart(self, api, tiny, rates):
        rates(runs="1/min")
        api.post(RUNS, {"spec": spec()})
        other = client(account("researcher"))

        assert api.post(RUNS, {"spec": spec()}).status_code == 429
        assert other.post(RUNS, {"spec": spec()}).status_code == 201

    def test_counts_estimates_apart_from_runs(self, api, tiny, rates):
        rates(runs="1/min", estimates="1/min")

        assert api.post(RUNS, {"spec": spec()}).status_code == 201
        assert api.post(f"{RUNS}estimate/", {"spec": spec()}).status_code == 200

    def test_does_not_count_reading(self, api, tiny, rates):
        rates(runs="1/min")

        assert {api.get(RUNS).status_code for _ in range(5)} == {200}

    def test_may_be_lifted(self, api, tiny, rates):
        rates(runs=None)

        assert {api.post(RUNS, {"spec": spec()}).status_code for _ in range(5)} == {201}

    def test_counts_a_reproduction_as_a_run(self, api, finished, owner, rates):
        rates(runs="1/min")
        api = client(owner)

        first, second = (api.post(f"{RUNS}{finished.public_id}/reproduce/") for _ in range(2))

        assert (first.status_code, second.status_code) == (201, 429)

"""Evidence and policies over REST."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crowetrade_site.core import roles
from registry.models import Evidence, PromotionPolicy
from tests.factories.accounts import account
from tests.factories.clients import client, problem
from tests.factories.registry import bring_evidence, model_version

pytestmark = pytest.mark.django_db
EVIDENCE, POLICIES = "/api/v1/evidence/", "/api/v1/policies/"
DRILL = {"topic": "kill-switch-drill", "summary": "Stopped in 0.4 s.", "figures": {"seconds": 0.4}}
TEXT = """\
staging: {approvals: {number: 1}}
production:
  gates: [{kind: pbo, maximum: {probability: 0.4}}]
  approvals: {number: 2}
"""


def of(version) -> str:
    return f"/api/v1/versions/{version.public_id}/evidence/"


@pytest.fixture
def version(author):
    return model_version(author)


class TestAttest:
    def test_answers_with_the_evidence(self, judge, validator, version):
        answer = judge.post(of(version), DRILL)

        body = answer.json()
        assert answer.status_code == 201
        assert (body["kind"], body["is_measured"]) == ("manual", False)
        assert body["figures"] == {"topic": "kill-switch-drill", "seconds": 0.4}
        assert body["handed_in_by"] == validator.username
        assert body["digests"] == {"artifact": version.digest}

    @pytest.mark.parametrize(
        ("topic", "words"),
        [
            ("kill-switch-drill", ""),
            ("kil-swich-drill", "did you mean 'kill-switch-drill'? It asks for kill-switch-drill."),
            ("xyz", "No gate of default v2 asks for the topic 'xyz'. It asks for kill-switch-dr"),
        ],
    )
    def test_warns_of_a_topic_that_no_gate_asks_for(self, judge, version, topic, words):
        answer = judge.post(of(version), DRILL | {"topic": topic})

        assert answer.status_code == 201
        assert words in answer.json()["warning"]
        assert bool(answer.json()["warning"]) == bool(words)

    def test_makes_one_of_one_key(self, judge, version):
        ids = {
            judge.post(of(version), DRILL, headers={"Idempotency-Key": "k"}).json()["id"]
            for _ in range(2)
        }

        assert ids == {str(Evidence.objects.get().public_id)}

    def test_supersedes_what_was_attested_before(self, judge, version):
        for summary in ("One.", "Two."):
            judge.post(of(version), DRILL | {"summary": summary})
        judge.post(of(version), DRILL | {"topic": "risk-committee"})

        rows = judge.get(f"{of(version)}?status=valid").json()["results"]

        assert {row["summary"] for row in rows} == {"Two.", DRILL["summary"]}

    @pytest.mark.parametrize(
        "more",
        [
            {"topic": ""},
            {"topic": " "},
            {"summary": ""},
            {"summary": "x" * 10_001},
            {"figures": [1]},
            {"expires_at": "2020-01-01T00:00:00Z"},
        ],
    )
    def test_refuses_what_is_wrong(self, judge, version, more):
        problem(judge.post(of(version), DRILL | more), 422)
        assert not Evidence.objects.exists()

    def test_is_for_those_who_judge_others(self, api, version, author):
        problem(api.post(of(version), DRILL), 403)
        author.groups.add(account("validator").groups.get())
        roles.forget(author)
        body = problem(client(author).post(of(version), DRILL), 403)
        assert "version of their own" in body["detail"]


class TestList:
    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", 3),
            ("kind=backtest", 1),
            ("is_measured=true", 2),
            ("status=superseded", 0),
            ("handed_in_by=vera", 1),
            ("model=none", 0),
            ("source=user:vera", 1),
        ],
    )
    def test_filters(self, judge, version, query, expected):
        bring_evidence(version, "backtest", "pbo")
        judge.post(of(version), DRILL)

        assert len(judge.get(f"{EVIDENCE}?{query}").json()["results"]) == expected

    def test_of_a_version_is_its_own(self, judge, author, version):
        other = model_version(author)
        bring_evidence(other, "backtest")

        assert judge.get(of(version)).json()["results"] == []
        by_filter = judge.get(f"{EVIDENCE}?version={other.public_id}").json()["results"]
        one = judge.get(f"{EVIDENCE}{by_filter[0]['id']}/").json()
        assert (one["kind"], one["number"]) == ("backtest", 1)

    def test_needs_the_same_queries_for_any_number_of_rows(self, api, author):
        api.get(EVIDENCE)
        counts = []
        for n_more in (1, 8):
            for _ in range(n_more):
                bring_evidence(model_version(author), "backtest")
            with CaptureQueriesContext(connection) as queries:
                api.get(EVIDENCE)
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 4

    def test_of_none_is_not_found(self, judge):
        problem(judge.get(f"{EVIDENCE}{uuid4()}/"), 404)
        problem(judge.get(f"/api/v1/versions/{uuid4()}/evidence/"), 404)


class TestPolicies:
    def test_begin_with_the_default(self, api):
        rows = api.get(f"{POLICIES}?name=default").json()["results"]

        assert [(row["number"], row["stored_by"]) for row in rows] == [(2, None), (1, None)]
        assert "deflated_sharpe" in rows[0]["text"]

    def test_get_their_next_version(self, judge):
        answer = judge.post(POLICIES, {"name": "default", "text": TEXT, "reason": "stricter"})

        body = answer.json()
        assert (answer.status_code, body["number"]) == (201, 3)
        assert body["document"]["production"]["gates"][0]["maximum"] == {"probability": 0.4}
        assert body["warnings"] == []
        assert judge.get(f"{POLICIES}{body['id']}/").json()["text"] == TEXT

    def test_are_stored_once_by_one_key(self, judge):
        body = {"name": "light", "text": TEXT, "reason": "x"}

        for _ in range(2):
            answer = judge.post(POLICIES, body, headers={"Idempotency-Key": "k"})
            assert answer.status_code == 201

        assert PromotionPolicy.objects.filter(name="light").count() == 1
        problem(judge.post(POLICIES, body), 409)

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("staging: [", "not YAML"),
            ("stagin: {}", "did you mean 'staging'?"),
            (TEXT.replace("pbo", "pboo"), "production.gates.0.kind"),
            (TEXT.replace("number: 2", "number: 1"), "at least two approvals"),
            (TEXT.replace("number: 1", "number: 0"), "at least one approval"),
        ],
    )
    def test_refuse_what_is_no_policy(self, judge, text, sentence):
        body = problem(judge.post(POLICIES, {"name": "x", "text": text, "reason": "x"}), 422)

        assert sentence in body["detail"]

    def test_are_for_those_who_judge(self, api):
        problem(api.post(POLICIES, {"name": "x", "text": TEXT, "reason": "x"}), 403)

    def test_of_none_are_not_found(self, api):
        problem(api.get(f"{POLICIES}{uuid4()}/"), 404)


class TestExpiry:
    def test_of_evidence_is_told(self, judge, version):
        until = timezone.now() + timedelta(days=1)

        body = judge.post(of(version), DRILL | {"expires_at": until.isoformat()}).json()

        assert body["expires_at"] is not None

"""Promotions over REST."""

from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crowetrade_site.core import roles
from registry.lifecycle import Stage
from tests.factories.accounts import account
from tests.factories.clients import client, problem
from tests.factories.registry import (
    attest_drill,
    bring_evidence,
    events_of,
    model_version,
    promotion,
)
from tests.registry.test_integrity import file_of

pytestmark = pytest.mark.django_db
PROMOTIONS = "/api/v1/promotions/"


def url(request, tail="") -> str:
    return f"{PROMOTIONS}{request.public_id}/{tail}"


def approve(who, request, **more):
    """Agree to what is there now."""
    seen = who.get(url(request)).json()["standing"]["evidence_digest"]
    return who.post(url(request, "approve/"), {"evidence_digest": seen} | more)


def of(version) -> str:
    return f"/api/v1/versions/{version.public_id}/promotions/"


@pytest.fixture
def tested(author):
    return model_version(author, stage=Stage.TESTING)


@pytest.fixture
def staged(author):
    return model_version(author, stage=Stage.STAGING)


class TestGates:
    def test_are_judged_now(self, api, tested):
        bring_evidence(tested, "backtest", at=timezone.now())

        body = api.get(f"{of(tested)}?target=staging").json()

        outcomes = {gate["name"]: gate["outcome"] for gate in body["report"]["gates"]}
        assert outcomes == {
            "integrity": "met", "backtest": "met", "walk_forward": "not computed",
            "deflated_sharpe": "not computed", "causality": "not computed",
            "data_quality": "not computed",
        }  # fmt: skip
        assert not body["report"]["is_met"]
        assert (body["policy"], body["policy_number"]) == ("default", 2)

    @pytest.mark.parametrize("query", ["", "?target=archived", "?target=x"])
    def test_want_a_target(self, api, tested, query):
        problem(api.get(of(tested) + query), 422)


class TestRequest:
    def test_opens_a_request(self, api, author, tested, validator):
        bring_evidence(tested, at=timezone.now())

        answer = api.post(of(tested), {"target": "staging", "reason": "it holds"})

        body = answer.json()
        assert answer.status_code == 201
        assert answer["Location"] == f"{PROMOTIONS}{body['id']}/"
        assert (body["status"], body["requested_by"]) == ("open", author.username)
        assert body["standing"]["may_approve"] == [validator.username]
        assert body["standing"]["report"]["is_met"]
        assert (body["standing"]["n_standing"], body["standing"]["n_needed"]) == (0, 1)
        assert body["standing"]["refusals"] == []
        assert body["standing"]["execution_refusals"] == ["the request has 0 of 1 approvals"]

    def test_says_why_nobody_could_go_on(self, api, author, tested, validator):
        request = promotion(tested, author, at=timezone.now())
        file_of(tested).unlink()

        standing = api.get(url(request)).json()["standing"]

        why = "not in the artefact store; restore them from a backup"
        assert standing["may_approve"] == []
        assert [why in refusal for refusal in standing["refusals"]] == [True]
        refused = approve(client(validator), request)
        assert refused.status_code == 409
        assert why in refused.json()["detail"]

    def test_opens_one_of_one_key(self, api, tested):
        bring_evidence(tested, at=timezone.now())
        body, key = {"target": "staging"}, {"Idempotency-Key": "k"}

        ids = {api.post(of(tested), body, headers=key).json()["id"] for _ in range(2)}

        assert len(ids) == 1
        problem(api.post(of(tested), body), 409)

    def test_says_which_gates_are_not_met(self, api, tested):
        body = problem(api.post(of(tested), {"target": "staging"}), 422)

        assert "gate backtest: no evidence" in body["failures"]

    @pytest.mark.parametrize("target", ["production", "staging"])
    def test_refuses_what_is_no_move(self, api, author, target):
        version = model_version(author)

        problem(api.post(of(version), {"target": target}), 409)

    def test_is_for_researchers_and_operators(self, judge, tested, author):
        bring_evidence(tested, at=timezone.now())

        problem(judge.post(of(tested), {"target": "staging"}), 403)
        problem(client(author, "models:read").post(of(tested), {"target": "staging"}), 403)


class TestDecide:
    def test_one_approval_brings_a_version_to_staging(self, author, judge, tested):
        request = promotion(tested, author, at=timezone.now())

        body = approve(judge, request, comment="looks sound").json()

        assert body["status"] == "executed"
        assert body["approvals"][0]["comment"] == "looks sound"
        tested.refresh_from_db()
        assert tested.stage == Stage.STAGING

    def test_two_approvals_and_an_operator_bring_it_to_production(
        self, author, judge, desk, staged
    ):
        request = promotion(staged, author, at=timezone.now())

        first = approve(judge, request).json()
        problem(approve(judge, request), 409)
        problem(desk.post(url(request, "execute/")), 409)
        second = approve(client(account("validator")), request).json()
        done = desk.post(url(request, "execute/")).json()

        assert [one["status"] for one in (first, second, done)] == ["open", "approved", "executed"]
        staged.refresh_from_db()
        assert staged.stage == Stage.PRODUCTION

    def test_refuses_author_requester_and_readers(self, author, desk, operator, staged):
        request = promotion(staged, operator, at=timezone.now())

        for user in (author, operator):
            user.groups.add(account("validator").groups.get())
            roles.forget(user)
            body = problem(approve(client(user), request), 403)
            assert "of their own" in body["detail"]
        problem(approve(client(account("auditor")), request), 403)

    def test_wants_to_know_what_is_agreed_to(self, author, judge, tested):
        request = promotion(tested, author, at=timezone.now())

        for body in ({}, {"evidence_digest": ""}):
            refusal = problem(judge.post(url(request, "approve/"), body), 422)
            assert "standing.evidence_digest of GET" in str(refusal["errors"])
        assert not request.approvals.exists()

    def test_refuses_an_approval_of_what_has_changed(self, author, judge, tested):
        request = promotion(tested, author, at=timezone.now())
        seen = judge.get(url(request)).json()["standing"]["evidence_digest"]
        again = {"days_ago": 0, "at": timezone.now()}
        bring_evidence(tested, "backtest", "causality", **again, n_bars=3000)

        body = problem(judge.post(url(request, "approve/"), {"evidence_digest": seen}), 409)

        assert body["type"].endswith("stale-state")

    def test_refuses_to_execute_what_no_longer_meets_its_gates(self, author, desk, judge, staged):
        request = promotion(staged, author, at=timezone.now())
        for validator in (judge, client(account("validator"))):
            approve(validator, request)
        bring_evidence(
            staged, "pbo", "reproduction", days_ago=0, at=timezone.now(), probability=0.9
        )

        body = problem(desk.post(url(request, "execute/")), 422)

        (failure,) = body["failures"]
        assert failure.startswith("gate pbo: probability is 0.9, at most 0.5 is asked; ")
        assert "measured once before, superseded since: probability 0.2" in failure

    def test_rejects_with_a_reason(self, api, author, judge, tested):
        request = promotion(tested, author, at=timezone.now())

        problem(judge.post(url(request, "reject/")), 422)
        problem(api.post(url(request, "reject/"), {"reason": "x"}), 403)
        body = judge.post(url(request, "reject/"), {"reason": "too few bars"}).json()
        assert (body["status"], body["decision"]) == ("rejected", "too few bars")
        problem(approve(judge, request), 409)

    def test_withdraws_ones_own(self, api, author, judge, tested):
        request = promotion(tested, author, at=timezone.now())

        problem(judge.post(url(request, "withdraw/")), 403)
        assert api.post(url(request, "withdraw/")).json()["status"] == "withdrawn"
        problem(api.post(url(request, "withdraw/")), 409)

    @pytest.mark.parametrize(
        ("verb", "body"),
        [
            ("approve/", {"comment": "x", "evidence_digest": "0" * 64}),
            ("reject/", {"reason": "x"}),
            ("withdraw/", {"reason": "x"}),
            ("execute/", {}),
        ],
    )
    def test_of_none_is_not_found(self, judge, verb, body):
        problem(judge.post(f"{PROMOTIONS}{uuid4()}/{verb}", body), 404)

    def test_carries_out_without_a_reason_that_nobody_would_keep(self, judge):
        answer = judge.post(f"{PROMOTIONS}{uuid4()}/execute/", {"reason": "x"})

        refusal = problem(answer, 422)
        assert refusal["detail"] == "reason: unknown key; no key is taken here."

    def test_takes_null_for_nothing(self, judge):
        answer = judge.generic(
            "POST", f"{PROMOTIONS}{uuid4()}/execute/", b"null", content_type="application/json"
        )

        problem(answer, 404)

    def test_leaves_its_trail(self, author, judge, tested):
        request = promotion(tested, author, at=timezone.now())
        approve(judge, request)

        assert events_of(request) == [
            f"promotion.{verb}" for verb in ("requested", "approved", "executed")
        ]
        assert events_of(tested)[-1] == "version.promoted"


class TestList:
    @pytest.fixture
    def rows(self, author, operator, tested, staged):
        promotion(tested, author, at=timezone.now())
        promotion(staged, operator, at=timezone.now())

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", 2),
            ("status=open", 2),
            ("status=executed", 0),
            ("target=production", 1),
            ("requested_by=otto", 1),
            ("model=none", 0),
            ("waiting=true", 2),
            ("waiting=false", 2),
        ],
    )
    def test_filters(self, judge, rows, query, expected):
        assert len(judge.get(f"{PROMOTIONS}?{query}").json()["results"]) == expected

    def test_waits_for_nobody_who_may_not(self, api, desk, rows):
        assert api.get(f"{PROMOTIONS}?waiting=true").json()["results"] == []
        assert desk.get(f"{PROMOTIONS}?waiting=true").json()["results"] == []

    def test_waits_no_longer_for_who_has_approved(self, author, judge, staged, desk):
        request = promotion(staged, author, at=timezone.now())
        approve(judge, request)

        assert judge.get(f"{PROMOTIONS}?waiting=true").json()["results"] == []
        approve(client(account("validator")), request)
        waiting = desk.get(f"{PROMOTIONS}?waiting=true").json()["results"]
        assert [row["id"] for row in waiting] == [str(request.public_id)]

    def test_needs_the_same_queries_for_any_number_of_requests(self, api, author):
        api.get(PROMOTIONS)
        counts = []
        for n_more in (1, 6):
            for _ in range(n_more):
                version = model_version(author, stage=Stage.TESTING)
                promotion(version, author, at=timezone.now())
            with CaptureQueriesContext(connection) as queries:
                api.get(PROMOTIONS)
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 5

    def test_one_needs_few_queries(self, judge, author, staged):
        request = promotion(staged, author, at=timezone.now())
        judge.get(url(request))

        with CaptureQueriesContext(connection) as queries:
            judge.get(url(request))

        assert len(queries) <= 11


class TestWithoutEvidence:
    def test_nobody_brings_a_version_to_production(self, desk, staged, validator):
        attest_drill(staged, validator, timezone.now())

        body = problem(desk.post(of(staged), {"target": "production"}), 422)

        assert {line.split(":")[0] for line in body["failures"]} == {
            "gate reproduction", "gate pbo",
        }  # fmt: skip

"""Versions of models over REST."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crowetrade_site.core import storage
from registry import services
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion, SigningBundle
from registry.services.versions import VersionCard
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.clients import client, problem
from tests.factories.registry import (
    SIGNATURE,
    bring_evidence,
    events_of,
    hand_in,
    model_version,
    registered_model,
)

pytestmark = pytest.mark.django_db
VERSIONS = "/api/v1/versions/"


def url(version, tail="") -> str:
    return f"{VERSIONS}{version.public_id}/{tail}"


def waivers_of(api, version, **kept) -> list[dict]:
    return api.get(url(version, "waivers/"), kept).json()["results"]


def of(model) -> str:
    return f"/api/v1/models/{model.public_id}/versions/"


def numbers(answer) -> list[int]:
    return [row["number"] for row in answer.json()["results"]]


@pytest.fixture
def model(author):
    return registered_model(author, "alpha")


class TestRegister:
    def test_answers_with_a_version_that_waits_for_a_worker(self, api, author, model):
        source = hand_in(author, content=b"{}")
        body = {"source": source, "description": "First", "signature": SIGNATURE, "run_id": "r1",
                "metrics": {"auc": 0.6}, "tags": {"k": "v"}, "datasets": ["d" * 64]}  # fmt: skip

        answer = api.post(of(model), body)

        row = answer.json()
        assert answer.status_code == 201
        assert answer["Location"] == f"{VERSIONS}{row['id']}/"
        assert (row["number"], row["stage"], row["status"]) == (1, "development", "pending")
        assert (row["model"], row["created_by"]) == ("alpha", author.username)
        assert {key: row[key] for key in body} == body
        assert (row["n_files"], row["n_bytes"]) == (1, 2)

    def test_keeps_digests_of_data_as_they_are_compared(self, api, author, model):
        digest = "ab" * 32
        body = {"source": hand_in(author), "datasets": [digest.upper(), f"sha256:{digest}"]}

        row = api.post(of(model), body).json()

        assert row["datasets"] == [digest, digest]

    @pytest.mark.parametrize("entry", ["SPY daily", "ab" * 31, "sha256:", "g" * 64])
    def test_refuses_data_that_are_named_by_words(self, api, author, model, entry):
        body = {"source": hand_in(author), "datasets": ["d" * 64, entry]}

        answer = api.post(of(model), body)

        assert answer.status_code == 422
        assert f"{entry!r} is none" in answer.json()["detail"]

    def test_makes_one_version_of_one_key(self, api, author, model):
        body = {"source": hand_in(author)}

        made = {
            api.post(of(model), body, headers={"Idempotency-Key": "k"}).json()["number"]
            for _ in range(2)
        }

        assert made == {1}

    def test_refuses_a_key_used_for_another_description(self, api, author, model):
        source = hand_in(author)
        api.post(of(model), {"source": source}, headers={"Idempotency-Key": "k"})

        answer = api.post(
            of(model), {"source": source, "description": "x"}, headers={"Idempotency-Key": "k"}
        )

        assert problem(answer, 409)["type"].endswith("duplicate-request")

    def test_names_the_version_that_has_these_files(self, api, author, model):
        first = model_version(author, model=model, content=b"same")
        source = hand_in(author, content=b"same")

        refused = problem(api.post(of(model), {"source": source}), 409)
        again = api.post(of(model), {"source": source, "allow_duplicate": True})

        assert refused["duplicate_of"] == {"id": str(first.public_id), "number": 1}
        assert again.json()["number"] == 2

    def test_copies_another_version(self, api, author, model):
        first = model_version(author)

        row = api.post(of(model), {"source": f"models:/{first.registered_model.name}/1"}).json()

        assert (row["copied_from"], row["digest"]) == (str(first.public_id), first.digest)

    @pytest.mark.parametrize(
        ("source", "status"),
        [("nowhere/at/all", 404), ("models:/alpha/x", 422), ("models:/alpha/9", 404), ("", 422)],
    )
    def test_refuses_a_source_that_is_none(self, api, model, source, status):
        problem(api.post(of(model), {"source": source}), status)

    def test_refuses_files_of_somebody_else(self, api, model):
        problem(api.post(of(model), {"source": hand_in(account("researcher"))}), 403)

    def test_is_for_those_who_register(self, model, judge):
        problem(judge.post(of(model), {"source": "x"}), 403)

    def test_of_an_unknown_model_is_not_found(self, api):
        address = f"/api/v1/models/{uuid4()}/versions/"

        problem(api.post(address, {"source": "x"}), 404)
        problem(api.get(address), 404)


class TestSearch:
    @pytest.fixture
    def rows(self, author):
        alpha, beta = registered_model(author, "alpha"), registered_model(author, "beta-carry")
        model_version(author, model=alpha, stage=Stage.PRODUCTION, content=b"one")
        two = model_version(author, model=alpha, stage=Stage.TESTING)
        model_version(author, model=beta, status=VersionStatus.QUARANTINED)
        ModelVersion.objects.filter(pk=two.pk).update(
            tags={"asset": "fx"}, datasets=["d" * 64], run_id="run7", format="skops",
            description="Regime aware", compromised_at=AT, is_held=True,
        )  # fmt: skip
        services.set_alias(name="alpha", alias="candidate", number=2, actor=author, at=AT)

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", {("alpha", 1), ("alpha", 2), ("beta-carry", 1)}),
            ("model=alpha", {("alpha", 1), ("alpha", 2)}),
            ("stage=production", {("alpha", 1)}),
            ("stage=production&stage=testing", {("alpha", 1), ("alpha", 2)}),
            ("status=quarantined", {("beta-carry", 1)}),
            ("format=skops", {("alpha", 2)}),
            ("tag=asset", {("alpha", 2)}),
            ("tag=asset:fx", {("alpha", 2)}),
            ("tag=asset:x", set()),
            ("dataset=" + "d" * 64, {("alpha", 2)}),
            ("run_id=run7", {("alpha", 2)}),
            ("digest=" + "0" * 64, set()),
            ("alias=candidate", {("alpha", 2)}),
            ("created_by=nobody", set()),
            ("is_compromised=true", {("alpha", 2)}),
            ("is_compromised=false", {("alpha", 1), ("beta-carry", 1)}),
            ("is_held=true", {("alpha", 2)}),
            ("q=regime", {("alpha", 2)}),
            ("q=carry", {("beta-carry", 1)}),
            ("q=alpha", {("alpha", 1), ("alpha", 2)}),
            ("q=fx", {("alpha", 2)}),
            ("q=regime+nothing", set()),
        ],
    )
    def test_finds(self, api, rows, query, expected):
        found = api.get(f"{VERSIONS}?{query}").json()["results"]

        assert {(row["model"], row["number"]) for row in found} == expected

    @pytest.mark.parametrize("query", ["stage=heaven", "status=x", "q=a%00b", "ordering=digest"])
    def test_refuses_what_it_does_not_offer(self, api, query):
        problem(api.get(f"{VERSIONS}?{query}"), 422)

    def test_orders_the_versions_of_a_model_by_number(self, api, author, model):
        for _ in range(3):
            model_version(author, model=model)
        model_version(author)

        first = api.get(f"{of(model)}?ordering=-number&page_size=2")

        assert numbers(first) + numbers(api.get(first.json()["next"])) == [3, 2, 1]

    def test_needs_the_same_queries_for_any_number_of_versions(self, api, author):
        api.get(VERSIONS)  # the token notes its first use
        counts = []
        for n_more in (1, 12):
            for _ in range(n_more):
                model_version(author)
            with CaptureQueriesContext(connection) as queries:
                api.get(VERSIONS)
            counts.append(len(queries))

        assert counts[0] == counts[1] <= 5


class TestOne:
    def test_is_shown_described_and_deleted(self, api, author):
        version = model_version(author)

        assert api.get(url(version)).json()["signature"] == SIGNATURE
        assert api.patch(url(version), {"description": "x"}).json()["description"] == "x"
        assert api.delete(url(version)).status_code == 204
        problem(api.get(url(version)), 404)

    def test_that_left_development_stays(self, api, author):
        version = model_version(author, stage=Stage.TESTING)

        assert "part of the record" in problem(api.delete(url(version)), 409)["detail"]

    def test_is_written_by_author_and_owner(self, author):
        version = model_version(author)
        other = client(account("researcher"))

        problem(other.patch(url(version), {"description": "x"}), 403)
        problem(other.post(url(version, "tags/"), {"key": "a", "value": "b"}), 403)
        problem(other.delete(url(version)), 403)

    def test_has_tags(self, api, author):
        version = model_version(author)

        tagged = api.post(url(version, "tags/"), {"key": "a", "value": "b"})
        assert tagged.json()["tags"] == {"a": "b"}
        problem(api.post(url(version, "tags/"), {"key": "registry.x", "value": ""}), 422)
        assert api.delete(url(version, "tags/?key=a")).json()["tags"] == {}

    def test_needs_few_queries(self, api, author):
        version = model_version(author)
        api.get(url(version))

        with CaptureQueriesContext(connection) as queries:
            api.get(url(version))

        assert len(queries) <= 5


class TestMove:
    def test_goes_up_to_testing_where_its_gates_are_met(self, api, author):
        version = model_version(author)

        answer = api.post(url(version, "move/"), {"target": "testing"})

        assert answer.json()["stage"] == "testing"
        assert events_of(version)[-1] == "version.submitted"

    def test_says_which_gates_are_not_met(self, api, author):
        version = model_version(author, status=VersionStatus.PENDING)

        body = problem(api.post(url(version, "move/"), {"target": "testing"}), 422)

        assert body["type"].endswith("gate-not-met")
        assert body["failures"] == ["gate artifact_scan: the files have not been looked at yet"]
        assert body["report"]["gates"][0]["outcome"] == "not computed"

    @pytest.mark.parametrize(
        ("stage", "target", "reason", "status"),
        [
            (Stage.TESTING, "staging", "x", 409),
            (Stage.DEVELOPMENT, "production", "x", 409),
            (Stage.TESTING, "development", "", 422),
            (Stage.PRODUCTION, "archived", "x", 403),
            (Stage.TESTING, "heaven", "x", 422),
        ],
    )
    def test_refuses(self, api, author, stage, target, reason, status):
        version = model_version(author, stage=stage)

        problem(api.post(url(version, "move/"), {"target": target, "reason": reason}), status)

    def test_lets_an_operator_stop_production_at_once(self, desk, author):
        version = model_version(author, stage=Stage.PRODUCTION)

        answer = desk.post(url(version, "move/"), {"target": "archived", "reason": "runaway"})

        assert answer.json()["stage"] == "archived"

    def test_is_closed_to_auditors_and_to_tokens_that_read(self, author, operator):
        version = model_version(author, stage=Stage.PRODUCTION)
        body = {"target": "archived", "reason": "x"}

        problem(client(account("auditor")).post(url(version, "move/"), body), 403)
        problem(client(operator, "models:read").post(url(version, "move/"), body), 403)


class TestHold:
    def test_is_put_on_and_taken_off(self, judge, author):
        version = model_version(author)
        hold = url(version, "hold/")

        assert judge.post(hold, {"is_held": True, "reason": "case 7"}).json()["is_held"]
        problem(judge.post(hold, {"is_held": True, "reason": "again"}), 409)
        problem(client(author).delete(url(version)), 409)
        assert not judge.post(hold, {"is_held": False, "reason": "over"}).json()["is_held"]

    def test_wants_a_reason_and_a_judge(self, api, judge, author):
        hold = url(model_version(author), "hold/")

        problem(judge.post(hold, {"is_held": True}), 422)
        problem(api.post(hold, {"is_held": True, "reason": "x"}), 403)


class TestWaivers:
    @pytest.fixture
    def pickled(self, author):
        return model_version(author, status=VersionStatus.QUARANTINED)

    def test_let_a_quarantined_version_go_on(self, api, author, pickled):
        root = client(account("admin"))
        until = timezone.now() + timedelta(days=30)
        body = {"expires_at": until.isoformat(), "reason": "a pilot"}

        problem(api.post(url(pickled, "move/"), {"target": "testing"}), 422)
        assert root.post(url(pickled, "waivers/"), body).status_code == 201
        assert [row["reason"] for row in waivers_of(api, pickled)] == ["a pilot"]
        assert waivers_of(api, pickled, is_standing=True)
        assert not waivers_of(api, pickled, granted_by="author")
        assert not waivers_of(api, pickled, is_standing=False)
        assert api.post(url(pickled, "move/"), {"target": "testing"}).status_code == 200

    def test_are_taken_back(self, api, author, pickled):
        root = client(account("admin"))
        until = timezone.now() + timedelta(days=30)
        body = {"expires_at": until.isoformat(), "reason": "a pilot"}
        waiver = root.post(url(pickled, "waivers/"), body).json()
        revoke = url(pickled, f"waivers/{waiver['id']}/revoke/")

        problem(root.post(revoke), 422)
        problem(api.post(revoke, {"reason": "x"}), 403)
        done = root.post(revoke, {"reason": "a finding"}).json()

        assert done["revoked_by"]
        assert waivers_of(api, pickled) == waivers_of(api, pickled, is_standing=False) == [done]
        assert waivers_of(api, pickled, is_standing=True) == []
        problem(api.post(url(pickled, "move/"), {"target": "testing"}), 422)

    @pytest.mark.parametrize(
        ("days", "reason", "status"), [(-1, "x", 422), (400, "x", 422), (30, "", 422)]
    )
    def test_refuse_what_is_not_sensible(self, pickled, days, reason, status):
        until = timezone.now() + timedelta(days=days)
        body = {"expires_at": until.isoformat(), "reason": reason}

        problem(client(account("admin")).post(url(pickled, "waivers/"), body), status)

    def test_are_for_admins_and_for_what_is_in_quarantine(self, judge, author, pickled):
        until = timezone.now() + timedelta(days=30)
        body = {"expires_at": until.isoformat(), "reason": "x"}

        problem(judge.post(url(pickled, "waivers/"), body), 403)
        ready = url(model_version(author), "waivers/")
        problem(client(account("admin")).post(ready, body), 409)


class TestReading:
    def test_compares_two_versions(self, api, author, model):
        one = model_version(author, model=model, content=b"one")
        other = services.register_version(
            name="alpha", source=hand_in(author, content=b"two"), actor=author, at=AT,
            card=VersionCard(metrics={"auc": 0.7}, datasets=["e" * 64]),
        )  # fmt: skip

        body = api.get(url(one, f"compare/{other.public_id}/")).json()

        digests = [storage.put(b"one"), storage.put(b"two")]
        assert body["files"] == {"parameters.json": digests}
        assert body["metrics"] == {"auc": [None, 0.7]}
        assert body["datasets"] == {"only_one": [], "only_other": ["e" * 64]}
        assert not body["is_same_files"]
        problem(api.get(url(one, f"compare/{uuid4()}/")), 404)

    def test_tells_where_a_version_comes_from(self, api, author, model):
        first = model_version(author)
        source = f"models:/{first.registered_model.name}/1"
        copy = services.register_version(
            name="alpha", source=source, card=VersionCard(run_id="r9"), actor=author, at=AT
        )
        bring_evidence(copy, "backtest")

        body = api.get(url(copy, "lineage/")).json()

        assert body["copied_from"]["id"] == str(first.public_id)
        assert body["run_id"] == "r9"
        assert body["runs"][0]["source"].startswith("backtests.run:")
        assert [one["model"] for one in api.get(url(first, "lineage/")).json()["copies"]] == [
            "alpha"
        ]

    def test_lists_signatures(self, api, author):
        version = model_version(author)
        SigningBundle.objects.create(
            version=version, bundle={"a": 1}, public_key="PEM", key_id="k1", attached_by=author,
            verified_at=AT,
        )  # fmt: skip

        rows = api.get(url(version, "signatures/")).json()["results"]
        assert [row["key_id"] for row in rows] == ["k1"]

"""Refused decisions leave a trace: who, in which role, and why."""

import json
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group

from crowetrade_site.core import roles
from crowetrade_site.core.errors import Forbidden, GateNotMet, StaleState
from crowetrade_site.core.models import AuditEvent
from registry import services
from registry.lifecycle import Stage
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.clients import client
from tests.factories.registry import events_of, model_version, promotion
from tests.registry.admin.browser import login, press

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def author():
    return account("researcher", "author")


@pytest.fixture
def operator():
    return account("operator", "otto")


@pytest.fixture
def request_(author, operator):
    return promotion(model_version(author, stage=Stage.STAGING), operator)


def also(user, role):
    user.groups.add(Group.objects.get_or_create(name=role)[0])
    roles.forget(user)
    return user


class TestApproval:
    @pytest.mark.parametrize("whose", ["request", "version"])
    def test_of_ones_own_is_on_record(self, request_, author, operator, whose):
        culprit = also(operator if whose == "request" else author, "validator")

        answer = client(culprit).post(
            f"/api/v1/promotions/{request_.public_id}/approve/",
            {"evidence_digest": request_.evidence_digest}, format="json",
        )  # fmt: skip

        assert answer.status_code == 403
        event = AuditEvent.objects.latest("id")
        told = json.loads(event.canonical)
        assert event.verb == "registry.promotion.approval_refused"
        assert (event.actor, event.object_id) == (culprit.username, str(request_.public_id))
        assert event.reason == f"Nobody approves a {whose} of their own."
        assert "validator" in told["roles"]
        assert told["after"]["refused_as"] == Forbidden.slug
        assert told["after"]["version_digest"] == request_.version_digest

    def test_without_the_right_is_on_record_though_the_scopes_stop_it(self, request_):
        auditor = account("auditor", "audrey")

        for verb in ("approve", "execute"):
            answer = client(auditor).post(f"/api/v1/promotions/{request_.public_id}/{verb}/")
            assert answer.status_code == 403

        rows = AuditEvent.objects.filter(actor="audrey", verb__startswith="registry.")
        events = list(rows.order_by("id"))
        assert [(event.verb, event.object_id) for event in events] == [
            ("registry.promotion.approval_refused", str(request_.public_id)),
            ("registry.promotion.execution_refused", str(request_.public_id)),
        ]
        told = json.loads(events[0].canonical)
        assert told["roles"] == ["auditor"]
        assert "models:approve" in events[0].reason
        assert told["after"] == {
            "refused_as": Forbidden.slug, "version": str(request_.version.public_id),
            "target": request_.target, "version_digest": request_.version_digest,
        }  # fmt: skip

    def test_of_what_there_is_not_leaves_nothing(self):
        auditor = client(account("auditor"))
        n_before = AuditEvent.objects.count()

        answer = auditor.post(f"/api/v1/promotions/{uuid4()}/approve/")

        assert answer.status_code == 403
        assert AuditEvent.objects.count() == n_before

    @pytest.mark.parametrize("action", ["approve", "execute"])
    def test_by_the_page_without_the_right_is_on_record(self, request_, action):
        answer = press(login(account("auditor", "audrey")), request_, action, reason="")

        assert answer.status_code == 200
        event = AuditEvent.objects.filter(actor="audrey", verb__startswith="registry.").get()
        assert event.object_id == str(request_.public_id)
        assert event.verb.endswith("_refused")

    @pytest.mark.parametrize("action", ["reject", "withdraw"])
    def test_by_the_page_is_for_decisions_alone(self, request_, action):
        status = request_.status

        answer = press(login(account("auditor", "audrey")), request_, action, reason="x")

        assert answer.status_code == 403
        request_.refresh_from_db()
        assert request_.status == status

    def test_of_what_is_no_more_is_on_record(self, request_):
        with pytest.raises(StaleState, match="look again"):
            services.approve_promotion(
                request_id=request_.public_id, actor=account("validator"), at=AT,
                evidence_digest="0" * 64,
            )  # fmt: skip

        assert events_of(request_)[-1] == "promotion.approval_refused"

    def test_of_one_that_ended_is_none(self, request_):
        judge = account("validator")
        services.reject_promotion(request_id=request_.public_id, actor=judge, at=AT, reason="no")

        answer = client(judge).post(
            f"/api/v1/promotions/{request_.public_id}/approve/",
            {"evidence_digest": request_.evidence_digest}, format="json",
        )  # fmt: skip

        assert answer.status_code == 409
        assert events_of(request_)[-1] == "promotion.rejected"


class TestExecution:
    def test_by_who_may_not_is_on_record(self, request_, author):
        for _ in range(2):
            services.approve_promotion(
                request_id=request_.public_id, actor=account("validator"), at=AT
            )

        with pytest.raises(Forbidden, match="Operators carry out"):
            services.execute_promotion(request_id=request_.public_id, actor=author, at=AT)

        assert events_of(request_)[-1] == "promotion.execution_refused"
        assert AuditEvent.objects.latest("id").actor == "author"

    def test_is_refused_as_it_was_where_there_is_no_such_request(self):
        n_before = AuditEvent.objects.count()

        with pytest.raises(Forbidden):
            services.execute_promotion(request_id=uuid4(), actor=account("auditor"), at=AT)

        assert AuditEvent.objects.count() == n_before


class TestRequest:
    def test_by_who_may_not_ask_is_on_record(self, author):
        version, auditor = model_version(author, stage=Stage.STAGING), account("validator", "vera")

        answer = client(auditor).post(
            f"/api/v1/versions/{version.public_id}/promotions/",
            {"target": "production", "reason": "Now."}, format="json",
        )  # fmt: skip

        assert answer.status_code == 403
        event = AuditEvent.objects.latest("id")
        told = json.loads(event.canonical)
        assert event.verb == "registry.promotion.request_refused"
        assert (event.actor, event.object_id) == ("vera", str(version.public_id))
        assert event.reason == "Your roles may not request to promote to production."
        assert told["roles"] == ["validator"]
        assert told["after"] == {
            "refused_as": Forbidden.slug, "version": str(version.public_id),
            "target": "production", "version_digest": version.digest,
        }  # fmt: skip

    @pytest.mark.parametrize(
        ("sent", "target"),
        [({"target": "staging"}, "staging"), ({"target": "the moon"}, ""), ([1], ""), ("{", "")],
    )
    def test_that_the_scopes_stop_is_on_record(self, author, sent, target):
        version = model_version(author, stage=Stage.TESTING)
        more = {"content_type": "application/json"} if sent == "{" else {"format": "json"}

        answer = client(account("auditor", "audrey")).post(
            f"/api/v1/versions/{version.public_id}/promotions/", sent, **more
        )

        assert answer.status_code == 403
        event = AuditEvent.objects.filter(actor="audrey", verb__startswith="registry.").get()
        assert (event.verb, event.object_id) == (
            "registry.promotion.request_refused", str(version.public_id)
        )  # fmt: skip
        assert "models:operate" in event.reason
        assert json.loads(event.canonical)["after"] == {
            "refused_as": Forbidden.slug, "version": str(version.public_id),
            "target": target, "version_digest": version.digest,
        }  # fmt: skip

    def test_that_the_scope_of_a_token_stops_is_on_record(self, author):
        version = model_version(author, stage=Stage.TESTING)

        answer = client(author, "models:read").post(
            f"/api/v1/versions/{version.public_id}/promotions/", {"target": "staging"},
            format="json",
        )  # fmt: skip

        assert answer.status_code == 403
        event = AuditEvent.objects.latest("id")
        assert (event.verb, event.actor) == ("registry.promotion.request_refused", "author")
        assert "This token lacks the scope" in event.reason

    def test_to_read_the_gates_is_none(self, author):
        version = model_version(author, stage=Stage.TESTING)
        blind = client(author, "runs:read")
        n_before = AuditEvent.objects.count()

        answer = blind.get(f"/api/v1/versions/{version.public_id}/promotions/?target=staging")

        assert (answer.status_code, AuditEvent.objects.count()) == (403, n_before)

    def test_by_the_page_without_the_right_is_on_record(self, author):
        version = model_version(author, stage=Stage.TESTING)
        browser = login(account("auditor", "audrey"))

        answer = press(browser, version, "request_promotion", reason="it holds")

        assert answer.status_code == 200  # the dialog says why not
        event = AuditEvent.objects.filter(actor="audrey", verb__startswith="registry.").get()
        assert event.verb == "registry.promotion.request_refused"
        assert json.loads(event.canonical)["after"]["target"] == "staging"

    @pytest.mark.parametrize("path", ["versions/{}/promotions/", "promotions/{}/approve/"])
    def test_of_nothing_there_leaves_nothing_at_the_door(self, path):
        auditor = client(account("auditor"))
        n_before = AuditEvent.objects.count()

        answer = auditor.post(f"/api/v1/{path.format(uuid4())}", {"target": "staging"})

        assert answer.status_code == 403
        assert AuditEvent.objects.count() == n_before

    def test_with_a_gate_that_is_not_met_is_none(self, author):
        version = model_version(author, stage=Stage.TESTING)

        with pytest.raises(GateNotMet):
            services.request_promotion(
                version_id=version.public_id, target=Stage.STAGING, actor=author, at=AT
            )

        assert "promotion.request_refused" not in events_of(version)

    def test_of_what_there_is_not_is_none(self, author):
        n_before = AuditEvent.objects.count()

        with pytest.raises(Forbidden):
            services.request_promotion(
                version_id=uuid4(), target=Stage.STAGING, actor=account("auditor"), at=AT
            )

        assert AuditEvent.objects.count() == n_before

"""Promotion under four eyes: by the services, and where it matters by the database too."""

import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from crowetrade_site.core import roles
from crowetrade_site.core.errors import (
    Conflict,
    Forbidden,
    GateNotMet,
    IllegalTransition,
    InvalidInput,
    NotFound,
    StaleState,
)
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import jobs, selectors, services
from registry.lifecycle import RequestStatus, Stage
from registry.models import Approval, ModelAlias, ModelVersion, StoredFile
from registry.selectors import waiting
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import (
    attest_drill,
    bring_evidence,
    events_of,
    model_version,
    promotion,
)

pytestmark = pytest.mark.django_db
LIGHT = "staging: {approvals: {number: 1}}\nproduction: {approvals: {number: 2}}\n"


@pytest.fixture
def author():
    return account(Role.RESEARCHER, "author")


@pytest.fixture
def operator():
    return account(Role.OPERATOR, "otto")


@pytest.fixture
def judges():
    return [account(Role.VALIDATOR, name) for name in ("vera", "victor")]


@pytest.fixture
def staged(author):
    return model_version(author, stage=Stage.STAGING)


@pytest.fixture
def request_(staged, operator):
    return promotion(staged, operator)


def approve(request, who, **more):
    return services.approve_promotion(request_id=request.public_id, actor=who, at=AT, **more)


def execute(request, who, at=AT):
    return services.execute_promotion(request_id=request.public_id, actor=who, at=at)


class TestRequest:
    def test_keeps_policy_bytes_and_evidence(self, request_, staged):
        assert request_.version_digest == staged.digest
        assert str(request_.policy) == "default v2"
        assert request_.report["is_met"]
        assert request_.expires_at == AT + timedelta(days=30)
        assert events_of(request_) == ["promotion.requested"]

    def test_writes_nothing_where_a_gate_is_not_met(self, staged, operator):
        before = AuditEvent.objects.count()

        with pytest.raises(GateNotMet) as refusal:
            services.request_promotion(
                version_id=staged.public_id,
                target=Stage.PRODUCTION,
                actor=operator,
                at=AT,
                reason="go",
            )

        outcomes = {g["name"]: g["outcome"] for g in refusal.value.extensions["report"]["gates"]}
        assert outcomes["pbo"] == "not computed"
        assert not staged.requests.exists()
        assert AuditEvent.objects.count() == before

    @pytest.mark.parametrize("reason", ["", " "])
    def test_of_production_needs_a_reason(self, staged, operator, judges, reason):
        bring_evidence(staged)
        attest_drill(staged, judges[0])
        asked = {"version_id": staged.public_id, "actor": operator, "at": AT}

        with pytest.raises(InvalidInput, match="needs a reason") as refusal:
            services.request_promotion(target=Stage.PRODUCTION, reason=reason, **asked)

        assert [one["path"] for one in refusal.value.extensions["errors"]] == ["reason"]
        assert not staged.requests.exists()

    def test_is_one_at_a_time(self, request_, staged, operator):
        with pytest.raises(Conflict, match="open request"):
            services.request_promotion(
                version_id=staged.public_id,
                target=Stage.PRODUCTION,
                actor=operator,
                at=AT,
                reason="go",
            )

    @pytest.mark.parametrize("role", [Role.VALIDATOR, Role.AUDITOR, Role.ADMIN])
    def test_is_for_researchers_and_operators(self, staged, role):
        with pytest.raises(Forbidden):
            services.request_promotion(
                version_id=staged.public_id,
                target=Stage.PRODUCTION,
                actor=account(role),
                at=AT,
                reason="go",
            )

    def test_refuses_what_is_compromised(self, staged, operator):
        services.report_tampering(version_id=staged.public_id, path="x", found="0" * 64, at=AT)

        with pytest.raises(Conflict, match="compromised"):
            services.request_promotion(
                version_id=staged.public_id,
                target=Stage.PRODUCTION,
                actor=operator,
                at=AT,
                reason="go",
            )


class TestApprove:
    def test_by_two_opens_the_way(self, request_, judges):
        first, second = (approve(request_, judge, comment="fine") for judge in judges)

        assert (first.status, second.status) == (RequestStatus.OPEN, RequestStatus.APPROVED)
        assert events_of(request_)[1:] == ["promotion.approved"] * 2 + ["promotion.granted"]
        given = Approval.objects.get(approver=judges[0])
        assert (given.role, given.version_digest) == ("validator", request_.version_digest)

    def test_is_given_once_by_each(self, request_, judges):
        approve(request_, judges[0])

        with pytest.raises(Conflict, match="already"):
            approve(request_, judges[0])

    @pytest.mark.parametrize("whose", ["requester", "author"])
    def test_of_ones_own_is_refused_whatever_the_role(self, request_, author, operator, whose):
        person = {"requester": operator, "author": author}[whose]
        for role in (Role.VALIDATOR, Role.ADMIN):
            person.groups.add(account(role).groups.get())
        roles.forget(person)

        with pytest.raises(Forbidden, match="of their own"):
            approve(request_, person)

    @pytest.mark.parametrize(
        ("whose", "constraint"),
        [("requester", "approver_is_not_requester"), ("author", "approver_is_not_author")],
    )
    def test_of_ones_own_is_refused_by_the_database(
        self, request_, author, operator, whose, constraint
    ):
        person = {"requester": operator, "author": author}[whose]

        with pytest.raises(IntegrityError, match=constraint), transaction.atomic():
            Approval.objects.create(
                request=request_, approver=person, requester=operator, author=author,
                role="admin", version_digest="a", evidence_digest="b", approved_at=AT,
            )  # fmt: skip

    def test_twice_by_one_is_refused_by_the_database(self, request_, author, operator, judges):
        approve(request_, judges[0])

        with pytest.raises(IntegrityError, match="one_approval_each"), transaction.atomic():
            Approval.objects.create(
                request=request_, approver=judges[0], requester=operator, author=author,
                role="admin", version_digest="a", evidence_digest="b", approved_at=AT,
            )  # fmt: skip

    @pytest.mark.parametrize("role", [Role.RESEARCHER, Role.OPERATOR, Role.AUDITOR])
    def test_is_for_those_who_judge(self, request_, role):
        with pytest.raises(Forbidden):
            approve(request_, account(role))

    def test_of_what_ended_is_refused(self, request_, judges):
        with pytest.raises(Conflict, match="ended on"):
            services.approve_promotion(
                request_id=request_.public_id, actor=judges[0], at=AT + timedelta(days=31)
            )
        services.reject_promotion(
            request_id=request_.public_id, actor=judges[0], at=AT, reason="no"
        )
        with pytest.raises(IllegalTransition, match="rejected"):
            approve(request_, judges[1])


class TestPolicyOfOnesOwn:
    """Nobody approves by a measure that they made."""

    @pytest.fixture
    def request_(self, staged, operator, judges):
        services.store_policy(name="default", text=LIGHT, actor=judges[0], at=AT, reason="Pilot.")
        return services.request_promotion(
            version_id=staged.public_id, target=Stage.PRODUCTION, actor=operator, at=AT, reason="go"
        )

    def test_gives_no_approval(self, request_, judges):
        with pytest.raises(Forbidden, match="policy of their own"):
            approve(request_, judges[0])
        assert approve(request_, judges[1]).approvals.count() == 1

    def test_is_waited_for_by_others(self, request_, judges):
        standing = selectors.standing_of(selectors.get_request(request_.public_id), at=AT)

        assert standing.may_approve == [judges[1]]
        assert not selectors.waiting_for(judges[0], at=AT).exists()
        assert selectors.waiting_for(judges[1], at=AT).exists()


class TestPolicyInForce:
    """Pages, lists and services go by the policy in force, not by that of the request."""

    @pytest.fixture
    def root(self):
        return account(Role.ADMIN, "root")

    def put_in_force(self, text, actor):
        services.store_policy(name="default", text=text, actor=actor, at=AT, reason="Pilot.")

    def offered(self, request, user):
        row = selectors.get_request(request.public_id)
        return selectors.may_do(user, row, selectors.standing_of(row, at=AT))

    def test_is_told_with_the_standing(self, request_, judges):
        self.put_in_force(LIGHT, judges[0])

        standing = selectors.standing_of(selectors.get_request(request_.public_id), at=AT)

        assert str(standing.policy) == "default v3"
        assert judges[0] not in standing.may_approve
        assert judges[1] in standing.may_approve

    def test_is_not_of_who_stores_it_while_a_request_is_open(self, request_, judges, root):
        self.put_in_force(LIGHT, judges[0])

        assert "approve" not in self.offered(request_, judges[0])
        assert "approve" in self.offered(request_, root)
        assert not selectors.waiting_for(judges[0], at=AT).exists()
        assert selectors.waiting_for(root, at=AT).get() == request_
        with pytest.raises(Forbidden, match="policy of their own"):
            approve(request_, judges[0])
        assert approve(request_, root).approvals.count() == 1

    def test_says_which_roles_decide(self, staged, operator, judges, root):
        self.put_in_force(LIGHT.replace("number: 2", "number: 2, roles: [admin]"), root)
        request = services.request_promotion(
            version_id=staged.public_id, target=Stage.PRODUCTION, actor=operator, at=AT, reason="go"
        )
        assert self.offered(request, judges[1]) == set()

        self.put_in_force(LIGHT.replace("number: 2", "number: 2, roles: [validator]"), judges[0])

        assert self.offered(request, judges[1]) == {"approve", "reject"}
        assert self.offered(request, root) == set()
        with pytest.raises(Forbidden, match="decide about production: validator"):
            services.reject_promotion(
                request_id=request.public_id, actor=root, at=AT, reason="Mine."
            )
        done = services.reject_promotion(
            request_id=request.public_id, actor=judges[1], at=AT, reason="Too few bars."
        )
        assert done.status == RequestStatus.REJECTED


class TestRight:
    """An approval counts as long as its approver could give it."""

    @pytest.fixture
    def granted(self, request_, judges):
        for judge in judges:
            approve(request_, judge)
        return request_

    def standing(self, request):
        return selectors.standing_of(selectors.get_request(request.public_id), at=AT)

    def take_role(self, user):
        user.groups.clear()

    def deactivate(self, user):
        user.is_active = False
        user.save()

    def make_author(self, user):
        """Find out that they handed the files in."""
        source = ModelVersion.objects.get(stage=Stage.STAGING).source
        StoredFile.objects.filter(path__startswith=source).update(uploaded_by=user)

    @pytest.mark.parametrize("change", ["take_role", "deactivate", "make_author"])
    def test_ends_with_what_gave_it(self, granted, staged, judges, operator, change):
        getattr(self, change)(judges[0])

        standing = self.standing(granted)

        assert (standing.n_standing, standing.is_stale) == (1, True)
        assert "vera may approve it no more" in standing.execution_refusals[0]
        assert not selectors.waiting_for(operator, at=AT).exists()
        with pytest.raises(StaleState, match="vera may approve it no more"):
            execute(granted, operator)
        staged.refresh_from_db()
        assert staged.stage == Stage.STAGING

    def test_of_another_takes_its_place(self, granted, judges, operator):
        for judge in judges:
            self.deactivate(judge)

        first = approve(granted, account(Role.VALIDATOR))

        assert first.status == RequestStatus.OPEN
        assert events_of(granted)[-2:] == ["promotion.lapsed", "promotion.approved"]
        assert approve(granted, account(Role.ADMIN)).status == RequestStatus.APPROVED
        assert execute(granted, operator).status == RequestStatus.EXECUTED

    def test_counts_again_with_what_gave_it(self, granted, judges, operator):
        group = judges[0].groups.get()
        self.take_role(judges[0])
        judges[0].groups.add(group)

        assert execute(granted, operator).status == RequestStatus.EXECUTED


class TestElsewhere:
    """A request is for a move from one stage; a rollback is none of its ways."""

    def test_is_refused_to_everybody(self, request_, staged, judges, operator):
        approve(request_, judges[0])
        ModelVersion.objects.filter(pk=staged.pk).update(stage=Stage.ARCHIVED)

        standing = selectors.standing_of(selectors.get_request(request_.public_id), at=AT)

        assert standing.refusals[0] == "the version is in archived by now"
        assert not selectors.waiting_for(judges[1], at=AT).exists()
        with pytest.raises(Conflict, match="the request is stale"):
            approve(request_, judges[1])
        type(request_).objects.filter(pk=request_.pk).update(status=RequestStatus.APPROVED)
        with pytest.raises(Conflict, match="the request is stale"):
            execute(request_, operator)
        staged.refresh_from_db()
        assert staged.stage == Stage.ARCHIVED


class TestLapse:
    """An approval is of the evidence that was seen."""

    def test_comes_with_other_evidence(self, request_, staged, judges):
        approve(request_, judges[0])
        bring_evidence(staged, "pbo", "reproduction", days_ago=0, probability=0.3)

        after = approve(request_, judges[1])

        assert after.status == RequestStatus.OPEN
        lapsed = Approval.objects.get(approver=judges[0])
        assert lapsed.lapsed_at == AT
        assert events_of(request_)[-2:] == ["promotion.lapsed", "promotion.approved"]

    def test_opens_a_request_that_had_them_all(self, request_, staged, judges, operator):
        for judge in judges:
            approve(request_, judge)
        bring_evidence(staged, "pbo", "reproduction", days_ago=0, probability=0.3)

        with pytest.raises(StaleState, match="lapsed"):
            execute(request_, operator)
        assert approve(request_, account(Role.ADMIN)).status == RequestStatus.OPEN
        staged.refresh_from_db()
        assert staged.stage == Stage.STAGING

    def test_lets_the_same_people_approve_anew(self, request_, staged, judges, operator):
        for judge in judges:
            approve(request_, judge)
        bring_evidence(staged, "pbo", "reproduction", days_ago=0, probability=0.3)

        for judge in judges:
            approve(request_, judge)

        assert execute(request_, operator).status == RequestStatus.EXECUTED

    def test_comes_with_another_policy(self, request_, staged, judges, operator):
        for judge in judges:
            approve(request_, judge)
        services.store_policy(
            name="light", text=LIGHT, actor=account(Role.ADMIN), at=AT, reason="a pilot"
        )
        services.assign_policy(
            model_name=staged.registered_model.name, policy="light", actor=account(Role.ADMIN),
            at=AT, reason="a pilot",
        )  # fmt: skip

        with pytest.raises(StaleState, match="lapsed"):
            execute(request_, operator)

    def test_is_told_before_it_happens(self, request_, staged, judges):
        approve(request_, judges[0])
        bring_evidence(staged, "pbo", "reproduction", days_ago=0, probability=0.3)

        standing = selectors.standing_of(selectors.get_request(request_.public_id), at=AT)

        assert (standing.n_standing, standing.n_needed, standing.is_stale) == (0, 2, True)
        assert set(judges) <= set(standing.may_approve)

    def test_refuses_a_yes_to_what_was_seen_before(self, request_, staged, judges):
        seen = request_.evidence_digest
        bring_evidence(staged, "pbo", "reproduction", days_ago=0, probability=0.3)

        with pytest.raises(StaleState, match="look again"):
            approve(request_, judges[0], evidence_digest=seen)


class TestExecute:
    def test_moves_the_version_and_archives_the_one_before(
        self, request_, staged, author, judges, operator
    ):
        present = model_version(author, model=staged.registered_model, stage=Stage.PRODUCTION)
        for judge in judges:
            approve(request_, judge)

        done = execute(request_, operator)

        present.refresh_from_db()
        staged.refresh_from_db()
        assert (present.stage, staged.stage) == (Stage.ARCHIVED, Stage.PRODUCTION)
        assert (done.status, done.decided_by) == (RequestStatus.EXECUTED, operator)
        assert events_of(present)[-1] == "version.superseded"
        assert events_of(staged)[-1] == "version.promoted"

    def test_wants_all_approvals(self, request_, judges, operator):
        approve(request_, judges[0])

        with pytest.raises(IllegalTransition, match="1 of 2 approvals"):
            execute(request_, operator)

    @pytest.mark.parametrize("role", [Role.RESEARCHER, Role.VALIDATOR, Role.AUDITOR, Role.ADMIN])
    def test_is_the_operators(self, request_, judges, role):
        for judge in judges:
            approve(request_, judge)

        with pytest.raises(Forbidden):
            execute(request_, account(role))

    def test_is_on_the_record_of_the_request(self, request_, judges, operator):
        for judge in judges:
            approve(request_, judge)

        execute(request_, operator)

        assert events_of(request_)[-2:] == ["promotion.granted", "promotion.executed"]

    def test_is_refused_to_who_approved(self, request_, judges):
        judges[0].groups.add(account(Role.OPERATOR).groups.get())
        for judge in judges:
            approve(request_, judge)

        with pytest.raises(Forbidden, match="what they approved"):
            execute(request_, judges[0])

    def test_wants_a_token_that_is_for_it(self, request_, judges):
        both = account(Role.OPERATOR)
        both.groups.add(account(Role.RESEARCHER).groups.get())
        for judge in judges:
            approve(request_, judge)
        roles.confine(both, {"models:write"})

        with pytest.raises(Forbidden, match="lacks the scope models:operate"):
            execute(request_, both)

    def test_puts_the_aliases_that_go_along_on_record(
        self, request_, staged, author, judges, operator
    ):
        present = model_version(author, model=staged.registered_model, stage=Stage.PRODUCTION)
        for alias in ("Champion", "blue"):
            ModelAlias.objects.create(
                registered_model=staged.registered_model, version=present, alias=alias
            )
        for judge in judges:
            approve(request_, judge)

        execute(request_, operator)

        assert list(staged.aliases.values_list("alias", flat=True)) == ["Champion"]
        left = AuditEvent.objects.get(verb="registry.version.superseded")
        told = json.loads(left.canonical)["after"]["aliases"]
        assert told == {"moved": ["Champion"], "ended": ["blue"]}

    @pytest.mark.parametrize("days", [29, 95])
    def test_judges_once_more(self, request_, staged, judges, operator, days):
        for judge in judges:
            approve(request_, judge)
        later = AT + timedelta(days=days)
        type(request_).objects.filter(pk=request_.pk).update(expires_at=AT + timedelta(days=200))

        if days < 90:
            assert execute(request_, operator, later).status == RequestStatus.EXECUTED
        else:
            with pytest.raises(GateNotMet, match="96 days old, 90 may be"):
                execute(request_, operator, later)

    def test_refuses_what_was_tampered_with(self, request_, staged, judges, operator):
        for judge in judges:
            approve(request_, judge)
        services.report_tampering(version_id=staged.public_id, path="x", found="0" * 64, at=AT)

        with pytest.raises(Conflict, match="compromised"):
            execute(request_, operator)

    def test_refuses_what_is_elsewhere_by_now(self, request_, staged, judges, operator):
        for judge in judges:
            approve(request_, judge)
        ModelVersion.objects.filter(pk=staged.pk).update(stage=Stage.DEVELOPMENT)

        with pytest.raises(Conflict, match="stale"):
            execute(request_, operator)

    def test_of_one_that_was_executed_is_refused(self, request_, judges, operator):
        for judge in judges:
            approve(request_, judge)
        execute(request_, operator)
        n_events = AuditEvent.objects.count()

        with pytest.raises((Conflict, Forbidden)):
            execute(request_, operator)
        assert AuditEvent.objects.count() == n_events


class TestEnd:
    def test_reject_wants_a_reason_and_a_judge(self, request_, operator, judges):
        given = {"request_id": request_.public_id, "at": AT}

        with pytest.raises(InvalidInput):
            services.reject_promotion(**given, actor=judges[0], reason=" ")
        with pytest.raises(Forbidden):
            services.reject_promotion(**given, actor=operator, reason="x")
        done = services.reject_promotion(**given, actor=judges[0], reason="too few bars")
        assert (done.status, done.decided_by) == (RequestStatus.REJECTED, judges[0])
        assert events_of(request_)[1:] == ["promotion.rejected"]

    def test_withdraw_is_for_requester_and_author(self, request_, author, judges):
        given = {"request_id": request_.public_id, "at": AT}

        with pytest.raises(Forbidden):
            services.withdraw_promotion(**given, actor=account(Role.RESEARCHER))
        assert services.withdraw_promotion(**given, actor=author).status == "withdrawn"
        assert events_of(request_)[1:] == ["promotion.withdrawn"]

    def test_expire_ends_what_is_over_once(self, request_, author):
        bring_evidence(young := model_version(author, stage=Stage.TESTING))
        kept = services.request_promotion(
            version_id=young.public_id, target=Stage.STAGING, actor=author,
            at=AT + timedelta(days=5),
        )  # fmt: skip
        end = AT + timedelta(days=30)

        assert [jobs.expire_promotions(at=end), jobs.expire_promotions(at=end)] == [1, 0]
        for row, status in ((request_, "expired"), (kept, "open")):
            row.refresh_from_db()
            assert row.status == status
        assert events_of(request_)[1:] == ["promotion.expired"]

    @pytest.mark.parametrize("verb", ["approve", "reject", "withdraw", "execute"])
    def test_of_none_is_not_found(self, operator, verb):
        more = {"reason": "x"} if verb == "reject" else {}

        with pytest.raises(NotFound):
            getattr(services, f"{verb}_promotion")(
                request_id=uuid4(), actor=operator, at=AT, **more
            )


class TestWaitingFor:
    def test_leaves_out_who_may_not_and_who_has(self, request_, author, operator, judges):
        def waits(user):
            return selectors.waiting_for(user, at=AT).exists()

        both = account(Role.VALIDATOR)
        assert [waits(u) for u in (author, operator, *judges, both)] == [False, False] + [True] * 3
        approve(request_, judges[0])
        assert [waits(u) for u in judges] == [False, True]
        approve(request_, judges[1])
        assert [waits(u) for u in (both, operator)] == [False, True]

    def test_names_a_judge_again_whose_approval_went_stale(self, request_, staged, judges):
        approve(request_, judges[0])
        assert not selectors.waiting_for(judges[0], at=AT).exists()

        later = AT + timedelta(minutes=1)
        bring_evidence(staged, "reproduction", days_ago=0, at=later)

        assert selectors.waiting_for(judges[0], at=later).get() == request_
        services.approve_promotion(request_id=request_.public_id, actor=judges[0], at=later)
        assert not selectors.waiting_for(judges[0], at=later).exists()

    def test_names_others_once_approvals_went_stale(self, request_, staged, judges, operator):
        for judge in judges:
            approve(request_, judge)
        other, later = account(Role.VALIDATOR), AT + timedelta(minutes=1)
        assert not selectors.waiting_for(other, at=AT).exists()

        bring_evidence(staged, "reproduction", days_ago=0, at=later)

        assert not selectors.waiting_for(operator, at=later).exists()
        assert selectors.waiting_for(other, at=later).get() == request_

    def test_leaves_out_what_nobody_can_carry_on(self, request_, staged, judges):
        assert selectors.waiting_for(judges[0], at=AT).exists()

        staged.evidence.filter(kind="pbo").update(status="superseded")

        assert not selectors.waiting_for(judges[0], at=AT).exists()

    def test_lists_what_is_too_much_to_judge(self, request_, staged, judges, monkeypatch):
        staged.evidence.filter(kind="pbo").update(status="superseded")

        monkeypatch.setattr(waiting, "MOST_JUDGED", 0)

        assert selectors.waiting_for(judges[0], at=AT).get() == request_

    def test_asks_for_the_roles_of_the_policy(self, staged, operator, judges):
        text = LIGHT.replace("number: 2", "number: 2, roles: [admin]")
        root, other = account(Role.ADMIN), account(Role.ADMIN)
        services.store_policy(name="default", text=text, actor=other, at=AT, reason="x")
        attest_drill(staged, judges[0])
        request = services.request_promotion(
            version_id=staged.public_id, target=Stage.PRODUCTION, actor=operator, at=AT, reason="go"
        )

        assert not selectors.waiting_for(judges[0], at=AT).exists()
        assert selectors.waiting_for(root, at=AT).get() == request
        with pytest.raises(Forbidden, match="decide about production: admin"):
            approve(request, judges[0])

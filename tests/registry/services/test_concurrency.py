"""Many people at the same moment: one production version, numbers without gap or twin."""

import json
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection, transaction

from crowetrade_site.core import storage
from crowetrade_site.core.errors import Conflict, DomainError, Forbidden, IllegalTransition
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import services
from registry.lifecycle import RequestStatus, Stage
from registry.models import ModelVersion, PromotionPolicy, PromotionRequest, RegisteredModel
from registry.services.steps import lock_model, lock_version
from registry.services.versions import VersionCard
from tests.crowetrade_site.core.threads import in_threads
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import (
    attest_drill,
    bring_evidence,
    hand_in,
    model_version,
    promotion,
    registered_model,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


@pytest.fixture
def author(transactional_db):
    return account(Role.RESEARCHER, "author")


def together(n_threads, work):
    """Run `work(number)` in threads that begin together; return values and refusals."""
    barrier = threading.Barrier(n_threads)

    def start(number):
        barrier.wait(60)
        try:
            return work(number)
        except DomainError as refusal:
            return refusal

    return in_threads(n_threads, start)


def wait_until_blocked(work):
    """Wait until another connection waits for a lock of ours, or has done without."""
    blocked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
    for _ in range(600):
        with connection.cursor() as cursor:
            # else a transaction sees for ever what it saw first
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(f"{blocked} AND datname = current_database()")
            if cursor.fetchone()[0] or work.done():
                return
        time.sleep(0.05)


def approved(version, operator, judges) -> PromotionRequest:
    """Return a request that an operator may carry out."""
    bring_evidence(version)
    attest_drill(version, judges[0])
    request = services.request_promotion(
        version_id=version.public_id, target=Stage.PRODUCTION, actor=operator, at=AT, reason="go"
    )
    for judge in judges:
        services.approve_promotion(request_id=request.public_id, actor=judge, at=AT)
    return request


class TestAssigning:
    def test_tells_the_policy_that_it_replaced(self, author):
        model = registered_model(author)
        for name in ("first", "second"):
            services.store_policy(
                name=name, actor=account(Role.ADMIN), at=AT, reason="a pilot",
                text="staging: {approvals: {number: 1}}\nproduction: {approvals: {number: 2}}\n",
            )  # fmt: skip
        judges = [account(Role.VALIDATOR), account(Role.VALIDATOR)]

        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                lock_model(model.name)
                work = pool.submit(self.assign, model, "second", judges[1])
                wait_until_blocked(work)
                assert not work.done()
                RegisteredModel.objects.filter(pk=model.pk).update(
                    policy="first", policy_assigned_by=judges[0], policy_assigned_at=AT
                )
            work.result()

        event = json.loads(AuditEvent.objects.get(verb="registry.policy.assigned").canonical)
        assert event["before"] == {"policy": "first", "assigned_by": judges[0].username}

    def test_by_two_at_once_is_a_chain(self, author):
        model = registered_model(author)
        judges = [account(Role.VALIDATOR), account(Role.VALIDATOR)]

        together(2, lambda number: self.assign(model, "default", judges[number], closes=False))

        events = AuditEvent.objects.filter(verb="registry.policy.assigned").order_by("id")
        first, second = (json.loads(event.canonical) for event in events)
        assert first["before"]["assigned_by"] is None
        assert second["before"]["assigned_by"] == first["after"]["assigned_by"]

    def assign(self, model, policy, judge, closes=True):
        try:
            services.assign_policy(
                model_name=model.name, policy=policy, actor=judge, at=AT, reason="a pilot"
            )
        finally:
            if closes:
                connection.close()


class TestExecution:
    @pytest.fixture
    def people(self, author):
        return account(Role.OPERATOR), [account(Role.VALIDATOR) for _ in range(2)]

    def test_of_64_requests_leaves_one_production_version(self, author, people):
        operator, judges = people
        model = registered_model(author)
        requests = [
            approved(model_version(author, model=model, stage=Stage.STAGING), operator, judges)
            for _ in range(64)
        ]

        answers = together(
            64,
            lambda number: services.execute_promotion(
                request_id=requests[number].public_id, actor=operator, at=AT
            ),
        )

        n_executed = sum(isinstance(answer, PromotionRequest) for answer in answers)
        stages = Counter(model.versions.values_list("stage", flat=True))
        assert stages[Stage.PRODUCTION] == 1
        assert n_executed >= 1
        assert stages[Stage.ARCHIVED] == n_executed - 1
        assert stages[Stage.STAGING] == 64 - n_executed
        executed = PromotionRequest.objects.filter(status=RequestStatus.EXECUTED)
        assert executed.count() == n_executed
        assert AuditEvent.objects.filter(verb="registry.version.promoted").count() == n_executed

    def test_of_one_request_by_64_happens_once(self, author, people):
        operator, judges = people
        version = model_version(author, stage=Stage.STAGING)
        request = approved(version, operator, judges)

        answers = together(
            64,
            lambda _: services.execute_promotion(
                request_id=request.public_id, actor=operator, at=AT
            ),
        )

        assert sum(isinstance(answer, PromotionRequest) for answer in answers) == 1
        assert AuditEvent.objects.filter(verb="registry.version.promoted").count() == 1

    def test_of_a_request_by_its_last_approval_happens_once(self, author):
        version = model_version(author, stage=Stage.TESTING)
        request = promotion(version, author)
        judges = [account(Role.VALIDATOR) for _ in range(16)]

        answers = together(
            16,
            lambda number: services.approve_promotion(
                request_id=request.public_id, actor=judges[number], at=AT
            ),
        )

        assert sum(isinstance(answer, PromotionRequest) for answer in answers) == 1
        version.refresh_from_db()
        assert version.stage == Stage.STAGING
        assert AuditEvent.objects.filter(verb="registry.version.promoted").count() == 1

    def test_and_rollbacks_leave_one_production_version(self, author, people):
        operator, judges = people
        model = registered_model(author)
        for number in range(2):
            model_version(author, model=model, stage=Stage.PRODUCTION)
            if number == 0:
                model.versions.update(stage=Stage.ARCHIVED)
        staged = model_version(author, model=model, stage=Stage.STAGING)
        request = approved(staged, operator, judges)

        def work(number):
            if number % 2:
                return services.execute_promotion(
                    request_id=request.public_id, actor=operator, at=AT
                )
            return services.roll_back(
                model_name=model.name, actor=operator, at=AT, reason="drifted"
            )

        together(16, work)

        assert model.versions.filter(stage=Stage.PRODUCTION).count() == 1

    def test_and_revocation_agree(self, author, people):
        """Whoever is first, what was revoked is not in production."""
        operator, judges = people
        version = model_version(author, stage=Stage.STAGING)
        request = approved(version, operator, judges)

        def work(number):
            if number:
                return services.execute_promotion(
                    request_id=request.public_id, actor=operator, at=AT
                )
            return services.move_version(
                version_id=version.public_id, target=Stage.ARCHIVED, actor=operator, at=AT,
                reason="runaway",
            )  # fmt: skip

        revoked, executed = together(2, work)

        version.refresh_from_db()
        refused = [isinstance(answer, DomainError) for answer in (revoked, executed)]
        assert any(refused) or version.stage == Stage.ARCHIVED
        assert (version.stage == Stage.PRODUCTION) == (not refused[1] and refused[0])


class TestRequest:
    """What was revoked keeps no open request: a rollback's way is none for it."""

    @pytest.fixture
    def staged(self, author):
        version = model_version(author, stage=Stage.STAGING)
        bring_evidence(version)
        attest_drill(version, account(Role.VALIDATOR))
        return version

    @pytest.fixture
    def operator(self, transactional_db):
        return account(Role.OPERATOR)

    def ask(self, version, operator):
        return services.request_promotion(
            version_id=version.public_id, target=Stage.PRODUCTION, actor=operator, at=AT,
            reason="go",
        )  # fmt: skip

    def revoke(self, version, operator):
        return services.move_version(
            version_id=version.public_id, target=Stage.ARCHIVED, actor=operator, at=AT,
            reason="runaway",
        )  # fmt: skip

    def test_that_comes_while_a_version_is_revoked_is_refused(self, staged, operator):
        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                ModelVersion.objects.filter(pk=staged.pk).update(stage=Stage.ARCHIVED)
                asked = pool.submit(in_threads, 1, lambda _: self.ask(staged, operator))
                wait_until_blocked(asked)
            refusal = asked.exception(60)

        assert isinstance(refusal, IllegalTransition)
        assert not staged.requests.exists()

    def test_that_comes_before_a_revocation_ends_with_it(self, staged, operator):
        policy = PromotionPolicy.objects.latest("number")
        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                lock_version(staged.public_id)
                staged.requests.create(
                    target=Stage.PRODUCTION, requested_by=operator, requested_at=AT, policy=policy,
                    version_digest=staged.digest, evidence_digest="0" * 64, report={},
                    expires_at=AT + timedelta(days=30),
                )  # fmt: skip
                revoked = pool.submit(in_threads, 1, lambda _: self.revoke(staged, operator))
                wait_until_blocked(revoked)
            revoked.result(60)

        assert staged.requests.get().status == RequestStatus.WITHDRAWN

    def test_and_revocation_agree(self, staged, operator):
        for turn in range(10):
            ModelVersion.objects.filter(pk=staged.pk).update(stage=Stage.STAGING)

            together(2, lambda n: (self.ask if n else self.revoke)(staged, operator))

            pending = [RequestStatus.OPEN, RequestStatus.APPROVED]
            staged.refresh_from_db()
            assert staged.stage == Stage.ARCHIVED, turn
            assert not staged.requests.filter(status__in=pending).exists(), turn

    def test_is_decided_while_its_version_is_revoked_without_a_deadlock(self, staged, operator):
        judges = [account(Role.VALIDATOR) for _ in range(3)]
        request = self.ask(staged, operator)

        def work(number):
            if number == 3:
                return self.revoke(staged, operator)
            return services.approve_promotion(
                request_id=request.public_id, actor=judges[number], at=AT
            )

        together(4, work)

        request.refresh_from_db()
        assert request.status == RequestStatus.WITHDRAWN


class TestModelCard:
    def test_is_not_written_by_its_owner_while_a_version_comes_into_use(self, author):
        version = model_version(author, stage=Stage.TESTING)
        name = version.registered_model.name

        def write():
            services.update_model(name=name, card={"limits": {"gross": 9.0}}, actor=author, at=AT)

        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                lock_version(version.public_id)
                ModelVersion.objects.filter(pk=version.pk).update(stage=Stage.STAGING)
                written = pool.submit(in_threads, 1, lambda _: write())
                wait_until_blocked(written)
            refusal = written.exception(60)

        assert isinstance(refusal, Forbidden)
        version.registered_model.refresh_from_db()
        assert version.registered_model.limits["gross"] == 1.0

    def test_is_not_deleted_with_a_version_that_leaves_development(self, author):
        version = model_version(author)
        name = version.registered_model.name

        with ThreadPoolExecutor(1) as pool:
            with transaction.atomic():
                lock_version(version.public_id)
                climbed = ModelVersion.objects.filter(pk=version.pk)
                climbed.update(stage=Stage.TESTING, left_development_at=AT)
                deleted = pool.submit(
                    in_threads, 1, lambda _: services.delete_model(name=name, actor=author, at=AT)
                )
                wait_until_blocked(deleted)
            refusal = deleted.exception(60)

        assert isinstance(refusal, Conflict)
        assert ModelVersion.objects.filter(pk=version.pk).exists()


class TestRegistration:
    @pytest.mark.long
    def test_of_1600_versions_gives_every_number_once(self, author):
        model = registered_model(author)

        def work(number):
            for turn in range(50):
                content = f"{number}-{turn}".encode()
                path = f"desk/{number}/{turn}/p.json"
                services.store_file(
                    path=path, sha256=storage.put(content), n_bytes=len(content), actor=author,
                    at=AT,
                )  # fmt: skip
                services.register_version(
                    name=model.name, source=path.rpartition("/")[0], card=VersionCard(),
                    actor=author, at=AT,
                )  # fmt: skip

        answers = together(32, work)

        assert answers == [None] * 32
        numbers = model.versions.order_by("number").values_list("number", flat=True)
        assert list(numbers) == list(range(1, 1601))
        told = AuditEvent.objects.filter(verb="registry.version.registered")
        assert told.count() == 1600

    def test_of_the_same_bytes_makes_one_version(self, author):
        model = registered_model(author)
        folders = [hand_in(author, content=b"same") for _ in range(16)]

        answers = together(
            16,
            lambda number: services.register_version(
                name=model.name, source=folders[number], card=VersionCard(), actor=author, at=AT
            ),
        )

        made = [answer for answer in answers if isinstance(answer, ModelVersion)]
        assert [version.number for version in made] == [1]
        assert model.versions.count() == 1
        assert all(answer.status == 409 for answer in answers if isinstance(answer, DomainError))

    def test_under_one_key_makes_one_version(self, author):
        model = registered_model(author)
        source = hand_in(author)

        answers = together(
            8,
            lambda _: services.register_version(
                name=model.name, source=source, card=VersionCard(), actor=author, at=AT,
                idempotency_key="k",
            ),
        )  # fmt: skip

        assert model.versions.count() == 1
        assert {a.number for a in answers if isinstance(a, ModelVersion)} == {1}


class TestAliases:
    def test_never_stay_with_what_is_archived(self, author):
        model = registered_model(author)
        version = model_version(author, model=model)

        def work(number):
            if number:
                return services.set_alias(
                    name=model.name, alias=f"a{number}", number=1, actor=author, at=AT
                )
            return services.move_version(
                version_id=version.public_id, target=Stage.ARCHIVED, actor=author, at=AT, reason="x"
            )

        together(12, work)

        version.refresh_from_db()
        assert version.stage == Stage.ARCHIVED
        assert not version.aliases.exists()

"""Moves of versions: every pair of stages, for every role."""

import itertools
import json
from datetime import timedelta
from importlib import import_module
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import transaction

from crowetrade_site.core import roles, storage
from crowetrade_site.core.errors import (
    Conflict,
    Corrupted,
    Forbidden,
    GateNotMet,
    InvalidInput,
    StaleState,
)
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import selectors, services
from registry.lifecycle import RequestStatus, Stage, VersionStatus
from registry.models import ModelVersion, RegisteredModel
from registry.services import steps
from tests.factories.registry import (
    attest_drill,
    bring_evidence,
    measure,
    model_version,
    promotion,
    registered_model,
)

pytestmark = pytest.mark.django_db(transaction=True)
DEV, TEST, STAGE, PROD, OLD = Stage
RESEARCHER, VALIDATOR, OPERATOR, AUDITOR, ADMIN = Role
# What the table of the design says: the pairs that somebody may move at once, by role.
AT_ONCE = {
    (DEV, TEST): {"author", VALIDATOR, ADMIN},
    (TEST, DEV): {"author", VALIDATOR, ADMIN},
    (STAGE, DEV): {"author", VALIDATOR, ADMIN},
    (DEV, OLD): {"author", VALIDATOR, OPERATOR, ADMIN},
    (TEST, OLD): {"author", VALIDATOR, OPERATOR, ADMIN},
    (STAGE, OLD): {"author", VALIDATOR, OPERATOR, ADMIN},
    (PROD, OLD): {VALIDATOR, OPERATOR, ADMIN},
    (OLD, DEV): {"author", VALIDATOR, ADMIN},
}
ACTORS = ("author", *Role)


@pytest.fixture
def author(make_user):
    return make_user(Role.RESEARCHER, name="author")


def actor_of(who, author, make_user):
    return author if who == "author" else make_user(who, name=f"a-{who}")


def events(version):
    return list(
        AuditEvent.objects.filter(object_id=str(version.public_id))
        .order_by("id")
        .values_list("verb", flat=True)
    )


class TestMoveVersion:
    @pytest.mark.parametrize("who", ACTORS)
    @pytest.mark.parametrize(("before", "target"), list(itertools.product(Stage, Stage)))
    def test_allows_what_the_table_allows_and_nothing_else(
        self, author, make_user, at, before, target, who
    ):
        version = model_version(author, stage=before)
        actor = actor_of(who, author, make_user)
        n_before = len(events(version))
        move = {"version_id": version.public_id, "target": target, "actor": actor, "at": at}

        if who in AT_ONCE.get((before, target), set()):
            assert services.move_version(**move, reason="as agreed").stage == target
            assert len(events(version)) == n_before + 1
        else:
            expected = Forbidden if (before, target) in AT_ONCE else Conflict
            with pytest.raises(expected):
                services.move_version(**move, reason="as agreed")
            version.refresh_from_db()
            assert version.stage == before
            assert len(events(version)) == n_before

    @pytest.mark.parametrize("target", [TEST, OLD])
    def test_of_others_takes_more_than_a_token_to_write(self, author, make_user, at, target):
        version = model_version(author)
        root = make_user(ADMIN)
        roles.confine(root, {"models:write"})

        with pytest.raises(Forbidden, match="lacks the scope"):
            services.move_version(
                version_id=version.public_id, target=target, actor=root, at=at, reason="r"
            )

    def test_up_refuses_what_was_compromised_meanwhile(self, author, make_user, at):
        version = model_version(author)
        services.report_tampering(version_id=version.public_id, path="x", found="0" * 64, at=at)
        version.compromised_at = None  # as it was read before

        with pytest.raises(StaleState, match="compromised"), transaction.atomic():
            steps.move(version, TEST, actor=author, at=at, reason="", verb="submitted")

    def test_up_hashes_the_stored_files(self, author, at):
        version = model_version(author)
        stored = Path(settings.ARTIFACT_ROOT) / storage.object_name(
            version.manifest["files"][0]["sha256"]
        )
        stored.chmod(0o600)
        stored.write_bytes(b"forged")

        with pytest.raises(Corrupted, match="not what was registered"):
            services.move_version(version_id=version.public_id, target=TEST, actor=author, at=at)

        version.refresh_from_db()
        assert (version.stage, version.compromised_at) == (DEV, at)
        assert events(version)[-1] == "registry.version.compromised"

    def test_up_tells_by_what_it_was_judged(self, author, at):
        version = model_version(author)
        judged = selectors.judge(version, TEST, at=at)

        services.move_version(version_id=version.public_id, target=TEST, actor=author, at=at)

        told = json.loads(AuditEvent.objects.latest("id").canonical)["after"]
        assert told["policy"] == judged.policy.digest
        assert told["evidence_digest"] == judged.evidence_digest
        assert told["report"]["is_met"]
        assert {gate["name"] for gate in told["report"]["gates"]} >= {"artifact_scan", "integrity"}

    @pytest.mark.parametrize(
        ("before", "target"), [pair for pair in AT_ONCE if pair != (DEV, TEST)]
    )
    def test_wants_a_reason_for_whatever_is_not_up(self, author, make_user, at, before, target):
        version = model_version(author, stage=before)

        with pytest.raises(InvalidInput, match="needs a reason"):
            services.move_version(
                version_id=version.public_id, target=target, actor=make_user(ADMIN), at=at
            )

    @pytest.mark.parametrize(
        ("status", "said"),
        [
            (VersionStatus.PENDING, "have not been looked at"),
            (VersionStatus.QUARANTINED, "without a waiver"),
            (VersionStatus.REFUSED, "refused"),
        ],
    )
    def test_asks_the_gates_of_testing(self, author, at, status, said):
        version = model_version(author, status=status)

        with pytest.raises(GateNotMet, match=said) as refusal:
            services.move_version(version_id=version.public_id, target=TEST, actor=author, at=at)

        assert refusal.value.extensions["failures"]

    def test_asks_for_a_complete_card(self, author, at):
        model = registered_model(author, desk="", operators=[])
        version = model_version(author, model=model)

        with pytest.raises(GateNotMet, match="lacks: desk, operators"):
            services.move_version(version_id=version.public_id, target=TEST, actor=author, at=at)

    def test_takes_requests_and_aliases_along(self, author, make_user, at):
        version = model_version(author, stage=TEST)
        bring_evidence(version)
        services.set_alias(
            name=version.registered_model.name, alias="candidate", number=1, actor=author, at=at
        )
        request = services.request_promotion(
            version_id=version.public_id, target=STAGE, actor=author, at=at
        )

        services.move_version(
            version_id=version.public_id, target=OLD, actor=author, at=at, reason="superseded"
        )

        request.refresh_from_db()
        assert request.status == RequestStatus.WITHDRAWN
        assert not version.aliases.exists()

    def test_lets_a_compromised_version_only_down(self, author, make_user, at):
        version = model_version(author)
        services.report_tampering(version_id=version.public_id, path="x", found="0" * 64, at=at)

        with pytest.raises(Conflict, match="compromised"):
            services.move_version(version_id=version.public_id, target=TEST, actor=author, at=at)
        gone = services.move_version(
            version_id=version.public_id, target=OLD, actor=author, at=at, reason="tampered"
        )

        assert gone.stage == OLD


class TestRollBack:
    def in_production_twice(self, author, make_user, at):
        model = registered_model(author)
        first = model_version(author, model=model, stage=PROD)
        second = model_version(author, model=model, stage=STAGE)
        bring_evidence(second)
        attest_drill(second, make_user(VALIDATOR, name="v0"))
        operator = make_user(OPERATOR)
        request = services.request_promotion(
            version_id=second.public_id, target=PROD, actor=operator, at=at, reason="go"
        )
        for name in ("v1", "v2"):
            services.approve_promotion(
                request_id=request.public_id, actor=make_user(VALIDATOR, name=name), at=at
            )
        services.execute_promotion(request_id=request.public_id, actor=operator, at=at)
        return model, first, second, operator

    def test_puts_the_version_before_back(self, author, make_user, at):
        model, first, second, operator = self.in_production_twice(author, make_user, at)
        n_events = AuditEvent.objects.count()

        restored = services.roll_back(
            model_name=model.name, actor=operator, at=at, reason="drifted"
        )

        assert restored.pk == first.pk
        second.refresh_from_db()
        assert (restored.stage, second.stage) == (PROD, OLD)
        assert events(first)[-1] == "registry.version.restored"
        assert events(second)[-1] == "registry.version.rolled_back"
        assert AuditEvent.objects.count() == n_events + 2

    @pytest.mark.parametrize("who", ["author", RESEARCHER, AUDITOR])
    def test_is_not_for_everybody(self, author, make_user, at, who):
        model, *_ = self.in_production_twice(author, make_user, at)

        with pytest.raises(Forbidden):
            services.roll_back(
                model_name=model.name, actor=actor_of(who, author, make_user), at=at, reason="r"
            )

    def test_restores_nothing_that_was_revoked(self, author, make_user, at):
        model, first, second, operator = self.in_production_twice(author, make_user, at)
        services.move_version(
            version_id=second.public_id, target=OLD, actor=operator, at=at, reason="runaway"
        )
        model_version(author, model=model, stage=PROD)
        asked = {"model_name": model.name, "actor": operator, "at": at, "reason": "drifted"}

        assert services.roll_back(**asked).pk == first.pk
        with pytest.raises(Conflict, match="no earlier production version"):
            services.roll_back(**asked)

    def test_goes_one_further_back_the_second_time(self, author, make_user, at):
        model, first, second, operator = self.in_production_twice(author, make_user, at)
        oldest = model_version(author, model=model, stage=OLD)
        ModelVersion.objects.filter(pk=oldest.pk).update(
            was_production_at=at - timedelta(days=999), left_development_at=at
        )
        asked = {"model_name": model.name, "actor": operator, "at": at, "reason": "drifted"}

        assert [services.roll_back(**asked).pk for _ in range(2)] == [first.pk, oldest.pk]
        second.refresh_from_db()
        assert second.was_production_at is None

    def passed_over_for_an_older_one(self, author, *, at, **asked):
        """Have one that was in production long before; roll back to it, and return what is told."""
        model = RegisteredModel.objects.get(name=asked["model_name"])
        oldest = model_version(author, model=model, stage=OLD)
        ModelVersion.objects.filter(pk=oldest.pk).update(
            was_production_at=at - timedelta(days=999), left_development_at=at
        )
        assert services.roll_back(**asked | {"at": at}).pk == oldest.pk
        return json.loads(AuditEvent.objects.latest("id").canonical)["after"]["passed_over"]

    def test_passes_over_what_is_known_to_look_ahead(self, author, make_user, at):
        model, first, _, operator = self.in_production_twice(author, make_user, at)
        found = {"of": "r1", "n_cuts": 9, "n_differing": 3, "n_responding": 9}
        measure(first, "causality", found)
        asked = {"model_name": model.name, "actor": operator, "at": at, "reason": "drifted"}

        with pytest.raises(GateNotMet, match=r"No earlier version of .* it looks ahead"):
            services.roll_back(**asked)
        told = self.passed_over_for_an_older_one(author, **asked)

        assert list(told) == [str(first.public_id)]
        assert "3 of 9 cuts" in told[str(first.public_id)]

    @pytest.mark.parametrize(
        ("never", "said"),
        [
            ({"status": VersionStatus.QUARANTINED}, "does not reach production"),
            ({"trusted_types": ["desk.Own"]}, "desk.Own is trusted no more"),
        ],
    )
    def test_passes_over_what_nobody_could_open(self, author, make_user, at, never, said):
        model, first, _, operator = self.in_production_twice(author, make_user, at)
        ModelVersion.objects.filter(pk=first.pk).update(**never)
        asked = {"model_name": model.name, "actor": operator, "at": at, "reason": "drifted"}

        with pytest.raises(GateNotMet, match=f"No earlier version of .*{said}"):
            services.roll_back(**asked)
        told = self.passed_over_for_an_older_one(author, **asked)

        assert said in told[str(first.public_id)]

    def climbed_by_requests(self, author, make_user, at, *, failed=()):
        """Promote a version from testing to production, and another after it."""
        model, operator = registered_model(author), make_user(OPERATOR)
        judges = [make_user(VALIDATOR, name=name) for name in ("v0", "v1", "v2")]
        versions = [model_version(author, model=model, stage=TEST) for _ in range(2)]
        for version in versions:
            for requester, n_needed in ((author, 1), (operator, 2)):
                request = promotion(version, requester, validator=judges[0], at=at)
                for judge in judges[1 : 1 + n_needed]:
                    services.approve_promotion(request_id=request.public_id, actor=judge, at=at)
                for kind in failed if n_needed == 1 else ():
                    self.fail(version, kind)
                version.refresh_from_db()
            services.execute_promotion(request_id=request.public_id, actor=operator, at=at)
        return versions[0], {"model_name": model.name, "actor": operator, "at": at, "reason": "r"}

    def fail(self, version, kind, stage=STAGE):
        """Hand in, once it was measured anew, that what rose to a stage by was not reproduced."""
        runs = version.evidence.filter(kind=kind).order_by("id" if stage == STAGE else "-id")
        of = runs.first().source.rpartition(":")[2]
        bring_evidence(version, kind)
        measure(version, "reproduction", {"of": of, "is_identical": False}, source=f"again-{of}")

    @pytest.mark.parametrize(("kind", "stage"), [("pbo", PROD), ("backtest", STAGE)])
    def test_passes_over_what_its_promotions_were_met_by(self, author, make_user, at, kind, stage):
        first, asked = self.climbed_by_requests(author, make_user, at)
        self.fail(first, kind, stage)

        with pytest.raises(GateNotMet, match="not identical; of "):
            services.roll_back(**asked)

    def test_restores_what_was_approved_by_who_knew(self, author, make_user, at):
        first, asked = self.climbed_by_requests(author, make_user, at, failed=["backtest"])

        assert services.roll_back(**asked) == first

    def test_restores_nothing_that_was_revived_and_archived(self, author, make_user, at):
        model, first, _, operator = self.in_production_twice(author, make_user, at)
        for target in (DEV, OLD):
            services.move_version(
                version_id=first.public_id, target=target, actor=author, at=at, reason="try again"
            )

        with pytest.raises(Conflict, match="no earlier production version"):
            services.roll_back(model_name=model.name, actor=operator, at=at, reason="drifted")

    def test_is_denied_by_the_migration_to_what_was_revoked_before(self, author, make_user, at):
        _, first, second, operator = self.in_production_twice(author, make_user, at)
        services.move_version(
            version_id=second.public_id, target=OLD, actor=operator, at=at, reason="runaway"
        )
        ModelVersion.objects.filter(pk=second.pk).update(was_production_at=at)  # as it was kept

        import_module("registry.migrations.0010_no_return_of_revoked").forget(apps, None)

        left = ModelVersion.objects.filter(was_production_at__isnull=False)
        assert list(left) == [first]

    def test_wants_a_token_that_is_for_it(self, author, make_user, at):
        model, *_ = self.in_production_twice(author, make_user, at)
        root = make_user(ADMIN)
        roles.confine(root, {"models:write"})
        asked = {"model_name": model.name, "actor": root, "at": at, "reason": "drifted"}

        with pytest.raises(Forbidden, match="lacks the scope"):
            services.roll_back(**asked)
        roles.confine(root, {"models:operate"})
        assert services.roll_back(**asked).stage == PROD

    def test_needs_something_to_go_back_to(self, author, make_user, at):
        version = model_version(author, stage=PROD)

        with pytest.raises(Conflict, match="no earlier production version"):
            services.roll_back(
                model_name=version.registered_model.name, actor=make_user(ADMIN), at=at, reason="r"
            )


class TestOneProductionVersion:
    def test_is_held_by_the_database(self, author):
        from django.db import IntegrityError

        model = registered_model(author)
        model_version(author, model=model, stage=PROD)
        other = model_version(author, model=model, stage=STAGE)

        with pytest.raises(IntegrityError, match="one_production_version"):
            ModelVersion.objects.filter(pk=other.pk).update(stage=PROD)

"""Versions: registered, described, held, waived, deleted; one entry of the trail each."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from crowetrade_site.core import storage
from crowetrade_site.core.errors import Conflict, Forbidden, GateNotMet, InvalidInput, NotFound
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import selectors, services
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion, StoredFile, Waiver
from registry.services.versions import VersionCard
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.registry import (
    attest_drill,
    bring_evidence,
    events_of,
    hand_in,
    model_version,
    registered_model,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def author():
    return account(Role.RESEARCHER, "author")


@pytest.fixture
def model(author):
    return registered_model(author, "alpha")


@pytest.fixture
def version(author, model):
    return model_version(author, model=model)


def register(author, source, **more):
    given = {"name": "alpha", "card": VersionCard(), "actor": author, "at": AT}
    return services.register_version(**given | {"source": source} | more)


class TestRegister:
    def test_freezes_the_files_under_a_folder(
        self, author, model, django_capture_on_commit_callbacks
    ):
        for name in ("MLmodel", "data/model.skops"):
            content = name.encode()
            services.store_file(
                path=f"desk/run/{name}", sha256=storage.put(content), n_bytes=len(content),
                actor=author, at=AT,
            )  # fmt: skip

        with django_capture_on_commit_callbacks() as callbacks:
            version = register(author, "desk/run/")

        assert [f["path"] for f in version.manifest["files"]] == ["MLmodel", "data/model.skops"]
        assert not StoredFile.objects.filter(frozen_at=None).exists()
        assert events_of(version) == ["version.registered"]
        assert len(callbacks) == 1

    def test_does_not_take_a_folder_whose_name_begins_alike(self, author, model):
        hand_in(author, folder="desk/run2")

        with pytest.raises(NotFound):
            register(author, "desk/run")

    def test_takes_the_files_of_a_logged_model(self, author, model):
        name = "m-" + "0" * 32
        hand_in(author, folder=f"1/models/{name}/artifacts")

        assert register(author, f"models:/{name}").n_files == 1

    def test_says_where_the_files_of_a_logged_model_belong(self, author, model):
        with pytest.raises(NotFound, match="artifact_location"):
            register(author, "models:/m-" + "1" * 32)

    def test_refuses_the_same_bytes_unless_it_is_meant(self, author, model):
        register(author, hand_in(author, content=b"same"))

        with pytest.raises(Conflict) as refusal:
            register(author, hand_in(author, content=b"same"))
        assert refusal.value.extensions["duplicate_of"]["number"] == 1
        again = register(author, hand_in(author, content=b"same"), allow_duplicate=True)
        assert again.number == 2

    def test_takes_bytes_again_that_were_refused(self, author, model):
        model_version(author, model=model, content=b"same", status=VersionStatus.REFUSED)

        assert register(author, hand_in(author, content=b"same")).number == 2

    @pytest.mark.parametrize("status", ["refused", "compromised"])
    def test_copies_nothing_that_is_not_sound(self, author, version, status):
        columns = {"refused": {"status": "refused"}, "compromised": {"compromised_at": AT}}[status]
        ModelVersion.objects.filter(pk=version.pk).update(**columns)

        with pytest.raises(Conflict, match="cannot be copied"):
            register(author, "models:/alpha/1", allow_duplicate=True)

    def test_refuses_readers_strangers_and_bad_tags(self, author, model):
        source = hand_in(author)
        before = AuditEvent.objects.count()

        with pytest.raises(Forbidden):
            register(account(Role.VALIDATOR), source)
        with pytest.raises(Forbidden, match="belongs to author"):
            register(account(Role.RESEARCHER), source)
        with pytest.raises(InvalidInput):
            register(author, source, card=VersionCard(tags={"": "x"}))
        with pytest.raises(NotFound):
            register(author, source, name="beta")
        assert AuditEvent.objects.count() == before
        assert not ModelVersion.objects.exists()

    def test_is_for_the_owner_and_whom_the_card_names(self, author):
        """A name that people load by is not one that anybody adds to."""
        rita = account(Role.RESEARCHER, "rita")
        registered_model(author, "beta", operators=["otto", "rita"])
        registered_model(author, "gamma")

        assert register(rita, hand_in(rita), name="beta").created_by == rita
        with pytest.raises(Forbidden, match="belongs to author"):
            register(rita, hand_in(rita), name="gamma")
        with pytest.raises(Forbidden, match="somebody else"):
            register(rita, hand_in(author), name="beta")
        with pytest.raises(Forbidden):  # named, and no researcher
            register(account(Role.OPERATOR, "otto"), "models:/beta/1", name="beta")

    def test_never_gives_a_number_twice(self, author, model):
        first = register(author, hand_in(author))
        services.delete_version(version_id=first.public_id, actor=author, at=AT)

        assert register(author, hand_in(author)).number == 2

    def test_of_the_same_digest_is_refused_by_the_database(self, author, version):
        columns = {field.attname: getattr(version, field.attname)
                   for field in ModelVersion._meta.concrete_fields}  # fmt: skip
        columns |= {"id": None, "public_id": uuid4(), "number": 9}

        with pytest.raises(IntegrityError, match="version_digest_once"), transaction.atomic():
            ModelVersion.objects.create(**columns)


class TestWrite:
    def test_describes_and_tags(self, author, version):
        key = {"version_id": version.public_id, "actor": author, "at": AT}
        services.update_version(**key, description="x")
        services.tag_version(**key, key="k", value="v")
        services.untag_version(**key, key="k")
        services.untag_version(**key, key="k")

        assert events_of(version)[1:] == [
            "version.described", "version.tagged", "version.untagged",
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("verb", "more"),
        [
            ("update_version", {"description": "x"}),
            ("tag_version", {"key": "k", "value": "v"}),
            ("untag_version", {"key": "k"}),
            ("delete_version", {}),
        ],
    )
    def test_is_for_author_and_owner_of_what_is_there(self, author, version, verb, more):
        before = AuditEvent.objects.count()
        call = getattr(services, verb)

        with pytest.raises(Forbidden, match="registered by author"):
            call(version_id=version.public_id, actor=account(Role.RESEARCHER), at=AT, **more)
        with pytest.raises(NotFound):
            call(version_id=uuid4(), actor=author, at=AT, **more)
        assert AuditEvent.objects.count() == before

    def test_leaves_the_registrys_own_tags_alone(self, author, version):
        with pytest.raises(InvalidInput, match="the registry's own"):
            services.tag_version(
                version_id=version.public_id, key="registry.x", value="", actor=author, at=AT
            )


class TestDelete:
    def test_leaves_an_entry(self, author, version):
        services.delete_version(version_id=version.public_id, actor=author, at=AT, reason="typo")

        assert events_of(version)[-1] == "version.deleted"
        assert not ModelVersion.objects.exists()

    @pytest.mark.parametrize("kept", ["left", "held", "copied", "evidence"])
    def test_leaves_what_is_part_of_the_record(self, author, version, kept):
        rows = ModelVersion.objects.filter(pk=version.pk)
        {
            "left": lambda: rows.update(left_development_at=AT),
            "held": lambda: rows.update(is_held=True),
            "copied": lambda: register(author, "models:/alpha/1", allow_duplicate=True),
            "evidence": lambda: bring_evidence(version, "backtest"),
        }[kept]()

        with pytest.raises(Conflict, match="part of the record"):
            services.delete_version(version_id=version.public_id, actor=author, at=AT)

    @pytest.mark.parametrize("is_revived", [False, True])
    def test_leaves_what_was_revoked_from_development(self, author, version, is_revived):
        """Its author does not make a runaway undone that somebody stopped."""
        services.move_version(
            version_id=version.public_id, target=Stage.ARCHIVED, at=AT, reason="runaway",
            actor=account(Role.OPERATOR),
        )  # fmt: skip
        if is_revived:
            services.move_version(
                version_id=version.public_id, target=Stage.DEVELOPMENT, actor=author, at=AT,
                reason="mended",
            )  # fmt: skip

        with pytest.raises(Conflict, match="part of the record"):
            services.delete_version(version_id=version.public_id, actor=author, at=AT)
        with pytest.raises(Conflict, match="part of the record"):
            services.delete_model(name="alpha", actor=author, at=AT)

    def test_leaves_what_was_archived_before_that_was_marked(self, author, model, version):
        ModelVersion.objects.update(stage=Stage.ARCHIVED, left_development_at=None)

        with pytest.raises(Conflict, match="part of the record"):
            services.delete_version(version_id=version.public_id, actor=author, at=AT)
        with pytest.raises(Conflict, match="part of the record"):
            services.delete_model(name="alpha", actor=author, at=AT)


class TestHold:
    def test_is_put_on_and_taken_off_once(self, version):
        given = {"version_id": version.public_id, "actor": account(Role.VALIDATOR), "at": AT}

        for is_held in (True, False):
            services.hold_version(**given, is_held=is_held, reason="case 7")
            with pytest.raises(Conflict):
                services.hold_version(**given, is_held=is_held, reason="case 7")

        assert events_of(version)[1:] == ["version.held", "version.released"]

    def test_wants_a_reason_and_a_judge(self, author, version):
        given = {"version_id": version.public_id, "at": AT, "is_held": True}

        with pytest.raises(InvalidInput):
            services.hold_version(**given, actor=account(Role.VALIDATOR), reason=" ")
        with pytest.raises(Forbidden):
            services.hold_version(**given, actor=author, reason="x")


class TestWaiver:
    @pytest.fixture
    def pickled(self, author, model):
        return model_version(author, model=model, status=VersionStatus.QUARANTINED)

    def grant(self, version, actor, days=30, reason="a pilot"):
        return services.grant_waiver(
            version_id=version.public_id, expires_at=AT + timedelta(days=days), actor=actor, at=AT,
            reason=reason,
        )  # fmt: skip

    def test_is_granted_by_an_admin(self, pickled):
        self.grant(pickled, account(Role.ADMIN))

        assert events_of(pickled)[-1] == "waiver.granted"

    def test_does_not_reach_production(self, author, model):
        """What no door serves is nobody's champion: the one before stays it."""
        staged = model_version(
            author, model=model, stage=Stage.STAGING, status=VersionStatus.QUARANTINED
        )
        self.grant(staged, account(Role.ADMIN))
        bring_evidence(staged)
        attest_drill(staged, account(Role.VALIDATOR))

        with pytest.raises(GateNotMet, match=r"served to nobody.*convert it") as refusal:
            services.request_promotion(
                version_id=staged.public_id, target=Stage.PRODUCTION, at=AT, reason="go",
                actor=account(Role.OPERATOR),
            )  # fmt: skip
        assert [one.partition(":")[0] for one in refusal.value.extensions["failures"]] == [
            "gate artifact_scan"
        ]
        report = selectors.judge(staged, Stage.STAGING, at=AT).report
        assert not [one for one in report.failures if "artifact_scan" in one]

    @pytest.mark.parametrize("days", [-1, 0, 366])
    def test_ends_within_a_year(self, pickled, days):
        with pytest.raises(InvalidInput, match="within 365 days"):
            self.grant(pickled, account(Role.ADMIN), days=days)

    def test_is_never_for_ones_own(self, model):
        root = account(Role.ADMIN)
        own = model_version(root, model=registered_model(root), status=VersionStatus.QUARANTINED)

        with pytest.raises(Forbidden, match="of their own"):
            self.grant(own, root)
        with pytest.raises(IntegrityError, match="waiver_not_by_author"), transaction.atomic():
            Waiver.objects.create(
                version=own, author=root, granted_by=root, reason="x", granted_at=AT,
                expires_at=AT + timedelta(days=1),
            )  # fmt: skip

    def test_is_for_what_is_in_quarantine(self, version):
        with pytest.raises(Conflict, match="in quarantine"):
            self.grant(version, account(Role.ADMIN))

    def test_wants_a_reason_and_an_admin(self, pickled):
        with pytest.raises(InvalidInput):
            self.grant(pickled, account(Role.ADMIN), reason="")
        with pytest.raises(Forbidden):
            self.grant(pickled, account(Role.VALIDATOR))


class TestSignature:
    def register(self, model, author, signature):
        return services.register_version(
            name=model.name, source=hand_in(author), card=VersionCard(signature=signature),
            actor=author, at=AT,
        )  # fmt: skip

    def test_is_refused_where_it_is_none(self, model, author):
        with pytest.raises(InvalidInput, match="no list of objects"):
            self.register(model, author, {"inputs": "close"})

    def test_without_outputs_meets_no_gate(self, model, author):
        version = self.register(model, author, {"inputs": [{"name": "x"}], "outputs": []})

        assert not selectors.facts_of(version, at=AT).has_signature


class TestRevokeWaiver:
    @pytest.fixture
    def pickled(self, author, model):
        return model_version(author, model=model, status=VersionStatus.QUARANTINED)

    @pytest.fixture
    def waiver(self, pickled):
        return services.grant_waiver(
            version_id=pickled.public_id, expires_at=AT + timedelta(days=30), at=AT, reason="x",
            actor=account(Role.ADMIN),
        )  # fmt: skip

    def revoke(self, waiver, actor, reason="found something"):
        return services.revoke_waiver(
            version_id=waiver.version.public_id, waiver_id=waiver.public_id, actor=actor, at=AT,
            reason=reason,
        )  # fmt: skip

    def test_ends_it_at_once(self, pickled, waiver, author):
        root = account(Role.ADMIN)

        revoked = self.revoke(waiver, root)

        assert (revoked.revoked_by, revoked.revoked_at) == (root, AT)
        assert events_of(pickled)[-1] == "waiver.revoked"
        assert selectors.facts_of(pickled, at=AT).waived_until is None
        with pytest.raises(GateNotMet, match="without a waiver"):
            services.move_version(
                version_id=pickled.public_id, target=Stage.TESTING, actor=author, at=AT
            )

    def test_is_done_once_by_an_admin_with_a_reason(self, pickled, waiver):
        with pytest.raises(Forbidden):
            self.revoke(waiver, account(Role.VALIDATOR))
        with pytest.raises(InvalidInput):
            self.revoke(waiver, account(Role.ADMIN), reason=" ")
        self.revoke(waiver, account(Role.ADMIN))
        with pytest.raises(Conflict, match="already"):
            self.revoke(waiver, account(Role.ADMIN))
        with pytest.raises(NotFound):
            services.revoke_waiver(
                version_id=pickled.public_id, waiver_id=pickled.public_id, at=AT, reason="x",
                actor=account(Role.ADMIN),
            )  # fmt: skip


class TestTampering:
    def test_is_remembered(self, version):
        found = services.report_tampering(
            version_id=version.public_id, path="x", found="0" * 64, at=AT
        )

        assert found.compromised_at == AT
        assert events_of(version)[-1] == "version.compromised"

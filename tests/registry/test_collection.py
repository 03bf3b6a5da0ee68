"""Bytes that nobody registered go; what a version refers to stays, whatever happens in between."""

import json
import os
from datetime import timedelta
from importlib import import_module
from itertools import count
from threading import Thread

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backtests import services as backtesting
from backtests.jobs import referred_to
from crowetrade_site.core import storage
from crowetrade_site.core.errors import DomainError, Forbidden, InvalidInput
from crowetrade_site.core.models import AuditEvent
from crowetrade_site.core.roles import Role
from registry import jobs, selectors, services
from registry.lifecycle import VersionStatus
from registry.models import KeptObject, LooseObject, ModelVersion, StoredFile
from registry.services.versions import VersionCard
from tests.factories.accounts import account
from tests.factories.backtests import AT
from tests.factories.clients import client, problem
from tests.factories.registry import hand_in, model_version, registered_model
from tests.registry.api.bodies import send

pytestmark = pytest.mark.django_db
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
_runs = count(1)


@pytest.fixture
def author(db):
    return account(Role.RESEARCHER, "author")


def collect(at=None, **more):
    more = {"in_use": lambda digests: set()} | more
    return jobs.collect_files(at=at or timezone.now(), **more)


def age(spared=()):
    """Let all that is there become old; what is being stored at this moment is not."""
    StoredFile.objects.update(uploaded_at=F("uploaded_at") - 40 * DAY)
    LooseObject.objects.update(loose_since=F("loose_since") - 2 * HOUR)
    before = timezone.now().timestamp() - 7200
    for row in [*StoredFile.objects.all(), *LooseObject.objects.all()]:
        if row.sha256 not in spared and storage.exists(row.sha256):
            os.utime(storage.locate(row.sha256), (before, before))


class TestCollectFiles:
    def test_forgets_then_removes(self, author):
        hand_in(author, folder="desk/old", content=b"old")
        digest = StoredFile.objects.get().sha256
        age()

        assert collect().forgotten == ["desk/old/parameters.json"]
        assert storage.exists(digest)
        assert collect().removed == []
        age()
        os.utime(storage.locate(digest), (0, 0))
        found = collect()

        assert (found.removed, found.n_bytes) == ([digest], 3)
        assert not storage.exists(digest)
        verbs = AuditEvent.objects.filter(verb__startswith="registry.file").order_by("id")
        assert list(verbs.values_list("verb", flat=True)) == [
            "registry.file.stored", "registry.file.expired", "registry.file.collected"
        ]  # fmt: skip
        assert not LooseObject.objects.exists()

    def test_says_what_it_would_do_and_does_nothing(self, author):
        hand_in(author, folder="desk/old")
        age()
        n_events = AuditEvent.objects.count()

        assert collect(is_dry=True).forgotten == ["desk/old/parameters.json"]

        assert StoredFile.objects.count() == 1
        assert AuditEvent.objects.count() == n_events

    @pytest.mark.parametrize("is_deleted", [False, True])
    def test_leaves_what_was_registered(self, author, is_deleted):
        version = model_version(author)
        digest = version.manifest["files"][0]["sha256"]
        if is_deleted:
            services.delete_version(version_id=version.public_id, actor=author, at=AT)
        jobs.note_loose(digest, at=AT)

        collect()
        collect()

        assert storage.exists(digest)

    def test_leaves_what_a_held_version_names_even_without_its_row(self, author):
        version = model_version(author)
        services.hold_version(
            version_id=version.public_id, is_held=True, actor=account(Role.VALIDATOR), at=AT,
            reason="Inquiry.",
        )  # fmt: skip
        digest = version.manifest["files"][0]["sha256"]
        StoredFile.objects.all().delete()
        jobs.note_loose(digest, at=AT)

        collect()

        assert storage.exists(digest)

    def test_leaves_what_others_need(self):
        digest = storage.put(b"curve")
        jobs.note_loose(digest, at=AT)
        os.utime(storage.locate(digest), (0, 0))

        collect(in_use=lambda digests: {digest} & set(digests))

        assert storage.exists(digest)

    def test_leaves_what_was_stored_again(self):
        digest = storage.put(b"again")
        jobs.note_loose(digest, at=timezone.now() - 2 * HOUR)

        assert collect().n_kept == 1

        assert storage.exists(digest)
        assert LooseObject.objects.exists()

    def test_notes_bytes_that_were_refused_a_name(self, author):
        api = client(author)
        other = hand_in(account(Role.RESEARCHER, "other"), folder="desk/theirs")

        problem(send(api, "PUT", f"/api/v1/files/{other}/parameters.json/x", b"mine"), 409)

        assert LooseObject.objects.count() == 1

    def test_is_for_operators_with_a_reason(self, author):
        for actor, error, reason in (
            (author, Forbidden, "x"), (account(Role.OPERATOR), InvalidInput, " "),
        ):  # fmt: skip
            with pytest.raises(error):
                backtesting.collect_files(actor=actor, at=AT, reason=reason)

    def test_has_a_command(self, author, capsys):
        hand_in(author, folder="desk/old")
        age()
        account(Role.OPERATOR, "otto")

        call_command("collect_files", "--dry-run", "--actor", "otto")

        assert "desk/old/parameters.json" in capsys.readouterr().out


OPS = st.lists(
    st.tuples(
        st.sampled_from(["begin", "end", "register", "delete", "age", "collect"]),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    max_size=30,
)


class TestInterleaved:
    @settings(
        max_examples=40, deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )  # fmt: skip
    @given(OPS)
    def test_uploads_never_lose_what_has_a_name_and_leave_nothing_else(self, author, ops):
        run = next(_runs)
        model = registered_model(author, f"model-{run}-{os.getpid()}")
        contents = [f"{run}:{n}".encode() for n in range(3)]
        pending, seen = {}, set()
        for verb, place, content in [*ops, *(("end", n, 0) for n in range(3))]:
            path = f"run-{run}/{place}/file.json"
            try:
                if verb == "begin" and place not in pending:
                    pending[place] = contents[content], storage.put(contents[content])
                    seen.add(pending[place][1])
                elif verb == "end" and place in pending:
                    raw, digest = pending.pop(place)
                    self.name(path, raw, digest, author)
                elif verb == "register":
                    services.register_version(
                        name=model.name, source=f"run-{run}/{place}", card=VersionCard(),
                        actor=author, at=timezone.now(), allow_duplicate=True,
                    )  # fmt: skip
                elif verb == "delete":
                    newest = model.versions.order_by("-number").first()
                    if newest is not None:
                        services.delete_version(
                            version_id=newest.public_id, actor=author, at=timezone.now()
                        )
                elif verb == "age":
                    age(spared={digest for _, digest in pending.values()})
                elif verb == "collect":
                    collect(in_use=referred_to)
            except DomainError:
                pass
            self.check(model)
        for _ in range(3):
            age()
            collect(in_use=referred_to)
        self.check(model)
        named = set(StoredFile.objects.values_list("sha256", flat=True))
        assert {digest for digest in seen if storage.exists(digest)} <= named

    def name(self, path, raw, digest, author):
        try:
            services.store_file(
                path=path, sha256=digest, n_bytes=len(raw), actor=author, at=timezone.now()
            )
        except DomainError:
            services.release_object(sha256=digest, at=timezone.now())

    def check(self, model):
        for row in StoredFile.objects.all():
            assert storage.exists(row.sha256), row.path
        for version in ModelVersion.objects.filter(registered_model=model):
            for entry in version.manifest["files"]:
                assert storage.read(entry["sha256"])


class TestRefused:
    """Bytes of refused versions go by the rule; all that the trail speaks of stays."""

    @pytest.fixture(autouse=True)
    def _kept_for_ninety_days(self, settings):
        settings.REFUSED_KEEP_DAYS = 90

    def refused(self, author, content=b"\x80\x04bad", folder="", days=100):
        version = model_version(
            author, content=content, status=VersionStatus.REFUSED,
            model=registered_model(author),
        )  # fmt: skip
        ModelVersion.objects.filter(pk=version.pk).update(
            changed_at=timezone.now() - days * DAY,
            status_message="It is hostile.",
            findings=[{"code": "unsafe", "path": "", "text": "os.system"}],
        )
        version.refresh_from_db()
        return version

    def digest_of(self, version):
        return version.manifest["files"][0]["sha256"]

    def test_lose_their_bytes_and_keep_their_record(self, author):
        version = self.refused(author)
        digest = self.digest_of(version)

        first = collect()
        assert (first.discarded, first.removed) == ([str(version)], [])
        assert storage.exists(digest)
        assert collect().removed == []  # within the grace
        age()
        second = collect()

        assert (second.removed, second.discarded) == ([digest], [])
        assert not storage.exists(digest)
        before, version = version, selectors.get_version(version.public_id)
        assert version.files_discarded_at is not None
        assert (version.digest, version.manifest, version.findings) == (
            before.digest, before.manifest, before.findings
        )  # fmt: skip
        assert not StoredFile.objects.filter(sha256=digest).exists()
        event = AuditEvent.objects.get(verb="registry.version.discarded")
        told = json.loads(event.canonical)
        assert (event.actor, event.reason) == ("system", "refused, and untouched for 90 days")
        assert told["before"]["digest"] == version.digest
        assert told["before"]["status_message"] == "It is hostile."
        assert len(told["after"]["paths"]) == told["after"]["n_objects"] == 1
        assert AuditEvent.objects.filter(verb="registry.file.collected").count() == 1

    @pytest.mark.parametrize(
        "kept",
        [
            {"is_held": True}, {"left_development_at": AT}, {"compromised_at": AT},
            {"changed_at": AT + 10000 * DAY}, {"status": VersionStatus.QUARANTINED},
            {"status": VersionStatus.PENDING},
        ],
    )  # fmt: skip
    def test_stay_where_they_are_still_needed(self, author, kept):
        version = self.refused(author)
        ModelVersion.objects.filter(pk=version.pk).update(**kept)
        n_events = AuditEvent.objects.count()

        assert collect().discarded == []
        assert AuditEvent.objects.count() == n_events

    def test_stay_for_ever_where_the_deployment_says_so(self, author, settings):
        settings.REFUSED_KEEP_DAYS = 0
        self.refused(author, days=4000)

        assert collect().discarded == []

    def test_are_only_told_by_a_dry_pass(self, author):
        version = self.refused(author)

        assert collect(is_dry=True).discarded == [str(version)]
        version.refresh_from_db()
        assert version.files_discarded_at is None

    def test_stay_as_long_as_another_version_has_them(self, author):
        version = self.refused(author, content=b'{"a": 1}')
        live = model_version(author, content=b'{"a": 1}')

        collect()
        age()

        assert collect().removed == []
        assert storage.exists(self.digest_of(live))
        event = json.loads(AuditEvent.objects.get(verb="registry.version.discarded").canonical)
        assert event["after"] == {
            "files_discarded_at": event["after"]["files_discarded_at"], "n_objects": 0,
            "n_shared": 1, "paths": [],
        }  # fmt: skip
        assert StoredFile.objects.filter(sha256=self.digest_of(version)).count() == 2

    @pytest.mark.parametrize("way", ["registered", "copied"])
    def test_stay_after_a_twin_that_was_registered_again_is_deleted(self, author, way):
        twin, version = self.twins(author, way)
        services.delete_version(version_id=twin.public_id, actor=author, at=AT)
        ModelVersion.objects.filter(pk=version.pk).update(
            status=VersionStatus.REFUSED, changed_at=timezone.now() - 100 * DAY
        )

        assert collect().discarded == [str(version)]
        for _ in range(2):
            age()
            assert collect().removed == []

        assert storage.exists(self.digest_of(version))
        event = json.loads(AuditEvent.objects.get(verb="registry.version.discarded").canonical)
        assert (event["after"]["n_objects"], event["after"]["n_shared"]) == (0, 1)

    def twins(self, author, way):
        """Return a version of the same files as another, and that other."""
        version = model_version(author)
        model = version.registered_model
        copy = f"models:/{model.name}/{version.number}"
        twin = services.register_version(
            name=registered_model(author).name, card=VersionCard(), actor=author, at=AT,
            source=version.source if way == "registered" else copy,
        )  # fmt: skip
        return twin, version

    def test_of_a_deleted_version_that_was_discarded_are_not_kept(self, author):
        version = self.refused(author)
        digest = self.digest_of(version)
        collect()

        services.delete_version(version_id=version.public_id, actor=author, at=AT)
        age()

        assert collect().removed == [digest]

    def test_that_were_deleted_before_the_upgrade_are_kept_by_their_twin(self, author):
        twin, version = self.twins(author, "registered")
        services.delete_version(version_id=twin.public_id, actor=author, at=AT)
        KeptObject.objects.all().delete()

        import_module("registry.migrations.0018_kept_objects").keep_what_was_deleted(apps, None)

        assert list(KeptObject.objects.values_list("sha256", flat=True)) == [
            self.digest_of(version)
        ]

    def test_of_many_are_given_up_by_one_look_at_the_manifests(self, author):
        first = [self.refused(author) for _ in range(2)]
        shared = (
            self.refused(author, content=b"\x80\x04same"),
            self.refused(author, content=b"\x80\x04same"),
        )

        with CaptureQueriesContext(connection) as queries:
            discarded = collect().discarded

        assert set(discarded) == {str(version) for version in (*first, *shared)}
        looks = [q for q in queries if "jsonb_array_elements" in q["sql"]]
        assert len(looks) == 1
        assert not StoredFile.objects.exists()

    def test_stay_once_somebody_holds_them_within_the_grace(self, author):
        version, judge = self.refused(author), account(Role.VALIDATOR)
        collect()
        age()

        held = services.hold_version(
            version_id=version.public_id, is_held=True, actor=judge, at=timezone.now(),
            reason="An inquiry.",
        )  # fmt: skip

        assert held.files_discarded_at is None
        assert collect().removed == []
        assert storage.exists(self.digest_of(version))
        assert selectors.may_inspect(held, judge)
        told = json.loads(AuditEvent.objects.get(verb="registry.version.held").canonical)
        assert told["after"] == {"is_held": True, "files_not_there": []}
        services.hold_version(
            version_id=version.public_id, is_held=False, actor=judge, at=timezone.now(),
            reason="It is over.",
        )  # fmt: skip
        age()
        assert collect().discarded == []  # its time begins anew

    def test_that_went_before_the_hold_are_told(self, author):
        version = self.refused(author)
        collect()
        age()
        collect()

        services.hold_version(
            version_id=version.public_id, is_held=True, actor=account(Role.VALIDATOR),
            at=timezone.now(), reason="An inquiry.",
        )  # fmt: skip

        told = json.loads(AuditEvent.objects.get(verb="registry.version.held").canonical)
        assert "not in the artefact store" in told["after"]["files_not_there"][0]

    def test_are_looked_at_by_nobody_once_they_are_discarded(self, author):
        version, judge = self.refused(author), account(Role.VALIDATOR)
        assert selectors.may_inspect(version, judge)
        collect()
        version.refresh_from_db()

        assert not selectors.may_inspect(version, judge)
        refusal = selectors.refusal_to_serve(version, {Role.ADMIN})
        assert "its files were discarded on" in refusal.detail
        body = client(judge).get(f"/api/v1/versions/{version.public_id}/").json()
        assert body["files_discarded_at"] is not None

    def test_are_handed_in_again_as_if_they_had_never_been(self, author):
        version = self.refused(author)
        collect()
        age()
        collect()

        again = services.register_version(
            name=version.registered_model.name, card=VersionCard(), actor=author, at=AT,
            source=hand_in(author, content=b"\x80\x04bad", folder=version.source),
        )  # fmt: skip

        assert again.digest == version.digest
        assert storage.exists(self.digest_of(again))

    def test_of_a_version_that_is_held_are_kept_by_the_database_too(self, author):
        version = self.refused(author)
        rows = ModelVersion.objects.filter(pk=version.pk)

        with pytest.raises(IntegrityError, match="version_discarded_is_refused"):
            rows.update(files_discarded_at=AT, is_held=True)


class TestRace:
    @pytest.mark.django_db(transaction=True)
    def test_of_a_hold_and_the_removal_is_won_by_one_of_them(self, author, settings, monkeypatch):
        settings.REFUSED_KEEP_DAYS = 90
        version = TestRefused().refused(author)
        judge, digest = account(Role.VALIDATOR), TestRefused().digest_of(version)
        collect()
        age()
        holds: list[Thread] = []

        def hold():
            services.hold_version(
                version_id=version.public_id, is_held=True, actor=judge, at=timezone.now(),
                reason="An inquiry.",
            )  # fmt: skip
            connection.close()

        def in_use(digests):  # the pass has looked who refers to what, and has removed nothing
            holds.append(Thread(target=hold))
            holds[0].start()
            holds[0].join()
            return set()

        assert collect(in_use=in_use).removed == []
        assert storage.exists(digest)

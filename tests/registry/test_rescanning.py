"""Versions that earlier rules admitted are looked at again by those of today."""

import json
from functools import partial
from io import StringIO

import pytest
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from crowetrade_site.core import doctor
from crowetrade_site.core.models import AuditEvent
from registry import jobs, selectors
from registry.artifacts import sandbox
from registry.artifacts.locks import SandboxLimits
from registry.artifacts.revision import scanner_revision
from registry.jobs import admission
from registry.lifecycle import Stage, VersionStatus
from registry.models import ModelVersion
from tests.factories.accounts import account
from tests.factories.registry import events_of, model_version
from tests.registry.admin.browser import login, shown
from tests.registry.artifacts.hostile import endless_onnx, harmless_skops
from tests.registry.test_integrity import file_of

pytestmark = pytest.mark.django_db(transaction=True)
BAD = b"no model at all"
needs_sandbox = pytest.mark.skipif(
    not sandbox.is_available().is_available,
    reason=sandbox.is_available().reason or "the sandbox is there",
)


@pytest.fixture
def author():
    return account("researcher", "author")


def rescan(**more):
    return jobs.rescan_versions(**more)


def doctored():
    (found,) = [one for one in doctor.examine() if one.name == "scans of versions"]
    return found


def overview(viewer):
    return login(viewer).get(reverse("admin:index")).content.decode()


def _breaks(_):
    raise RuntimeError


class TestRescanVersions:
    def test_passes_what_is_sound_once(self, author):
        version = model_version(author)

        first, second = rescan(), rescan()

        version.refresh_from_db()
        assert (first.n_versions, first.n_passed, second.n_versions) == (1, 1, 0)
        assert (version.status, version.scanned_by) == (VersionStatus.READY, scanner_revision())

    @pytest.mark.parametrize("stage", [Stage.DEVELOPMENT, Stage.STAGING, Stage.ARCHIVED])
    def test_refuses_what_the_rules_of_today_refuse(self, author, stage):
        version = model_version(author, content=BAD, stage=stage)

        found = rescan()

        version.refresh_from_db()
        assert len(found.failed) == 1
        assert version.status == VersionStatus.REFUSED
        assert version.findings
        event = AuditEvent.objects.filter(verb="registry.version.refused").get()
        told = json.loads(event.canonical)
        assert told["before"] == {"status": "ready", "scanned_by": ""}
        assert told["after"]["scanned_by"] == scanner_revision()

    def test_marks_what_is_in_production_and_lets_it_go_nowhere(self, author):
        version = model_version(author, content=BAD, stage=Stage.PRODUCTION)

        found = rescan()

        version = selectors.get_version(version.public_id)
        assert len(found.in_production) == 1
        assert (version.status, version.stage) == (VersionStatus.READY, Stage.PRODUCTION)
        assert version.rescan_failed_at is not None
        assert events_of(version)[-1] == "version.rescan_failed"
        assert "Fails newer rules" in shown(login(author), version)
        assert any(
            "artifact_scan" in one and "it failed newer rules" in one
            for one in selectors.standing_against(version, at=timezone.now())
        )
        ModelVersion.objects.filter(pk=version.pk).update(stage=Stage.DEVELOPMENT)
        version = selectors.get_version(version.public_id)
        report = selectors.judge(version, Stage.TESTING, at=timezone.now()).report
        assert any("it failed newer rules" in failure for failure in report.failures)

    def test_takes_the_mark_back_once_a_later_look_finds_nothing(self, author):
        version = model_version(author, stage=Stage.PRODUCTION)
        ModelVersion.objects.filter(pk=version.pk).update(
            rescan_failed_at=timezone.now(), rescan_findings=[{"text": "x"}], scanned_by="old"
        )

        rescan()

        version.refresh_from_db()
        assert (version.rescan_failed_at, version.rescan_findings) == (None, [])
        assert events_of(version)[-1] == "version.rescanned"

    def test_says_what_it_would_do_and_does_nothing(self, author):
        version = model_version(author, content=BAD)
        n_before = AuditEvent.objects.count()

        found = rescan(is_dry=True)

        version.refresh_from_db()
        assert len(found.failed) == 1
        assert (version.status, version.scanned_by) == (VersionStatus.READY, "")
        assert AuditEvent.objects.count() == n_before

    def test_goes_on_where_it_was_broken_off(self, author):
        for _ in range(3):
            model_version(author)

        def stop(_):
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            rescan(tell=stop)

        assert rescan().n_versions == 2

    def test_leaves_to_the_next_pass_what_it_cannot_read(self, author):
        version = model_version(author)
        file_of(version).unlink()

        found = rescan()

        version.refresh_from_db()
        assert len(found.not_scanned) == 1
        assert (version.status, version.scanned_by) == (VersionStatus.READY, "")

    @needs_sandbox
    @pytest.mark.parametrize("stage", [Stage.DEVELOPMENT, Stage.PRODUCTION])
    def test_leaves_to_the_next_pass_what_was_out_of_time(self, author, monkeypatch, stage):
        version = model_version(author, content=harmless_skops(), stage=stage)
        n_events = len(events_of(version))
        with monkeypatch.context() as busy:
            busy.setattr(sandbox, "SandboxLimits", partial(SandboxLimits, wall_seconds=0))
            found = rescan()

        version.refresh_from_db()
        assert "did not end within 0 seconds, nor another" in found.not_scanned[0]
        assert (version.status, version.scanned_by) == (VersionStatus.READY, "")
        assert (version.rescan_failed_at, len(events_of(version))) == (None, n_events)
        assert rescan().n_passed == 1

    @needs_sandbox
    def test_refuses_what_computes_without_end(self, author, monkeypatch):
        version = model_version(author, content=endless_onnx())
        monkeypatch.setattr(sandbox, "SandboxLimits", partial(SandboxLimits, cpu_seconds=2))

        found = rescan()

        version.refresh_from_db()
        assert (version.status, len(found.failed)) == (VersionStatus.REFUSED, 1)
        assert "It does not open in the sandbox" in version.status_message

    def test_goes_past_what_breaks_the_scanner_itself(self, author):
        model_version(author)
        bad = model_version(author, content=BAD)
        readers = list(admission._readers)
        jobs.read_parameters_with(_breaks)
        try:
            found = rescan()
        finally:
            admission._readers[:] = readers

        bad.refresh_from_db()
        assert len(found.not_scanned) == 1
        assert bad.status == VersionStatus.REFUSED

    def test_looks_at_a_marked_one_in_every_pass_and_refuses_it_once_it_has_left(self, author):
        version = model_version(author, content=BAD, stage=Stage.PRODUCTION)
        rescan()
        n_events = len(events_of(version))

        assert len(rescan().in_production) == 1
        assert len(events_of(version)) == n_events  # nothing new

        ModelVersion.objects.filter(pk=version.pk).update(stage=Stage.ARCHIVED)
        rescan()
        version.refresh_from_db()
        assert version.status == VersionStatus.REFUSED

    def test_says_when_it_was_found_and_not_when_the_pass_began(self, author):
        _, second = [model_version(author, content=BAD, stage=Stage.PRODUCTION) for _ in range(2)]
        told = []

        rescan(tell=lambda _: told.append(timezone.now()))

        second.refresh_from_db()
        event = AuditEvent.objects.filter(verb="registry.version.rescan_failed").latest("id")
        assert event.at == second.rescan_failed_at
        assert event.at > told[0]

    def test_keeps_which_types_a_version_stands_on_by_the_rules_of_today(self, author):
        version = model_version(author)
        ModelVersion.objects.filter(pk=version.pk).update(trusted_types=["scipy.old.Type"])

        rescan()

        version.refresh_from_db()
        assert version.trusted_types == []

    def test_is_a_command_with_progress(self, author):
        version, out = model_version(author, content=BAD), StringIO()

        with pytest.raises(SystemExit):
            call_command("rescan_models", "--dry-run", stdout=out)

        assert f"1 of 1: {version} refused" in out.getvalue()
        assert f"WOULD FAIL: {version}" in out.getvalue()

    def test_is_what_the_doctor_and_the_overview_ask_for(self, author):
        model_version(author, status=VersionStatus.PENDING)
        model_version(author, content=BAD, stage=Stage.PRODUCTION)
        model_version(author)

        assert doctored().state is doctor.State.WARNING
        assert doctored().detail == "2 ready versions were admitted by earlier rules"
        assert "rescan_models" in doctored().cure
        assert "2 ready versions</strong> were admitted by earlier rules" in overview(author)

        rescan()

        assert doctored().state is doctor.State.OK  # what is marked has an alarm of its own
        assert "admitted by earlier rules" not in overview(author)

    def test_admission_says_by_which_rules(self, author):
        version = model_version(author, status=VersionStatus.PENDING)

        jobs.admit_version(version_id=version.public_id)

        version.refresh_from_db()
        assert version.scanned_by == scanner_revision()

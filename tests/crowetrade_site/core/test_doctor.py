import json
from datetime import timedelta

import pytest
from django.core.management import ManagementUtility
from django.db import OperationalError, connection
from django.utils import timezone

from crowetrade_site.core import doctor
from crowetrade_site.core.doctor import Diagnosis, State
from tests.crowetrade_site.core.trail import note, sealed

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_workers(monkeypatch):
    """Do not wait for workers that are not there."""
    monkeypatch.setattr(doctor.current_app.control, "ping", lambda **_: [])


def found(name: str) -> Diagnosis:
    (diagnosis,) = [each for each in doctor.examine() if each.name == name]
    return diagnosis


class TestExamine:
    def test_finds_nothing_broken_in_a_sound_installation(self):
        failed = [diagnosis for diagnosis in doctor.examine() if diagnosis.state is State.FAILED]

        assert not failed

    def test_gives_a_cure_with_every_trouble(self):
        for diagnosis in doctor.examine():
            assert bool(diagnosis.cure) is (diagnosis.state is not State.OK), diagnosis

    def test_takes_a_check_that_breaks_for_a_finding(self, monkeypatch):
        def broken_check():
            raise OperationalError("connection refused\nby the server")
            yield

        monkeypatch.setattr(doctor, "_checks", [broken_check])

        assert list(doctor.examine()) == [
            Diagnosis(
                "broken check",
                State.FAILED,
                "connection refused by the server",
                "mend the above first",
            )
        ]


class TestAuditTrail:
    def test_counts_the_triggers(self):
        assert found("audit triggers").state is State.OK

        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE core_auditevent DISABLE TRIGGER audit_rows")
        assert found("audit triggers").state is State.FAILED
        assert found("audit triggers").detail == "6 of 7 always on"

    def test_does_not_call_fresh_entries_late(self):
        sealed()
        note(at=timezone.now())

        assert found("seals").state is State.OK

    def test_calls_old_entries_late(self):
        note(at=timezone.now() - timedelta(minutes=2))

        assert found("seals").state is State.WARNING
        assert "1 entries wait, no seal yet" in found("seals").detail


class TestCommand:
    def run(self, capsys, *arguments: str) -> tuple[int, str]:
        code = 0
        try:
            ManagementUtility(["manage.py", "doctor", *arguments]).execute()
        except SystemExit as end:
            code = end.code
        return code, capsys.readouterr().out

    @pytest.fixture(autouse=True)
    def _keep_the_connection(self, monkeypatch):
        monkeypatch.setattr("django.db.connections.close_all", lambda: None)

    def test_says_that_all_is_well(self, capsys):
        code, out = self.run(capsys)

        assert code == 0
        assert "✓ PostgreSQL" in out
        assert "All is well." in out

    def test_ends_with_1_when_something_failed(self, capsys, settings):
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE core_auditseal DISABLE TRIGGER audit_table")

        code, out = self.run(capsys, "--json")

        document = json.loads(out)
        assert code == 1
        assert document["healthy"] is False
        assert {"audit triggers"} == {
            check["name"] for check in document["checks"] if check["state"] == "failed"
        }

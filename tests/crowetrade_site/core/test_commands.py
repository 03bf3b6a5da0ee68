"""The commands as a person and as a script meet them: output, exit code, one line."""

import json

import pytest
from django.core.management import ManagementUtility
from django.db import OperationalError, connections

from crowetrade_site.core import commands, seals, tokens
from crowetrade_site.core.models import ApiToken, AuditEvent, AuditSeal
from tests.crowetrade_site.core.trail import NOON, note, sealed, tamper

pytestmark = pytest.mark.django_db


@pytest.fixture
def manage(capsys, monkeypatch):
    """Run a command as the shell would; return exit code, output and errors."""
    monkeypatch.setattr(connections, "close_all", lambda: None)  # the test's is needed on

    def run(*arguments: str) -> tuple[int, str, str]:
        code = 0
        try:
            ManagementUtility(["manage.py", *arguments]).execute()
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return code, captured.out.strip(), captured.err.strip()

    return run


class TestCreateUser:
    def test_names_the_roles_that_there_are(self, manage):
        code, _, err = manage("create_user", "bea", "--role", "quant")

        assert code != 0
        assert "researcher" in err.splitlines()[-1]
        assert "Role." not in err


class TestVerifyAudit:
    def test_says_that_the_trail_holds(self, manage):
        sealed(3)
        note()

        code, out, _ = manage("verify_audit")

        assert code == 0
        assert "4 entries, 3 of them in 1 seals; 1 published checkpoints." in out
        assert out.endswith("The trail holds.")

    def test_names_what_is_broken(self, manage):
        sealed(3)
        event = AuditEvent.objects.first()
        tamper("UPDATE core_auditevent SET actor = 'x' WHERE id = %s", event.pk)

        code, out, _ = manage("verify_audit")

        assert code == 1
        assert f"BROKEN: entry {event.pk}: column actor differs from its content" in out

    @pytest.mark.parametrize(("is_broken", "expected"), [(False, 0), (True, 1)])
    def test_speaks_json(self, manage, is_broken, expected):
        sealed(3)
        if is_broken:
            tamper("UPDATE core_auditseal SET count = 9")

        code, out, _ = manage("verify_audit", "--json")

        assert code == expected
        assert json.loads(out) == {
            "broken": "seal 1: its columns differ from its statement" if is_broken else "",
            "checkpoints": 1,
            "entries": 3,
            "holds": not is_broken,
            "sealed": 3,
            "seals": 1,
        }


class TestSealAudit:
    def test_seals_what_waits(self, manage):
        note(3)

        assert manage("seal_audit")[:2] == (
            0,
            "3 entries are sealed now; the last seal is number 1.",
        )
        assert manage("seal_audit")[:2] == (0, "Nothing waits.")

    def test_goes_on_until_nothing_waits(self, manage, monkeypatch):
        monkeypatch.setattr(seals, "LIMIT", 4)
        note(10)

        _, out, _ = manage("seal_audit", "--json", "--full")

        assert json.loads(out) == {"seal": 3, "count": 10}
        assert AuditSeal.objects.count() == 3

    def test_says_in_json_that_nothing_waits(self, manage):
        assert json.loads(manage("seal_audit", "--json")[1]) == {"seal": None, "count": 0}


class TestExportAudit:
    def test_says_what_is_in_the_folder(self, manage, tmp_path):
        sealed(3)
        note()

        code, out, _ = manage("export_audit", "--out", str(tmp_path / "x"), "--reason", "yearly")

        assert code == 0
        assert f"3 entries in 1 seals, 1 published checkpoints: {tmp_path / 'x'}" in out
        assert "2 entries that no seal holds yet are left out." in out  # and the account's own
        assert out.endswith(f"The export holds; verify it: python3 -I {tmp_path}/x/verify_trail.py")
        event = AuditEvent.objects.get(verb="core.trail.exported")
        assert event.actor == "console"
        assert event.reason.startswith("yearly (by ")

    def test_names_what_is_broken(self, manage, tmp_path):
        sealed(3)
        event = AuditEvent.objects.first()
        tamper("UPDATE core_auditevent SET canonical = '{}' WHERE id = %s", event.pk)

        code, out, _ = manage("export_audit", "--out", str(tmp_path / "x"))

        assert code == 1
        assert out.endswith(f"BROKEN: entry {event.pk}: its content differs from its leaf hash")
        assert (tmp_path / "x" / "entries.jsonl").exists()

    def test_speaks_json(self, manage, tmp_path, make_user):
        make_user("auditor")
        (seal,) = sealed(3)

        code, out, _ = manage(
            "export_audit", "--json", "--out", str(tmp_path / "x"), "--actor", "auditor"
        )

        assert code == 0
        assert json.loads(out) == {
            "broken": "", "checkpoints": 1, "entries": 3, "folder": str(tmp_path / "x"),
            "holds": True, "last_digest": bytes(seal.digest).hex(), "seals": 1, "unsealed": 0,
        }  # fmt: skip

    def test_refuses_a_folder_that_is_not_empty(self, manage, tmp_path):
        code, out, err = manage("export_audit", "--out", str(tmp_path))

        assert (code, out) == (2, "")
        assert err.endswith(f"{tmp_path} is there already and is no empty folder.")


class TestCreateToken:
    def test_prints_a_token_that_works(self, manage, researcher):
        code, out, _ = manage("create_token", "researcher", "--scope", "runs:read", "--days", "7")

        token = ApiToken.objects.get()
        assert code == 0
        assert tokens.find(out, at=NOON) == token
        assert token.scopes == ["runs:read"]
        assert token.expires_at
        assert AuditEvent.objects.get(verb="core.token.issued").actor == "console"

    def test_gives_all_the_roles_give_and_no_end_by_default(self, manage, researcher):
        _, out, _ = manage("create_token", "researcher", "--json")

        document = json.loads(out)
        token = ApiToken.objects.get()
        assert document["scopes"] == token.scopes
        assert "runs:write" in token.scopes
        assert token.expires_at is None

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["nobody"], "no active user 'nobody'"),
            (["researcher", "--scope", "runs:reed"], "Unknown scope 'runs:reed'"),
            (["researcher", "--scope", "users:write"], "roles do not give"),
            (["researcher", "--days", "0"], "in the past"),
            (["researcher", "--days", "-1"], "in the past"),
            (["researcher", "--days", "999999999"], "beyond the calendar"),
            (["researcher", "--days", "99999999999999"], "beyond the calendar"),
            (["researcher", "--name", "x" * 101], "1 to 100 printable"),
            (["researcher", "--actor", "nobody"], "no active user 'nobody'"),
        ],
    )
    def test_refuses_in_one_line_with_exit_code_2(self, manage, researcher, arguments, words):
        code, out, err = manage("create_token", *arguments)

        assert (code, out) == (2, "")
        assert words in err
        assert "\n" not in err
        assert not ApiToken.objects.exists()

        code, out, err = manage("create_token", *arguments, "--json")

        problem = json.loads(out)
        assert (code, err) == (2, "")
        assert words in problem["detail"]
        assert problem["type"].startswith("urn:crowetrade:problem:")
        assert problem["status"] in {404, 422}

    def test_acts_as_somebody_with_their_rights(self, manage, researcher, make_user):
        make_user("operator")

        code, _, err = manage("create_token", "researcher", "--actor", "operator")

        assert code == 2
        assert "users:write" in err


class TestDomainCommand:
    @pytest.mark.parametrize("name", ["verify_audit", "seal_audit", "create_token"])
    def test_says_in_one_line_that_the_database_is_away(self, manage, monkeypatch, name):
        def away(*_: object) -> None:
            raise OperationalError("connection refused\nIs the server running?")

        monkeypatch.setattr(commands, "MigrationExecutor", away)

        code, _, err = manage(name, *(["ada"] if name == "create_token" else []))

        assert code == 2
        assert err.endswith("The database does not answer: connection refused")

    def test_says_in_one_line_that_migrations_wait(self, manage, monkeypatch, settings):
        settings.EMBEDDED_POSTGRES = False
        monkeypatch.setattr(
            commands.MigrationExecutor, "migration_plan", lambda *_: ["one", "another"]
        )

        code, _, err = manage("verify_audit")

        assert code == 2
        assert err.endswith("2 migrations wait; run: manage.py migrate")

    def test_works_under_a_request_id_of_its_own(self, manage, researcher):
        for _ in range(2):
            manage("create_token", "researcher")

        issued = AuditEvent.objects.filter(verb="core.token.issued")
        ids = set(issued.values_list("request_id", flat=True))
        assert len(ids) == 2
        assert "" not in ids

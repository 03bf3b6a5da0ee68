"""Accounts made and mended on the command line, each change on the record."""

import json

import pytest
from django.contrib.auth.models import User
from django.core.management import ManagementUtility

from crowetrade_site.core import roles, services
from crowetrade_site.core.errors import Conflict, Forbidden, InvalidInput
from crowetrade_site.core.models import AuditEvent
from tests.crowetrade_site.core.trail import NOON

pytestmark = pytest.mark.django_db
PASSWORD = "a long enough phrase 7"


def create(actor, **changes):
    wanted = {
        "username": "ada",
        "email": "ada@example.org",
        "roles_given": [roles.Role.AUDITOR, roles.Role.VALIDATOR],
        "password": PASSWORD,
        "reason": "joined",
    }
    return services.create_user(actor=actor, at=NOON, **(wanted | changes))


class TestCreateUser:
    def test_makes_an_account_that_may_log_in_and_tells_it_once(self, make_user, client):
        user = create(make_user("admin"))

        assert roles.roles_of(user) == {roles.Role.AUDITOR, roles.Role.VALIDATOR}
        assert (user.is_staff, user.is_superuser) == (True, False)
        assert client.login(username="ada", password=PASSWORD)
        event = AuditEvent.objects.get()
        assert (event.verb, event.actor, event.reason) == ("core.user.created", "admin", "joined")
        assert json.loads(event.canonical)["after"] == {
            "username": "ada",
            "roles": ["auditor", "validator"],
        }
        assert PASSWORD not in event.canonical

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"username": ""}, "blank"),
            ({"username": "a b"}, "valid username"),
            ({"username": "x" * 151}, "150 characters"),
            ({"email": "nowhere"}, "valid email"),
            ({"password": "12345"}, "too short"),
            ({"password": "ada"}, "too short"),
        ],
    )
    def test_refuses_and_writes_nothing(self, make_user, changes, words):
        with pytest.raises(InvalidInput, match=words):
            create(make_user("admin"), **changes)

        assert not User.objects.filter(username="ada").exists()
        assert not AuditEvent.objects.exists()

    def test_refuses_a_taken_name(self, make_user):
        admin = make_user("admin")
        create(admin)

        with pytest.raises(Conflict, match="a user 'ada' already"):
            create(admin)
        assert AuditEvent.objects.count() == 1

    def test_is_an_admin_s(self, make_user):
        with pytest.raises(Forbidden, match="users:write"):
            create(make_user("operator"))


class TestSetPassword:
    def change(self, user, actor, password=PASSWORD):
        services.set_password(user=user, password=password, actor=actor, at=NOON, reason="lost")

    def test_is_told_once_without_the_password(self, researcher, make_user):
        self.change(researcher, make_user("admin"))

        researcher.refresh_from_db()
        assert researcher.check_password(PASSWORD)
        event = AuditEvent.objects.get()
        assert (event.verb, event.actor) == ("core.user.password_set", "admin")
        assert PASSWORD not in event.canonical

    def test_may_be_one_s_own(self, researcher):
        self.change(researcher, researcher)

        assert AuditEvent.objects.get().actor == "researcher"

    def test_is_else_an_admin_s(self, researcher, make_user):
        with pytest.raises(Forbidden, match="users:write"):
            self.change(researcher, make_user("operator"))

    def test_refuses_a_weak_one(self, researcher):
        with pytest.raises(InvalidInput, match="too short"):
            self.change(researcher, researcher, "abc")

    def test_is_never_the_console_s(self, make_user):
        console = services.console_user()

        for actor in (console, make_user()):
            with pytest.raises(Forbidden, match="nobody may log in as it"):
                self.change(console, actor)
        assert not console.has_usable_password()

    def test_ends_the_sessions_there_are(self, researcher, client):
        client.force_login(researcher)
        assert client.get("/api/v1/tokens/").status_code == 200

        self.change(researcher, researcher)

        assert client.get("/api/v1/tokens/").status_code == 401


def manage(*arguments: str) -> int:
    """Run a command as the shell would, and return its exit code."""
    try:
        ManagementUtility(["manage.py", *arguments]).execute()
    except SystemExit as end:
        return int(end.code)
    return 0


class TestCommands:
    @pytest.fixture(autouse=True)
    def _keep_the_connection(self, monkeypatch):
        monkeypatch.setattr("django.db.connections.close_all", lambda: None)

    def test_create_a_user_and_change_its_password(self, capsys, client):
        assert manage("create_user", "ada", "--role", "validator", "--json") == 0
        first = json.loads(capsys.readouterr().out)
        assert client.login(username="ada", password=first["password"])

        assert manage("changepassword", "ada", "--json") == 0
        second = json.loads(capsys.readouterr().out)
        assert not client.login(username="ada", password=first["password"])
        assert client.login(username="ada", password=second["password"])
        told = AuditEvent.objects.exclude(object_id="").order_by("pk").values_list("verb", "actor")
        assert list(told)[1:] == [
            ("core.user.created", "console"),
            ("core.user.password_set", "console"),
        ]

    def test_refuse_in_one_line(self, capsys):
        assert manage("changepassword", "nobody") == 2
        assert manage("create_user", "a b", "--role", "validator") == 2

        errors = capsys.readouterr().err.strip().splitlines()
        assert len(errors) == 2

    def test_make_no_superuser_off_the_record(self, capsys):
        assert manage("createsuperuser", "--noinput", "--username", "root") == 2

        assert "create_user NAME --role admin" in capsys.readouterr().err
        assert not User.objects.filter(username="root").exists()

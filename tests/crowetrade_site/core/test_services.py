import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth.models import User

from crowetrade_site.core import roles, services
from crowetrade_site.core.errors import Forbidden, InvalidInput, NotFound
from crowetrade_site.core.models import ApiToken, AuditEvent
from tests.crowetrade_site.core.trail import NOON


def told() -> list[tuple[str, str]]:
    """Return what the trail says, oldest first."""
    return list(AuditEvent.objects.order_by("pk").values_list("verb", "actor"))


def issue(user, **changes):
    wanted = {"name": "notebook", "scopes": ["runs:read"], "actor": user, "at": NOON}
    return services.issue_token(user=user, **(wanted | changes))


class TestIssueToken:
    def test_writes_one_entry_that_says_what_it_can_do(self, researcher):
        end = NOON + timedelta(days=1)
        token, plain = issue(researcher, scopes=["runs:write", "runs:read"], expires_at=end)

        assert told() == [("core.token.issued", "researcher")]
        event = AuditEvent.objects.get()
        assert event.object_id == str(token.public_id)
        assert json.loads(event.canonical)["after"] == {
            "user": "researcher",
            "name": "notebook",
            "scopes": ["runs:read", "runs:write"],
            "expires_at": "2026-01-06T12:00:00.000000Z",
            "parent": None,
        }
        assert plain.startswith("ct_")

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"scopes": []}, "at least one scope"),
            ({"scopes": ["runs:reed"]}, "Unknown scope 'runs:reed'; known are audit:read"),
            ({"scopes": ["audit:read"]}, "roles do not give 'audit:read'"),
            ({"scopes": ["users:write", "runs:read"]}, "roles do not give 'users:write'"),
            ({"expires_at": NOON}, "lies in the past"),
            ({"expires_at": NOON - timedelta(days=1)}, "lies in the past"),
            ({"name": ""}, "1 to 100 printable"),
            ({"name": "   "}, "1 to 100 printable"),
            ({"name": "x" * 101}, "1 to 100 printable"),
            ({"name": "a\0b"}, "1 to 100 printable"),
        ],
    )
    def test_refuses_and_writes_nothing(self, researcher, changes, words):
        with pytest.raises(InvalidInput, match=words):
            issue(researcher, **changes)

        assert not ApiToken.objects.exists()
        assert not told()

    def test_for_somebody_else_is_an_admin_s(self, researcher, make_user):
        operator = make_user("operator")
        with pytest.raises(Forbidden, match="users:write"):
            issue(researcher, actor=operator)

        token, _ = issue(researcher, actor=make_user("admin"))

        assert token.user == researcher
        assert told() == [("core.token.issued", "admin")]

    def test_for_an_inactive_user_is_refused(self, researcher, make_user):
        researcher.is_active = False

        with pytest.raises(InvalidInput, match="do not give"):
            issue(researcher, actor=make_user())

    def test_by_a_token_never_makes_a_stronger_one(self, researcher):
        parent, _ = issue(researcher, scopes=["tokens:write", "runs:read"])

        with pytest.raises(InvalidInput, match="lacks 'runs:write' itself"):
            issue(researcher, scopes=["runs:write"], parent=parent)
        child, _ = issue(researcher, scopes=["runs:read"], parent=parent)

        assert child.scopes == ["runs:read"]

    @pytest.mark.parametrize("days", [None, 3])
    def test_by_a_token_never_makes_a_longer_lived_one(self, researcher, days):
        end = NOON + timedelta(days=2)
        parent, _ = issue(researcher, scopes=["tokens:write"], expires_at=end)
        asked = NOON + timedelta(days=days) if days else None

        with pytest.raises(InvalidInput, match=r"may not outlive .* 2026-01-07T12:00:00\.000000Z"):
            issue(researcher, scopes=["tokens:write"], parent=parent, expires_at=asked)
        child, _ = issue(researcher, scopes=["tokens:write"], parent=parent, expires_at=end)

        assert json.loads(AuditEvent.objects.last().canonical)["after"]["parent"] == parent.prefix
        assert child.expires_at == end


class TestRevokeToken:
    def test_happens_once(self, researcher):
        token, _ = issue(researcher)

        for hour in range(3):
            at = NOON + timedelta(hours=hour)
            services.revoke_token(token_id=token.public_id, actor=researcher, at=at, reason="lost")

        token.refresh_from_db()
        assert token.revoked_at == NOON
        assert told() == [
            ("core.token.issued", "researcher"),
            ("core.token.revoked", "researcher"),
        ]
        assert AuditEvent.objects.last().reason == "lost"

    def test_of_another_s_token_is_an_admin_s(self, researcher, make_user):
        token, _ = issue(researcher)

        with pytest.raises(NotFound):
            services.revoke_token(token_id=token.public_id, actor=make_user("operator"), at=NOON)
        assert len(told()) == 1

        services.revoke_token(token_id=token.public_id, actor=make_user("admin"), at=NOON)
        assert told()[-1] == ("core.token.revoked", "admin")

    def test_by_an_admin_s_narrow_token_reaches_no_other(self, researcher, make_user):
        token, _ = issue(researcher)
        admin = make_user("admin")
        roles.confine(admin, ["tokens:write"])

        with pytest.raises(NotFound):
            services.revoke_token(token_id=token.public_id, actor=admin, at=NOON)

    def test_of_nothing_is_not_found(self, researcher):
        with pytest.raises(NotFound):
            services.revoke_token(token_id=uuid4(), actor=researcher, at=NOON)


class TestGrantRole:
    def grant(self, user, actor):
        services.grant_role(
            user=user, role=roles.Role.AUDITOR, actor=actor, at=NOON, reason="asked"
        )

    def test_takes_effect_at_once_and_is_told_once(self, researcher, make_user):
        admin = make_user("admin")
        assert "audit:read" not in roles.grants(researcher)

        self.grant(researcher, admin)
        self.grant(researcher, admin)

        assert "audit:read" in roles.grants(researcher)
        assert told() == [("core.role.granted", "admin")]

    def test_is_an_admin_s(self, researcher, make_user):
        with pytest.raises(Forbidden, match="users:write"):
            self.grant(researcher, make_user("operator"))
        assert not told()

    def test_is_never_for_oneself(self, make_user):
        admin = make_user("admin")

        with pytest.raises(Forbidden, match="to themselves"):
            self.grant(admin, admin)
        assert not told()


class TestEnsureAdmin:
    def test_creates_one_and_says_its_password_once(self, db):
        password = services.ensure_admin()

        admin = User.objects.get(username="admin")
        assert admin.check_password(password)
        assert admin.is_superuser
        assert services.ensure_admin() is None
        assert told() == [("core.user.created", "system")]
        assert password not in AuditEvent.objects.get().canonical

    def test_leaves_an_installation_alone_that_has_a_superuser(self, make_user):
        make_user(name="root")

        assert services.ensure_admin() is None

    def test_leaves_a_taken_name_alone(self, make_user):
        make_user("researcher", name="admin")

        assert services.ensure_admin() is None
        assert not User.objects.filter(is_superuser=True).exists()


class TestConsoleUser:
    def test_is_an_admin_that_cannot_log_in(self, db, client):
        user = services.console_user()

        assert roles.roles_of(user) == {roles.Role.ADMIN}
        assert not user.has_usable_password()
        assert not user.is_staff
        assert not client.login(username="console", password="")

    def test_is_created_once_and_told(self, db, django_assert_num_queries):
        first = services.console_user()

        with django_assert_num_queries(1):
            assert services.console_user() == first
        assert told() == [("core.user.created", "system")]


class TestActingUser:
    def test_is_the_one_named(self, researcher):
        assert services.acting_user("researcher") == researcher

    @pytest.mark.parametrize("name", ["nobody", "retired"])
    def test_must_be_there_and_active(self, researcher, name):
        User.objects.create_user("retired", is_active=False)

        with pytest.raises(NotFound, match=f"no active user '{name}'"):
            services.acting_user(name)

    @pytest.mark.parametrize("name", [None, ""])
    def test_is_else_the_console(self, db, name):
        assert services.acting_user(name).username == "console"


class TestConsoleReason:
    def test_names_the_operating_system_s_user(self, monkeypatch):
        monkeypatch.setattr(services.getpass, "getuser", lambda: "ada")

        assert services.console_reason("why") == "why (by ada on the command line)"
        assert services.console_reason() == "(by ada on the command line)"

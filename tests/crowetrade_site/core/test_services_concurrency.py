"""First starts and revocations by several processes at the same moment."""

import threading

import pytest
from django.contrib.auth.models import Group, User

from crowetrade_site.core import roles, services
from crowetrade_site.core.models import AuditEvent
from tests.crowetrade_site.core.threads import in_threads
from tests.crowetrade_site.core.trail import NOON

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _groups(transactional_db):
    """Make the roles' groups, which the flush before this test has taken away."""
    for role in roles.Role:
        Group.objects.get_or_create(name=role)


def together(n_threads, work):
    barrier = threading.Barrier(n_threads)

    def start(number):
        barrier.wait(20)
        return work(number)

    return in_threads(n_threads, start)


class TestEnsureAdmin:
    def test_draws_one_password_for_two_first_starts(self):
        passwords = together(4, lambda _: services.ensure_admin())

        (password,) = [each for each in passwords if each]
        assert User.objects.get(username="admin").check_password(password)
        assert AuditEvent.objects.count() == 1


class TestConsoleUser:
    def test_is_one_for_two_first_commands(self):
        users = together(4, lambda _: services.console_user())

        assert len({user.pk for user in users}) == 1
        assert users[0].groups.get().name == "admin"
        assert AuditEvent.objects.count() == 1


class TestRevokeToken:
    def test_is_told_once_by_two_that_revoke_together(self):
        user = User.objects.create_superuser("root")
        token, _ = services.issue_token(
            user=user, name="x", scopes=["runs:read"], actor=user, at=NOON
        )

        def revoke(_: int) -> None:
            services.revoke_token(token_id=token.public_id, actor=user, at=NOON)

        together(4, revoke)

        assert AuditEvent.objects.filter(verb="core.token.revoked").count() == 1

import hashlib
from datetime import timedelta

import pytest
from django.db import connection

from crowetrade_site.core import roles, services, tokens
from crowetrade_site.core.models import ApiToken
from tests.crowetrade_site.core.trail import NOON


@pytest.fixture
def issued(researcher):
    """A token and its text."""
    return services.issue_token(
        user=researcher, name="notebook", scopes=["runs:read"], actor=researcher, at=NOON,
        expires_at=NOON + timedelta(days=1),
    )  # fmt: skip


class TestDraw:
    def test_never_repeats(self):
        drawn = {tokens.draw() for _ in range(1000)}

        assert len(drawn) == 1000
        assert all(each.startswith("ct_") and len(each) == 46 for each in drawn)


class TestFind:
    def test_returns_the_token_and_its_user_confined(self, issued):
        token, plain = issued

        found = tokens.find(plain, at=NOON)

        assert found == token
        assert roles.grants(found.user) == {"runs:read"}

    def test_takes_two_queries_at_most(self, issued, django_assert_num_queries):
        with django_assert_num_queries(2):
            assert tokens.find(issued[1], at=NOON).user.username == "researcher"

    @pytest.mark.parametrize("plain", ["", "ct_", "x" * 10_000, "ct_\x00", "été", "ct_" + "a" * 43])
    def test_does_not_know_other_texts(self, issued, plain):
        assert tokens.find(plain, at=NOON) is None

    def test_does_not_open_by_what_is_stored(self, issued):
        token, _ = issued

        assert tokens.find(token.digest, at=NOON) is None
        assert tokens.find(token.prefix, at=NOON) is None

    @pytest.mark.parametrize(("late", "is_valid"), [(-1, True), (0, False), (1, False)])
    def test_refuses_an_expired_one(self, issued, late, is_valid):
        at = NOON + timedelta(days=1, seconds=late)

        assert (tokens.find(issued[1], at=at) is not None) is is_valid

    def test_refuses_a_revoked_one(self, issued, researcher):
        token, plain = issued
        services.revoke_token(token_id=token.public_id, actor=researcher, at=NOON)

        assert tokens.find(plain, at=NOON) is None

    def test_refuses_that_of_an_inactive_user(self, issued, researcher):
        researcher.is_active = False
        researcher.save()

        assert tokens.find(issued[1], at=NOON) is None

    def test_notes_its_use_at_most_once_a_minute(self, issued, django_assert_num_queries):
        token, plain = issued
        seen = []
        for seconds in (0, 1, 59, 60, 61, 120):
            tokens.find(plain, at=NOON + timedelta(seconds=seconds))
            token.refresh_from_db()
            seen.append((token.last_used_at - NOON).total_seconds())

        assert seen == [0, 0, 0, 60, 60, 120]
        with django_assert_num_queries(1):
            tokens.find(plain, at=NOON + timedelta(seconds=121))


class TestDigest:
    def test_is_all_that_is_stored(self, issued):
        token, plain = issued
        with connection.cursor() as cursor:
            cursor.execute("SELECT t::text FROM core_apitoken t")
            row = cursor.fetchone()[0]
            cursor.execute("SELECT string_agg(canonical, '') FROM core_auditevent")
            trail = cursor.fetchone()[0]

        assert token.digest == hashlib.sha256(plain.encode()).hexdigest()
        assert plain not in row + trail
        assert plain[10:] not in row + trail
        assert plain.startswith(token.prefix)
        assert ApiToken.objects.get() == token

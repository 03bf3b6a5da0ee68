"""Statements that the server plans once for each connection."""

import select
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import ProgrammingError, connection, transaction
from django.db.models import Count, Q
from django.test.utils import CaptureQueriesContext

from crowetrade_site.core import prepared
from crowetrade_site.core.models import ApiToken
from crowetrade_site.core.services import issue_token

KEPT = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT $1::int + 1%%'"

pytestmark = pytest.mark.django_db


class TestFirst:
    def test_is_planned_once(self):
        found = [prepared.first("SELECT %s::int + 1", number)[0] for number in (1, 2, 3)]

        assert found == [2, 3, 4]
        assert prepared.first(KEPT)[0] == 1

    def test_is_none_without_a_row(self):
        assert prepared.first("SELECT 1 WHERE %s::bool", False) is None

    def test_is_seen_by_tests_and_logs(self):
        prepared.first("SELECT %s::int + 1", 1)

        with CaptureQueriesContext(connection) as queries:
            prepared.first("SELECT %s::int + 1", 1)

        assert [query["sql"] for query in queries] == ["SELECT $1::int + 1"]

    def test_fails_as_any_query_does(self):
        with pytest.raises(ProgrammingError), transaction.atomic():
            prepared.first("SELECT nothing FROM nowhere")
        assert prepared.first("SELECT 1") == (1,)


class TestKeptConnection:
    @pytest.fixture
    def kept(self):
        """The connection as a request finds it that an earlier one has left."""
        connection.ensure_connection()
        connection.health_check_enabled, connection.health_check_done = True, False
        yield connection
        connection.health_check_enabled, connection.health_check_done = False, True

    def test_is_not_asked_whether_it_is_there(self, kept):
        with CaptureQueriesContext(connection) as queries:
            assert prepared.first("SELECT 7") == (7,)

        assert len(queries) == 1
        assert kept.health_check_done

    @pytest.mark.django_db(transaction=True)
    def test_is_replaced_when_the_server_has_ended_it(self, kept):
        ended = kept.connection.info.backend_pid
        with psycopg.connect(**{**kept.get_connection_params(), "cursor_factory": None}) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [ended])
        select.select([kept.connection.fileno()], [], [], 10)

        assert prepared.first("SELECT 7") == (7,)
        assert kept.connection.info.backend_pid != ended


class TestRows:
    def test_are_all_of_them(self):
        assert prepared.rows("SELECT generate_series(1, %s::int)", 3) == [(1,), (2,), (3,)]


class TestLookup:
    LOOKUP = prepared.Lookup(
        lambda at, name: (
            ApiToken.objects.select_related("user")
            .filter(Q(last_used_at__gt=at) | Q(created_at__gte=at), name=name)
            .annotate(n_others=Count("user__api_tokens"))
            .order_by("-pk")
        ),
        datetime(1970, 1, 1, tzinfo=UTC), "a name",
    )  # fmt: skip

    def _token(self, owner, name, at):
        return issue_token(user=owner, name=name, scopes=["runs:read"], actor=owner, at=at)[0]

    def test_finds_the_row_with_all_that_it_brings_along(self, make_user, at):
        owner = make_user("researcher")
        kept = {name: self._token(owner, name, at) for name in ("one", "two", "two")}

        found = self.LOOKUP.first(at, "two")

        assert found == kept["two"]
        assert found.scopes == ["runs:read"]
        assert found.created_at == kept["two"].created_at
        assert found.n_others == 3
        with CaptureQueriesContext(connection) as queries:
            assert found.user == owner
        assert len(queries) == 0

    def test_puts_a_value_wherever_it_is_asked_for(self, make_user, at):
        self._token(make_user("researcher"), "one", at)

        assert self.LOOKUP.first(at, "one") is not None
        assert self.LOOKUP.first(at + timedelta(days=10_000), "one") is None
        assert self.LOOKUP.first(at, "none") is None

    def test_asks_once_and_is_compiled_once(self, make_user, at):
        self._token(make_user("researcher"), "one", at)
        lookup = prepared.Lookup(
            lambda name: built.append(name) or ApiToken.objects.filter(name=name), "a name"
        )
        built = []

        with CaptureQueriesContext(connection) as queries:
            assert [lookup.first("one").name for _ in range(3)] == ["one"] * 3

        assert built == ["a name"]
        assert len(queries) == 3

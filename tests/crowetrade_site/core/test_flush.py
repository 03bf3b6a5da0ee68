"""Transactional tests may empty the trail between tests; nothing else may."""

import pytest
from django.db import Error, connection

from crowetrade_site.core.models import AuditEvent
from tests.crowetrade_site.core.trail import TABLES, note


@pytest.mark.django_db(transaction=True)
class TestFlush:
    @pytest.mark.parametrize("turn", ["first", "second"])
    def test_starts_every_test_with_an_empty_trail(self, turn):
        assert not AuditEvent.objects.exists()

        note(2)

        assert AuditEvent.objects.count() == 2

    @pytest.mark.parametrize("table", TABLES)
    def test_puts_the_triggers_back(self, table):
        note()

        with pytest.raises(Error, match="append-only"), connection.cursor() as cursor:
            cursor.execute(f"TRUNCATE {table} CASCADE")

"""The database itself refuses to change the trail, whoever asks and by whatever road."""

import pytest
from django.db import Error, connection, transaction
from django.db.models import ProtectedError

from crowetrade_site.core import audit
from crowetrade_site.core.models import ApiToken, AuditEvent, AuditSeal, AuditSealItem
from tests.crowetrade_site.core.trail import NOON, TABLES, note, sealed

pytestmark = pytest.mark.django_db
REFUSED = "append-only"


def run(statement: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture(autouse=True)
def _trail(db):
    sealed(2)
    note()
    with connection.cursor() as cursor:  # deferred foreign keys would hide the refusal
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


CHANGES = {
    "core_auditevent": "actor = 'nobody'",
    "core_auditseal": "count = 9",
    "core_auditsealitem": "position = 9",
}


class TestTriggers:
    @pytest.mark.parametrize("role", ["origin", "replica", "local"])
    @pytest.mark.parametrize("table", TABLES)
    @pytest.mark.parametrize("verb", ["UPDATE", "DELETE", "TRUNCATE"])
    def test_refuse_in_every_replication_role(self, verb, table, role):
        statement = {
            "UPDATE": f"UPDATE {table} SET {CHANGES[table]}",  # noqa: S608 - constants
            "DELETE": f"DELETE FROM {table}",  # noqa: S608 - constants
            "TRUNCATE": f"TRUNCATE {table} CASCADE",
        }[verb]
        run(f"SET LOCAL session_replication_role = {role}")

        with pytest.raises(Error, match=f"{REFUSED}: {verb}"):
            run(statement)

        run("SET LOCAL session_replication_role = origin")
        assert AuditEvent.objects.count() == 3
        assert AuditSeal.objects.count() == 1
        assert AuditSealItem.objects.count() == 2

    def test_refuse_an_upsert(self):
        with pytest.raises(Error, match=f"{REFUSED}: UPDATE"):
            run(
                "INSERT INTO core_auditevent SELECT * FROM core_auditevent "
                "ON CONFLICT (id) DO UPDATE SET actor = 'nobody'"
            )

    def test_refuse_a_merge(self):
        with pytest.raises(Error, match=REFUSED):
            run(
                "MERGE INTO core_auditevent e USING core_auditevent f ON e.id = f.id "
                "WHEN MATCHED THEN DELETE"
            )

    def test_refuse_a_change_of_no_consequence(self):
        with pytest.raises(Error, match=REFUSED):
            run("UPDATE core_auditevent SET actor = actor")

    @pytest.mark.parametrize("table", TABLES)
    def test_are_always_on(self, table):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT tgname, tgenabled FROM pg_trigger "
                "WHERE tgrelid = %s::regclass AND NOT tgisinternal",
                [table],
            )
            enabled = dict(cursor.fetchall())

        assert {"audit_rows", "audit_table"} <= set(enabled)
        assert set(enabled.values()) == {"A"}

    def test_stamp_the_transaction_where_the_writer_says_nothing(self):
        with transaction.atomic(), connection.cursor() as cursor:
            audit.record("core.test.noted", ApiToken(), actor=None, at=NOON)
            cursor.execute(
                "SELECT xid::text, pg_current_xact_id()::text "
                "FROM core_auditevent ORDER BY id DESC LIMIT 1"
            )
            stamped, own = cursor.fetchone()

        assert stamped == own

    @pytest.mark.parametrize("role", ["origin", "replica", "local"])
    @pytest.mark.parametrize("said", ["3", None])
    def test_stamp_the_transaction_whatever_the_writer_says(self, said, role):
        run(f"SET LOCAL session_replication_role = {role}")
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO core_auditevent (event_id, at, verb, actor, reason, request_id, "
                "object_type, object_id, canonical, leaf, xid) SELECT gen_random_uuid(), at, verb,"
                " actor, reason, request_id, object_type, object_id, canonical, leaf, %s::xid8 "
                "FROM core_auditevent LIMIT 1 RETURNING xid::text, pg_current_xact_id()::text",
                [said],
            )
            stamped, own = cursor.fetchone()

        assert stamped == own


class TestModels:
    def test_refuse_update_by_queryset(self):
        with pytest.raises(Error, match=REFUSED), transaction.atomic():
            AuditEvent.objects.update(actor="nobody")

    def test_refuse_bulk_update(self):
        events = list(AuditEvent.objects.all())
        for event in events:
            event.actor = "nobody"

        with pytest.raises(Error, match=REFUSED), transaction.atomic():
            AuditEvent.objects.bulk_update(events, ["actor"])

    def test_refuse_save(self):
        event = AuditEvent.objects.first()

        with pytest.raises(Error, match=REFUSED), transaction.atomic():
            event.save()

    @pytest.mark.parametrize("table", [AuditEvent, AuditSeal, AuditSealItem])
    def test_refuse_delete_by_queryset(self, table):
        with pytest.raises((Error, ProtectedError)), transaction.atomic():
            table.objects.all().delete()

        assert table.objects.exists()

    def test_refuse_delete_of_an_unsealed_entry(self):
        with pytest.raises(Error, match=REFUSED), transaction.atomic():
            AuditEvent.objects.get(auditsealitem__isnull=True).delete()

    def test_refuse_raw_delete(self):
        with pytest.raises(Error, match=REFUSED), transaction.atomic():
            AuditSealItem.objects.all()._raw_delete("default")


class TestConstraints:
    def test_an_entry_lies_in_one_seal(self):
        item = AuditSealItem.objects.first()

        with pytest.raises(Error, match="unique"), transaction.atomic():
            AuditSealItem.objects.create(event=item.event, seal=item.seal, position=9)

    def test_a_leaf_holds_one_entry(self):
        item = AuditSealItem.objects.first()
        event = AuditEvent.objects.get(auditsealitem__isnull=True)

        with pytest.raises(Error, match="seal_item_position"), transaction.atomic():
            AuditSealItem.objects.create(event=event, seal=item.seal, position=item.position)

    def test_no_seal_is_empty(self):
        with pytest.raises(Error, match="seal_not_empty"), transaction.atomic():
            AuditSeal.objects.create(
                number=2, sealed_at="2026-01-05T12:00Z", count=0, horizon=1, statement="",
                digest=b"", signature=b"", key_id="",
            )  # fmt: skip

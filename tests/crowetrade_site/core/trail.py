"""Writing to the audit trail, and tampering with it as the owner of the database could."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from django.db import connection, transaction

from crowetrade_site.core import audit, seals
from crowetrade_site.core.models import ApiToken, AuditEvent, AuditSeal

TABLES = ("core_auditevent", "core_auditseal", "core_auditsealitem")
NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def note(count: int = 1, *, verb: str = "core.test.noted", at: datetime = NOON) -> list[AuditEvent]:
    """Append entries in a transaction of their own."""
    with transaction.atomic():
        for number in range(count):
            audit.record(verb, ApiToken(), actor=None, at=at, after={"number": number})
        return list(AuditEvent.objects.order_by("-pk")[:count])[::-1]


def send_entries() -> None:
    """Let what waits for the COMMIT reach the server now, as any statement does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def sealed(count: int = 3, n_seals: int = 1) -> list[AuditSeal]:
    """Append entries and seal them, several times over."""
    made = []
    for _ in range(n_seals):
        note(count)
        made.append(seals.seal(at=NOON))
    return made


@contextmanager
def triggers_off() -> Iterator[None]:
    """Do what a superuser can: disable every trigger, foreign keys included."""
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    yield
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
            for trigger in ("audit_rows", "audit_table"):
                cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}")


def tamper(statement: str, *parameters: object) -> None:
    """Run one statement with every trigger off."""
    with triggers_off(), connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        assert cursor.rowcount, "nothing was changed"

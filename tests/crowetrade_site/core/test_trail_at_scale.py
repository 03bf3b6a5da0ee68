"""50,000 entries of 32 processes: all sealed, none missed, and no change of them unseen.

Processes, not threads: the writers share nothing but the server, as web processes and workers do.
"""

import multiprocessing

import pytest
from django.db import connection, connections, transaction

from crowetrade_site.core import audit, seals
from crowetrade_site.core.models import ApiToken, AuditEvent, AuditSealItem
from tests.crowetrade_site.core.trail import NOON, send_entries, tamper

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.long]
N_WRITERS, N_ENTRIES, UNDO_EVERY = 32, 50_000, 5
EACH = 1_954  # transactions of a writer: four of five stay, 50,016 entries in all
COLUMNS = "event_id, at, verb, actor, reason, request_id, object_type, object_id, canonical, leaf"
SWAP = f"""
WITH pair AS (SELECT %s::bigint[] AS ids)
UPDATE core_auditevent a SET ({COLUMNS}) = (
    SELECT {COLUMNS} FROM core_auditevent b, pair WHERE b.id = ANY(ids) AND b.id <> a.id
) FROM pair WHERE a.id = ANY(ids)
"""  # noqa: S608 - constants


def write(writer: int) -> int:
    """Write in transactions of one entry, of which every fifth fails; return how many stayed."""
    for number in range(EACH):
        with transaction.atomic():
            after = {"writer": writer, "number": number}
            audit.record("core.test.noted", ApiToken(), actor=None, at=NOON, after=after)
            if is_undone(number):
                send_entries()
                transaction.set_rollback(True)
    connection.close()
    return sum(not is_undone(number) for number in range(EACH))


def is_undone(number: int) -> bool:
    return number % UNDO_EVERY == UNDO_EVERY - 1


def broken_by(statement: str, *parameters: object) -> str:
    """Return what the walk finds after a superuser's statement, and take that back."""
    with transaction.atomic():
        tamper(statement, *parameters)
        found = seals.verify().broken
        transaction.set_rollback(True)
    return found


def middle() -> list[int]:
    """Return neighbors from the middle of the trail."""
    return list(AuditEvent.objects.order_by("id").values_list("id", flat=True)[25_000:25_002])


class TestTrail:
    def test_holds_every_entry_of_many_processes_and_no_change_of_them_stays_unseen(self):
        connections.close_all()  # a child must not share the parent's connection
        with multiprocessing.get_context("fork").Pool(N_WRITERS) as pool:
            writing = pool.map_async(write, range(N_WRITERS), chunksize=1)
            n_seals = 0
            while not writing.ready():  # one seals while the others write
                n_seals += seals.seal(at=NOON) is not None
                writing.wait(0.2)
            kept = sum(writing.get())
        seals.seal(at=NOON)

        found = seals.verify()
        assert kept >= N_ENTRIES
        assert n_seals > 1
        assert (found.broken, found.entries, found.sealed) == ("", kept, kept)
        assert AuditSealItem.objects.count() == kept
        assert seals.unsealed_count() == 0
        stated = AuditEvent.objects.values_list("canonical", flat=True)
        assert len(set(stated)) == kept

        first, second = middle()
        assert f"entry {first}" in broken_by(
            "UPDATE core_auditevent SET actor = 'mallory' WHERE id = %s", first
        )
        gone = broken_by("DELETE FROM core_auditevent WHERE id = %s", first)
        assert f"entry {first}: it is gone" in gone
        with connection.cursor() as cursor:  # a unique index would refuse the swap half-way
            cursor.execute(
                "ALTER TABLE core_auditevent DROP CONSTRAINT core_auditevent_event_id_key"
            )
        assert "Merkle root differs" in broken_by(SWAP, [first, second])
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE core_auditevent ADD UNIQUE (event_id)")
        assert seals.verify().holds

import json

import pytest
from django.db import connection

from crowetrade_site.core import merkle, seals, signing
from crowetrade_site.core.models import AuditEvent, AuditSeal, AuditSealItem
from tests.crowetrade_site.core.trail import NOON, note, sealed, tamper

pytestmark = pytest.mark.django_db


class TestSeal:
    def test_does_nothing_when_nothing_waits(self):
        assert seals.seal(at=NOON) is None
        assert not AuditSeal.objects.exists()
        assert not seals.checkpoint_path().exists()

    def test_holds_every_entry_in_order(self):
        events = note(5)

        made = seals.seal(at=NOON)

        items = AuditSealItem.objects.order_by("position").values_list("event_id", "position")
        assert list(items) == [(event.pk, place) for place, event in enumerate(events)]
        assert (made.number, made.count) == (1, 5)

    def test_states_what_it_seals(self):
        events = note(5)

        made = seals.seal(at=NOON)

        assert json.loads(made.statement) == {
            "number": 1,
            "count": 5,
            "root": merkle.root([event.leaf for event in events]).hex(),
            "previous": "0" * 64,
            "sealed_at": "2026-01-05T12:00:00.000000Z",
        }
        assert made.digest == merkle.seal_hash(made.statement.encode())

    def test_is_signed_by_the_published_key(self):
        (made,) = sealed()

        signing.public_keys()[made.key_id].verify(bytes(made.signature), bytes(made.digest))

    def test_links_to_the_seal_before(self):
        first, second, third = sealed(n_seals=3)

        assert json.loads(second.statement)["previous"] == bytes(first.digest).hex()
        assert json.loads(third.statement)["previous"] == bytes(second.digest).hex()

    def test_takes_only_what_no_seal_holds(self):
        sealed(3)
        note(2)

        assert seals.seal(at=NOON).count == 2
        assert seals.seal(at=NOON) is None

    def test_publishes_each_seal(self):
        made = sealed(n_seals=3)

        assert [(c.number, c.digest) for c in signing.checkpoints()] == [
            (each.number, bytes(each.digest)) for each in made
        ]

    def test_leaves_what_is_beyond_its_limit_to_the_next(self, monkeypatch):
        monkeypatch.setattr(seals, "LIMIT", 4)
        note(10)

        counts = [seals.seal(at=NOON).count for _ in range(3)]

        assert counts == [4, 4, 2]
        assert seals.seal(at=NOON) is None
        assert seals.verify().holds

    def test_needs_a_fixed_number_of_queries(self, django_assert_num_queries):
        sealed(1)
        note(50)

        # lock, last seal, horizon, entries, seal, items, and a savepoint around them
        with django_assert_num_queries(8):
            seals.seal(at=NOON)


class TestSealAfterACrash:
    def test_publishes_the_seal_whose_checkpoint_was_lost(self, monkeypatch):
        def full_disk(line: str) -> None:
            raise OSError("No space left on device")

        sealed(1)
        note()
        with monkeypatch.context() as patch:
            patch.setattr(signing, "append_checkpoint", full_disk)
            with pytest.raises(OSError, match="No space"):
                seals.seal(at=NOON)
        assert seals.verify().holds, "the newest seal may wait for its checkpoint"

        assert seals.seal(at=NOON) is None

        assert [checkpoint.number for checkpoint in signing.checkpoints()] == [1, 2]

    def test_does_not_publish_anew_what_was_published_long_ago(self, caplog):
        sealed(n_seals=3)
        seals.checkpoint_path().unlink()

        seals.seal(at=NOON)

        assert not list(signing.checkpoints())
        assert "Checkpoints are missing" in caplog.text


class TestSealAfterARestore:
    """Transaction ids start again in another cluster, and the old ones are far ahead."""

    def move_to_another_cluster(self) -> None:
        ahead = "pg_current_xact_id()::text::bigint + 1000000"
        tamper(f"UPDATE core_auditevent SET xid = ({ahead})::text::xid8")  # noqa: S608 - constant
        tamper(f"UPDATE core_auditseal SET horizon = {ahead}")  # noqa: S608 - constant

    def test_notices_and_takes_everything_that_waits(self, caplog):
        sealed(2)
        note(3)
        self.move_to_another_cluster()
        note(4)

        made = seals.seal(at=NOON)

        assert made.count == 7
        assert "a restored database" in caplog.text
        assert seals.verify().holds

    def test_goes_on_as_ever_afterwards(self, caplog):
        sealed(2)
        self.move_to_another_cluster()
        sealed(1)
        caplog.clear()

        assert sealed(2)[0].count == 2
        assert not caplog.text

    def test_is_told_to_look_everywhere_when_an_entry_was_passed_by(self):
        (event,) = note()
        sealed(1)
        tamper("DELETE FROM core_auditsealitem WHERE event_id = %s", event.pk)
        tamper("UPDATE core_auditevent SET xid = '3'::xid8 WHERE id = %s", event.pk)

        assert seals.seal(at=NOON) is None
        assert seals.seal(at=NOON, full=True).count == 1


class TestUnsealedCount:
    def test_counts_what_waits(self):
        assert seals.unsealed_count() == 0

        sealed(2)
        note(3)

        assert seals.unsealed_count() == 3

    def test_looks_at_the_end_of_the_trail_alone(self):
        sealed(2)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute(f"EXPLAIN SELECT count(*) {seals.UNSEALED}", ["3"])
            plan = "\n".join(row[0] for row in cursor.fetchall())

        assert "audit_xid" in plan
        assert AuditEvent.objects.count() == 2

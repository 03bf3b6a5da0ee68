"""Whatever the owner of the database changes, the walk names the first place it shows."""

import hashlib
import json

import pytest
from django.core.management import call_command
from django.db import connection

from crowetrade_site.core import canonical, merkle, seals, signing
from crowetrade_site.core.models import AuditEvent, AuditSeal
from tests.crowetrade_site.core.trail import NOON, note, sealed, tamper

pytestmark = pytest.mark.django_db
COLUMNS = "event_id, at, verb, actor, reason, request_id, object_type, object_id, canonical, leaf"
SWAP = f"""
ALTER TABLE core_auditevent DROP CONSTRAINT core_auditevent_event_id_key;
WITH pair AS (SELECT %s::bigint[] AS ids)
UPDATE core_auditevent a SET ({COLUMNS}) = (
    SELECT {COLUMNS} FROM core_auditevent b, pair WHERE b.id = ANY(ids) AND b.id <> a.id
) FROM pair WHERE a.id = ANY(ids)
"""  # noqa: S608 - constants


@pytest.fixture
def events() -> list[AuditEvent]:
    """Three seals of four entries, and two entries that wait."""
    sealed(4, n_seals=3)
    note(2)
    return list(AuditEvent.objects.order_by("pk"))


def forged(event: AuditEvent, **changes: object) -> tuple[str, bytes]:
    """Return another content for an entry with the leaf hash that fits it."""
    text = canonical.encode(json.loads(event.canonical) | changes)
    return text, merkle.leaf_hash(text.encode())


class TestVerify:
    def test_counts_a_trail_that_holds(self, events):
        found = seals.verify()

        assert found.holds
        assert (found.entries, found.sealed, found.seals, found.checkpoints) == (14, 12, 3, 3)

    def test_holds_for_an_empty_trail(self):
        assert seals.verify().holds

    def test_finds_changed_content(self, events):
        text, _ = forged(events[5], reason="other")
        tamper("UPDATE core_auditevent SET canonical = %s WHERE id = %s", text, events[5].pk)

        assert seals.verify().broken == (
            f"entry {events[5].pk}: its content differs from its leaf hash"
        )

    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("event_id", "11111111-1111-1111-1111-111111111111"),
            ("at", "2026-01-05 12:00:00.000001+00"),
            ("verb", "core.test.other"),
            ("actor", "somebody else"),
            ("reason", "another reason"),
            ("request_id", "another-request"),
            ("object_type", "auth.User"),
            ("object_id", "2"),
        ],
    )
    def test_finds_a_changed_column(self, events, column, value):
        statement = f"UPDATE core_auditevent SET {column} = %s WHERE id = %s"  # noqa: S608 - constants
        tamper(statement, value, events[5].pk)

        assert seals.verify().broken == (
            f"entry {events[5].pk}: column {column} differs from its content"
        )

    def test_finds_a_changed_leaf(self, events):
        other = hashlib.sha256(b"other").digest()
        tamper("UPDATE core_auditevent SET leaf = %s WHERE id = %s", other, events[5].pk)

        assert seals.verify().broken == (
            f"entry {events[5].pk}: its content differs from its leaf hash"
        )

    def test_finds_an_entry_rewritten_with_its_leaf_and_columns(self, events):
        text, leaf = forged(events[5], actor="somebody else")
        tamper(
            "UPDATE core_auditevent SET canonical = %s, leaf = %s, actor = %s WHERE id = %s",
            text, leaf, "somebody else", events[5].pk,
        )  # fmt: skip

        assert seals.verify().broken == "seal 2: the Merkle root differs from its entries"

    def test_finds_a_deleted_entry(self, events):
        tamper("DELETE FROM core_auditevent WHERE id = %s", events[5].pk)

        assert seals.verify().broken == f"entry {events[5].pk}: it is gone; it was in seal 2"

    @pytest.mark.parametrize(
        ("place", "fault"),
        [
            (1, "seal 2: the entry at its leaf 1 is gone"),
            (3, "seal 2: an entry is gone, 3 of 4 are there"),
        ],
    )
    def test_finds_an_entry_deleted_with_its_place(self, events, place, fault):
        event = events[4 + place]
        tamper("DELETE FROM core_auditsealitem WHERE event_id = %s", event.pk)
        tamper("DELETE FROM core_auditevent WHERE id = %s", event.pk)

        assert seals.verify().broken == fault

    def test_finds_an_entry_taken_out_of_its_seal(self, events):
        tamper("DELETE FROM core_auditsealitem WHERE event_id = %s", events[11].pk)

        assert seals.verify().broken == "seal 3: an entry is gone, 3 of 4 are there"

    def test_finds_two_entries_whose_contents_are_swapped(self, events):
        tamper(SWAP, [events[5].pk, events[6].pk])

        assert seals.verify().broken == "seal 2: the Merkle root differs from its entries"

    def test_finds_a_deleted_last_seal(self, events):
        tamper("DELETE FROM core_auditsealitem WHERE seal_id = 3")
        tamper("DELETE FROM core_auditseal WHERE number = 3")

        assert seals.verify().broken == ("seal 3: it was published and is gone from the database")

    def test_finds_a_deleted_last_seal_whose_places_stayed(self, events):
        tamper("DELETE FROM core_auditseal WHERE number = 3")

        assert seals.verify().broken == "seal 3: it is gone, and its entries are there"

    @pytest.mark.parametrize("number", [1, 2])
    def test_finds_a_deleted_earlier_seal(self, events, number):
        tamper("DELETE FROM core_auditsealitem WHERE seal_id = %s", number)
        tamper("DELETE FROM core_auditseal WHERE number = %s", number)

        assert seals.verify().broken == (
            f"seal {number}: it is gone, the next is seal {number + 1}"
        )

    @pytest.mark.parametrize(
        ("change", "fault"),
        [
            ("sealed_at = sealed_at + interval '1 second'", "its time differs from its statement"),
            ("count = 5", "its columns differ from its statement"),
            ("statement = replace(statement, ':4', ':5')", "its digest differs from its statement"),
            ("statement = 'no JSON'", "its digest differs from its statement"),
            (
                "digest = sha256('other'::bytea)",
                "its digest differs from its statement",
            ),
            (
                "signature = decode(repeat('00', 64), 'hex')",
                "the signature is not by key",
            ),
            ("key_id = '0123456789abcdef'", "it is signed by the unknown key 0123456789abcdef"),
        ],
    )
    def test_finds_a_changed_seal(self, events, change, fault):
        tamper(f"UPDATE core_auditseal SET {change} WHERE number = 2")  # noqa: S608 - constants

        assert seals.verify().broken.startswith(f"seal 2: {fault}")

    def test_finds_a_seal_forged_with_another_key(self, events, settings, tmp_path):
        """History rewritten from seal 2 on, consistently, by somebody without the key."""
        for number in (3, 2):
            tamper("DELETE FROM core_auditsealitem WHERE seal_id = %s", number)
            tamper("DELETE FROM core_auditseal WHERE number = %s", number)
        text, leaf = forged(events[5], reason="other")
        tamper(
            "UPDATE core_auditevent SET canonical = %s, leaf = %s, reason = 'other' WHERE id = %s",
            text, leaf, events[5].pk,
        )  # fmt: skip
        own = settings.AUDIT_CHECKPOINTS
        settings.AUDIT_SIGNING_KEY = tmp_path / "forger" / "key.pem"
        settings.AUDIT_CHECKPOINTS = tmp_path / "forger"
        forgery = seals.seal(at=NOON, full=True)
        settings.AUDIT_CHECKPOINTS = own

        assert seals.verify().broken == (
            f"seal 2: it is signed by the unknown key {forgery.key_id}"
        )

    def test_finds_a_tail_rewritten_with_the_key(self, events):
        """Whoever has the key and the database still does not have the checkpoints."""
        line = seals.checkpoint_path().read_bytes()
        tamper("DELETE FROM core_auditsealitem WHERE seal_id = 3")
        tamper("DELETE FROM core_auditseal WHERE number = 3")
        text, leaf = forged(events[9], reason="other")
        tamper(
            "UPDATE core_auditevent SET canonical = %s, leaf = %s, reason = 'other' WHERE id = %s",
            text, leaf, events[9].pk,
        )  # fmt: skip
        seals.seal(at=NOON, full=True)
        seals.checkpoint_path().write_bytes(line)

        assert seals.verify().broken == "seal 3: it differs from the published checkpoint"

    def test_finds_a_chain_that_does_not_follow(self, events):
        """A seal signed by the right key over a history of its own."""
        foreign = AuditSeal.objects.get(number=3)
        stated = json.loads(foreign.statement) | {"previous": "0" * 64}
        text = canonical.encode(stated)
        digest = merkle.seal_hash(text.encode())
        signature = signing.private_key().sign(digest)
        tamper(
            "UPDATE core_auditseal SET statement = %s, digest = %s, signature = %s "
            "WHERE number = 3",
            text, digest, signature,
        )  # fmt: skip

        assert seals.verify().broken == "seal 3: it does not follow seal 2"

    @pytest.mark.parametrize("text", ["no JSON", "[]", "{}", '"text"', "[" * 5000])
    def test_finds_content_of_a_waiting_entry_that_is_no_entry(self, events, text):
        tamper(
            "UPDATE core_auditevent SET canonical = %s, leaf = %s WHERE id = %s",
            text, merkle.leaf_hash(text.encode()), events[-1].pk,
        )  # fmt: skip

        assert seals.verify().broken == (
            f"entry {events[-1].pk}: its content is not that of an entry"
        )

    def test_finds_an_entry_that_sealing_passed_by(self, events):
        tamper("UPDATE core_auditevent SET xid = '3'::xid8 WHERE id = %s", events[-1].pk)

        assert seals.verify().broken.startswith(f"entry {events[-1].pk}: seal 3 passed it by")

        call_command("seal_audit", "--full")
        assert seals.verify().holds

    def test_reads_rows_in_bulk(self, events, django_assert_max_num_queries):
        sealed(1, n_seals=20)

        with django_assert_max_num_queries(8):
            seals.verify()

    def test_leaves_no_cursor_open(self, events):
        tamper("UPDATE core_auditevent SET actor = 'x' WHERE id = %s", events[0].pk)

        assert not seals.verify().holds

        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_cursors WHERE name LIKE '_django%%'")
            assert cursor.fetchone()[0] == 0

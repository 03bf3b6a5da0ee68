"""Writers and sealers at the same time, each on a connection of its own."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from django.db import connection, transaction

from crowetrade_site.core import audit, seals
from crowetrade_site.core.models import ApiToken, AuditEvent, AuditSeal, AuditSealItem
from tests.crowetrade_site.core.threads import in_threads
from tests.crowetrade_site.core.trail import NOON, note, send_entries

pytestmark = pytest.mark.django_db(transaction=True)


class Undone(Exception):
    pass


def write(writer: int, count: int, *, undo_every: int) -> int:
    """Write entries one transaction each; every so often the transaction fails."""
    kept = 0
    for number in range(count):
        with suppress(Undone):
            _write_one(writer, number, is_undone=number % undo_every == undo_every - 1)
            kept += 1
    return kept


@transaction.atomic
def _write_one(writer: int, number: int, *, is_undone: bool) -> None:
    after = {"writer": writer, "number": number}
    audit.record("core.test.noted", ApiToken(), actor=None, at=NOON, after=after)
    if is_undone:
        send_entries()
        raise Undone


class TestSeal:
    def test_never_misses_an_entry_that_commits_late(self):
        is_written, may_commit = threading.Event(), threading.Event()

        def late_writer(_: int) -> None:
            with transaction.atomic():
                audit.record("core.test.late", ApiToken(), actor=None, at=NOON)
                send_entries()
                is_written.set()
                assert may_commit.wait(20)

        with ThreadPoolExecutor(1) as pool:
            late = pool.submit(in_threads, 1, late_writer)
            assert is_written.wait(20)
            note(3, verb="core.test.early")
            first = seals.seal(at=NOON)
            note(2, verb="core.test.meanwhile")
            second = seals.seal(at=NOON)
            may_commit.set()
            late.result()
        third = seals.seal(at=NOON)

        assert [first.count, second.count, third.count] == [3, 2, 1]
        assert third.items.get().event.verb == "core.test.late"
        assert seals.verify().holds

    def test_waits_for_nobody(self):
        """A transaction that runs for long keeps no other entry from being sealed."""
        is_begun, may_end = threading.Event(), threading.Event()

        def long_transaction(_: int) -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()")
                is_begun.set()
                assert may_end.wait(20)

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(in_threads, 1, long_transaction)
            assert is_begun.wait(20)
            note(4)
            made = seals.seal(at=NOON)
            may_end.set()
            running.result()

        assert made.count == 4

    def test_is_done_once_by_two_sealers_at_the_same_moment(self):
        note(50)
        together = threading.Barrier(2)

        def sealer(_: int) -> AuditSeal | None:
            together.wait(20)
            return seals.seal(at=NOON)

        made = in_threads(2, sealer)

        assert [each.count for each in made if each] == [50]
        assert AuditSeal.objects.count() == 1
        assert seals.verify().holds

    def test_leaves_the_work_to_a_sealer_that_has_it(self):
        note()
        has_lock, may_leave = threading.Event(), threading.Event()

        def busy_sealer(_: int) -> None:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", [seals.ADVISORY_LOCK])
                has_lock.set()
                assert may_leave.wait(20)

        with ThreadPoolExecutor(1) as pool:
            busy = pool.submit(in_threads, 1, busy_sealer)
            assert has_lock.wait(20)
            assert seals.seal(at=NOON) is None
            may_leave.set()
            busy.result()

        assert seals.seal(at=NOON).count == 1

    @pytest.mark.parametrize(
        ("n_writers", "each"),
        [(4, 30), pytest.param(8, 200, marks=pytest.mark.slow)],
    )
    def test_holds_each_entry_of_many_writers_exactly_once(self, n_writers, each):
        is_over = threading.Event()

        def worker(number: int) -> int:
            if number == n_writers:  # one seals while the others write
                while not is_over.wait(0.02):
                    seals.seal(at=NOON)
                return 0
            try:
                return write(number, each, undo_every=3)
            finally:
                if done.release() == n_writers:
                    is_over.set()

        done = _Counter()
        kept = sum(in_threads(n_writers + 1, worker))
        seals.seal(at=NOON)

        expected = {
            (writer, number)
            for writer in range(n_writers)
            for number in range(each)
            if number % 3 != 2
        }
        stated = [json.loads(e.canonical)["after"] for e in AuditEvent.objects.all()]
        assert kept == len(expected) == len(stated)
        assert {(after["writer"], after["number"]) for after in stated} == expected
        assert AuditSealItem.objects.count() == kept
        assert seals.unsealed_count() == 0
        found = seals.verify()
        assert (found.broken, found.sealed, found.entries) == ("", kept, kept)

    def test_lets_verification_run_meanwhile(self):
        is_over = threading.Event()

        def worker(number: int) -> list[str]:
            if number == 0:
                try:
                    for _ in range(25):
                        note(2)
                        seals.seal(at=NOON)
                finally:
                    is_over.set()
                return []
            faults = []
            while not is_over.is_set():
                faults.append(seals.verify().broken)
            return faults

        faults = in_threads(2, worker)[1]

        assert faults
        assert not any(faults)


class _Counter:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value = 0

    def release(self) -> int:
        with self._lock:
            self._value += 1
            return self._value

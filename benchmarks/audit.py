"""The audit trail: what an entry costs its transaction, what sealing and verifying take.

Runs in a process and a throw-away database of its own; `DATABASE_URL` chooses the server, else
it is the embedded one. Clients are processes: one UPDATE, one entry, one COMMIT each time.
"""

import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import peak_mb, table

if TYPE_CHECKING:
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Barrier

    from django.contrib.auth.models import User

SLICE = 0.5  # seconds
PAIRS = 20
CLIENTS = (1, 8, 32)
N_ENTRIES = 50_000
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Measure in a child, since Django is set up once in a process, and for one place."""
    subprocess.run([sys.executable, "-m", "benchmarks.audit"], check=True, cwd=ROOT)


def _in_a_place_of_its_own() -> None:
    with tempfile.TemporaryDirectory(prefix="ct-bench-") as folder:
        os.environ["CROWETRADE_HOME"] = folder
        os.environ["CROWETRADE_LOG_LEVEL"] = "ERROR"
        os.environ["DJANGO_SETTINGS_MODULE"] = "crowetrade_site.settings"
        import django
        from django.conf import settings
        from django.db import connection

        from crowetrade_site import embedded

        settings.DATABASES["default"]["TEST"] = {"NAME": f"crowetrade_bench_{os.getpid()}"}
        django.setup()
        original = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
        try:
            _measure_transactions()
            _measure_seals()
        finally:
            connection.creation.destroy_test_db(original, verbosity=0)
            connection.close()
            embedded.detach()  # before the folder goes


def _measure_transactions() -> None:
    """Print both rates, and how they stand to each other.

    The clients of one measurement change between the two every half second, all together: on a
    machine that others use, and on a disk whose `fdatasync` takes eight times as long now as a
    second ago, one after the other would compare two moments.
    """
    rows: list[tuple[str, ...]] = [
        ("clients", "UPDATE, COMMIT /s", "UPDATE, entry, COMMIT /s", "ratio", "of the pairs")
    ]
    for clients in CLIENTS:
        plain, audited = _counts(clients)
        ratios = statistics.quantiles(
            [with_entry / without for without, with_entry in zip(plain, audited, strict=True)]
        )
        rates = [sum(counts) / len(counts) / SLICE for counts in (plain, audited)]
        rows.append(
            (
                str(clients),
                *(f"{rate:,.0f}" for rate in rates),
                f"{rates[1] / rates[0]:.0%}",
                f"{ratios[1]:.0%} ({ratios[0]:.0%} to {ratios[2]:.0%})",
            )
        )
    table(rows)


def _counts(clients: int) -> tuple[list[int], list[int]]:
    """Return the transactions of each slice without an entry, and of its neighbor with one."""
    from django.db import connections

    connections.close_all()  # a child must not share the parent's connection
    fork = multiprocessing.get_context("fork")
    together, told = fork.Barrier(clients), fork.SimpleQueue()
    processes = [
        fork.Process(target=_client, args=(number, together, told)) for number in range(clients)
    ]
    for process in processes:
        process.start()
    counts = [sum(slices) for slices in zip(*(told.get() for _ in processes), strict=True)]
    for process in processes:
        process.join()
    return counts[::2], counts[1::2]


def _client(number: int, together: "Barrier", told: "SimpleQueue[list[int]]") -> None:
    from django.contrib.auth.models import User
    from django.db import connection

    user, _ = User.objects.get_or_create(username=f"client-{number}")
    for is_audited in (False, True):  # what is done once in a process is done
        _change_for(0.1, user, is_audited=is_audited)
    counts = []
    for _ in range(PAIRS):
        for is_audited in (False, True):
            together.wait()
            counts.append(_change_for(SLICE, user, is_audited=is_audited))
    told.put(counts)
    connection.close()


def _change_for(seconds: float, user: "User", *, is_audited: bool) -> int:
    """Return how many changes were committed in that time."""
    from django.contrib.auth.models import User
    from django.db import transaction

    from crowetrade_site.core import audit

    done, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        with transaction.atomic():
            User.objects.filter(pk=user.pk).update(email=f"{done}@example.org")
            if is_audited:
                audit.record(
                    "core.user.changed", user, actor=user, at=NOON, after={"email": str(done)}
                )
        done += 1
    return done


def _measure_seals() -> None:
    from django.db import connection

    from crowetrade_site.core import seals

    rows: list[tuple[str, ...]] = [("step", "entries", "s", "entries/s", "peak MB")]

    def lap(name: str, began: float, entries: int) -> None:
        took = time.perf_counter() - began
        rows.append(
            (name, f"{entries:,}", f"{took:.2f}", f"{entries / took:,.0f}", f"{peak_mb():.0f}")
        )

    while seals.seal(at=NOON):  # what the clients left
        pass
    _append(N_ENTRIES)
    began = time.perf_counter()
    sealed = seals.seal(at=NOON)
    lap("seal", began, sealed.count if sealed else 0)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    began = time.perf_counter()
    found = seals.verify()
    lap("verify", began, found.entries)
    table(rows)
    if not found.holds:
        sys.exit(f"The trail is broken: {found.broken}")


def _append(count: int) -> None:
    from django.contrib.auth.models import User
    from django.db import transaction

    from crowetrade_site.core import audit

    user = User.objects.all()[0]
    with transaction.atomic():
        for number in range(count):
            audit.record(
                "core.user.changed", user, actor=user, at=NOON, reason="because of a reason",
                before={"email": str(number)}, after={"email": str(number + 1)},
            )  # fmt: skip


if __name__ == "__main__":
    _in_a_place_of_its_own()

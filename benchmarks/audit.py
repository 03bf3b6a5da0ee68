"""The audit trail: what an entry costs its transaction, what sealing and verifying take.

Runs in a process and a throw-away database of its own; `DATABASE_URL` chooses the server, else
it is the embedded one. Clients are processes: one UPDATE, one entry, one COMMIT each time.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import peak_mb, table

SECONDS = 3.0
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
    rows: list[tuple[str, ...]] = [
        ("transactions/s at clients", *(str(clients) for clients in CLIENTS))
    ]
    for name, is_audited in (("UPDATE, COMMIT", False), ("UPDATE, entry, COMMIT", True)):
        rates = [_rate(clients, is_audited=is_audited) for clients in CLIENTS]
        rows.append((name, *(f"{rate:,.0f}" for rate in rates)))
    table(rows)


def _rate(clients: int, *, is_audited: bool) -> float:
    from django.db import connections

    connections.close_all()  # a child must not share the parent's connection
    with multiprocessing.get_context("fork").Pool(clients) as pool:
        done = pool.starmap(_client, [(number, is_audited) for number in range(clients)])
        pool.close()
        pool.join()
    return sum(done) / SECONDS


def _client(number: int, is_audited: bool) -> int:
    from django.contrib.auth.models import User
    from django.db import connection, transaction

    from crowetrade_site.core import audit

    user, _ = User.objects.get_or_create(username=f"client-{number}")
    done, end = 0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        with transaction.atomic():
            User.objects.filter(pk=user.pk).update(email=f"{done}@example.org")
            if is_audited:
                audit.record(
                    "core.user.changed", user, actor=user, at=NOON, after={"email": str(done)}
                )
        done += 1
    connection.close()
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

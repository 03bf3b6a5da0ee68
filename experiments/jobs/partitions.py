"""Partitions of raw outcomes: made ahead month by month, dropped when their time is over."""

from datetime import UTC, datetime

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

TABLE = "experiments_outcome"
MONTHS_AHEAD = 2
_PARTITIONS = """
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_class p ON p.oid = i.inhparent WHERE p.relname = %s
"""


def keep_partitions(*, at: datetime | None = None) -> dict[str, list[str]]:
    """Make the partitions of this month and the next ones, and drop those past their time.

    Sums, keys and analyses stay: only the rows as they came are dropped, and only where the
    installation says for how many months they are kept.

    Returns
    -------
    dict
        Names of partitions ``made`` and ``dropped``.
    """
    with transaction.atomic():
        hold_partitions()  # one at a time
        return _keep(at or timezone.now())


def hold_partitions() -> None:
    """Let nobody else make or drop partitions before the COMMIT.

    Whoever reads outcomes for long holds them: a new partition would wait for the reader, and every
    batch for the partition.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [TABLE])


def _keep(now: datetime) -> dict[str, list[str]]:
    this = now.astimezone(UTC).year * 12 + now.astimezone(UTC).month - 1
    there = _existing()
    months = range(this, this + MONTHS_AHEAD + 1)
    made = [_make(month) for month in months if _name(month) not in there]
    dropped = []
    if settings.OUTCOME_MONTHS:
        oldest = this - settings.OUTCOME_MONTHS
        dropped = [name for name in there if _is_before(name, oldest)]
        for name in dropped:
            _drop(name)
        _forget_before(oldest)
    return {"made": made, "dropped": dropped}


def _existing() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(_PARTITIONS, [TABLE])
        return sorted(row[0] for row in cursor.fetchall())


def _name(month: int) -> str:
    return f"{TABLE}_y{month // 12}m{month % 12 + 1:02d}"


def _is_before(name: str, oldest: int) -> bool:
    """Whether a partition holds only what is older; the default one never does."""
    return name.startswith(f"{TABLE}_y") and name < _name(oldest)


def _first(month: int) -> datetime:
    return datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)


def _make(month: int) -> str:
    """Make one partition; rows of its month that came before it move over."""
    name, begin, end = _name(month), _first(month), _first(month + 1)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"LOCK TABLE {TABLE} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(f"CREATE TABLE {name} (LIKE {TABLE} INCLUDING ALL)")
        cursor.execute(
            f"WITH moved AS (DELETE FROM {TABLE}_default WHERE at >= %s AND at < %s RETURNING *) "  # noqa: S608 - names of ours
            f"INSERT INTO {name} SELECT * FROM moved",
            [begin, end],
        )
        cursor.execute(
            f"ALTER TABLE {TABLE} ATTACH PARTITION {name} FOR VALUES FROM (%s) TO (%s)",
            [begin, end],
        )
    return name


def _drop(name: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {name}")


def _forget_before(oldest: int) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {TABLE}_default WHERE at < %s", [_first(oldest)])  # noqa: S608 - a name of ours

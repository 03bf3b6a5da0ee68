"""Shards of periods that are over, folded into one: what is read then is an eighth of it."""

from django.db import connection, transaction

from experiments.statistics.clusters import UNIT_SUMS

LOCK = "experiments_folding"
RECENT = 3  # periods beyond the plan's lateness that keep their shards: they are added to
_SUMS = {
    "experiments_periodstatistic": ("n", "total", "squares", "x_total", "x_squares", "x_product"),
    "experiments_unitstatistic": UNIT_SUMS,
}
_KEY = "experiment_id, metric_id, arm_id, allocation, period"


def _seconds(key: str) -> str:
    """Return the SQL of a duration of the plan in seconds."""
    return f"""(
        CASE right(e.plan->>'{key}', 1) WHEN 's' THEN 1 WHEN 'n' THEN 60 WHEN 'h' THEN 3600
        ELSE 86400 END * (regexp_match(e.plan->>'{key}', '^[0-9]+'))[1]::bigint
    )"""


def _fold(table: str, sums: tuple[str, ...]) -> str:
    """Return the SQL that folds the shards of one table.

    Rows that are to be looked at have an index of their own: the folded ones grow for ever.
    """
    return f"""
WITH newest AS (
    SELECT experiment_id, max(period) AS period FROM {table} WHERE shard > 0
    GROUP BY experiment_id
), over AS (
    SELECT s.ctid FROM {table} s
    JOIN newest USING (experiment_id) JOIN experiments_experiment e ON e.id = s.experiment_id
    WHERE s.shard > 0
      AND s.period < newest.period - 1e9 * (%s * {_seconds("period")} + {_seconds("lateness")})
    FOR UPDATE OF s SKIP LOCKED
), gone AS (
    DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM over) RETURNING *
)
INSERT INTO {table} ({_KEY}, shard, {", ".join(sums)}, changed_at)
SELECT {_KEY}, 0, {", ".join(f"sum({name})" for name in sums)}, max(changed_at)
FROM gone GROUP BY {_KEY} ORDER BY metric_id, period, allocation, arm_id
ON CONFLICT (metric_id, period, allocation, arm_id, shard) DO UPDATE SET
    {", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in sums)},
    changed_at = greatest({table}.changed_at, excluded.changed_at)
"""  # noqa: S608 - names of ours


# Nobody meets an arm under shares that have been replaced.
_FOLD_COUNTS = """
WITH over AS (
    SELECT c.ctid FROM experiments_exposurecount c
    WHERE c.shard <> 0 AND EXISTS (
        SELECT FROM experiments_allocation own JOIN experiments_allocation newer
        USING (experiment_id, context)
        WHERE experiment_id = c.experiment_id AND own.number = c.allocation
          AND newer.number > own.number
    )
    FOR UPDATE OF c SKIP LOCKED
), gone AS (
    DELETE FROM experiments_exposurecount WHERE ctid IN (SELECT ctid FROM over) RETURNING *
)
INSERT INTO experiments_exposurecount AS kept (experiment_id, allocation, arm_id, shard, n)
SELECT experiment_id, allocation, arm_id, 0, sum(n) FROM gone
GROUP BY experiment_id, allocation, arm_id ORDER BY experiment_id, allocation, arm_id
ON CONFLICT (experiment_id, allocation, arm_id, shard) DO UPDATE SET n = kept.n + excluded.n
"""


def fold_shards() -> int:
    """Fold the shards of periods that are over; return the rows that are left of them.

    Nothing is lost to an outcome that comes late meanwhile: it waits for the row that goes, finds
    none, and makes its own, which the next fold takes in. A row that a batch is adding to stays
    for the next fold, so that neither waits for the other. `changed_at` stays, so that nothing is
    analyzed anew for it. Counts of exposures fold once other shares are in force.
    """
    n_left = 0
    for table, sums in _SUMS.items():
        n_left += _run(_fold(table, sums), RECENT)
    return n_left + _run(_FOLD_COUNTS)


def _run(statement: str, *values: int) -> int:
    """Run a statement in a transaction of its own; return how many rows it wrote.

    While sums are made anew nothing is folded: the next time will do.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock_shared(hashtext(%s))", [LOCK])
        if not cursor.fetchone()[0]:
            return 0
        cursor.execute(statement, values)
        return int(cursor.rowcount)


def wait_for_folding() -> None:
    """Let what folds end, and nothing begin before the COMMIT."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [LOCK])

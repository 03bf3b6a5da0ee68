"""Shards of periods that are over, folded into one: what is read then is an eighth of it."""

from django.db import connection, transaction

SUMS = ("n", "total", "squares", "x_total", "x_squares", "x_product")
RECENT = 3  # periods beyond the plan's lateness that keep their shards: they are added to


def _seconds(key: str) -> str:
    """Return the SQL of a duration of the plan in seconds."""
    return f"""(
        CASE right(e.plan->>'{key}', 1) WHEN 's' THEN 1 WHEN 'n' THEN 60 WHEN 'h' THEN 3600
        ELSE 86400 END * (regexp_match(e.plan->>'{key}', '^[0-9]+'))[1]::bigint
    )"""


_KEY = "experiment_id, metric_id, arm_id, allocation, period"
_FOLD = f"""
WITH newest AS (
    SELECT experiment_id, max(period) AS period FROM experiments_periodstatistic
    GROUP BY experiment_id
), over AS (
    SELECT s.ctid FROM experiments_periodstatistic s
    JOIN newest USING (experiment_id) JOIN experiments_experiment e ON e.id = s.experiment_id
    WHERE s.shard <> 0
      AND s.period < newest.period - 1e9 * (%s * {_seconds("period")} + {_seconds("lateness")})
    FOR UPDATE OF s SKIP LOCKED
), gone AS (
    DELETE FROM experiments_periodstatistic WHERE ctid IN (SELECT ctid FROM over) RETURNING *
)
INSERT INTO experiments_periodstatistic ({_KEY}, shard, {", ".join(SUMS)}, changed_at)
SELECT {_KEY}, 0, {", ".join(f"sum({name})" for name in SUMS)}, max(changed_at)
FROM gone GROUP BY {_KEY} ORDER BY metric_id, period, allocation, arm_id
ON CONFLICT (metric_id, period, allocation, arm_id, shard) DO UPDATE SET
    {", ".join(f"{name} = experiments_periodstatistic.{name} + excluded.{name}" for name in SUMS)},
    changed_at = greatest(experiments_periodstatistic.changed_at, excluded.changed_at)
"""  # noqa: S608 - names of ours


def fold_shards() -> int:
    """Fold the shards of periods that are over; return the rows that are left of them.

    Nothing is lost to an outcome that comes late meanwhile: it waits for the row that goes, finds
    none, and makes its own, which the next fold takes in. A row that a batch is adding to stays
    for the next fold, so that neither waits for the other. `changed_at` stays, so that nothing is
    analyzed anew for it.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_FOLD, [RECENT])
        return int(cursor.rowcount)

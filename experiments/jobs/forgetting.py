"""What nobody needs of experiments that are over: totals of single units."""

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

KEPT = timedelta(days=1)  # after the end: a batch that began before it may still be adding
CHUNK = 10_000  # rows of a transaction, so that none runs for long
_FORGET = """
DELETE FROM experiments_unittotal WHERE ctid = ANY(ARRAY(
    SELECT t.ctid FROM experiments_unittotal t
    JOIN experiments_metric m ON m.id = t.metric_id
    JOIN experiments_experiment e ON e.id = m.experiment_id
    WHERE e.concluded_at < %s LIMIT %s
))
"""


def forget_units(*, at: datetime | None = None) -> int:
    """Delete the totals of units of experiments that have been over for a day; return how many.

    No outcome is taken any more, so that nothing is added to them; analyses read the sums over
    units, which stay.
    """
    before = (at or timezone.now()) - KEPT
    n_gone, n = 0, CHUNK
    while n == CHUNK:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_FORGET, [before, CHUNK])
            n = int(cursor.rowcount)
        n_gone += n
    return n_gone

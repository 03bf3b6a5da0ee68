"""Small studies, queued through the service, and their tables of trials."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.contrib.auth.models import User

from backtests.models import Run
from crowetrade_site.core import storage
from tests.factories.backtests import queued

OVER: dict[str, Any] = {"signals.0.fast_bars": [2, 3, 4], "signals.0.slow_bars": [5, 8]}
GRID: dict[str, Any] = {"kind": "grid", "over": OVER, "objective": "sharpe"}


def sweep(owner: User, search: dict[str, Any] | None = None, **more: Any) -> Run:
    """Queue a sweep, of a small grid unless a search is given."""
    return queued(owner, kind="sweep", search=search or GRID, **more)


def table_of(run: Run) -> pa.Table:
    """Return the trials of a finished study."""
    return pq.read_table(storage.locate(run.artifacts["trials.parquet"]["digest"]))

"""Worker-side verbs: claim, compute, record.

Numeric libraries load when a job first needs them, so that web processes and commands that
only queue work start quickly.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from backtests.jobs.retention import Pruned, prune_artifacts
from backtests.jobs.runs import execute_run, reap_runs
from backtests.jobs.uploads import import_dataset, stalled_imports

if TYPE_CHECKING:
    from backtests.jobs.chunks import Next

__all__ = [
    "Pruned", "execute_chunk", "execute_run", "import_dataset", "prune_artifacts", "reap_chunks",
    "reap_runs", "stalled_imports", "warm_up",
]  # fmt: skip


def execute_chunk(*, chunk_id: int, worker: str) -> "Next":
    """Compute a part of a study; return what a message must speak of next."""
    from backtests.jobs import chunks

    return chunks.execute_chunk(chunk_id=chunk_id, worker=worker)


def reap_chunks(*, n_messages: int | None = 0) -> tuple[list[int], list[UUID]]:
    """Return the chunks that need a message, and the studies that can go on.

    `n_messages` is how many wait for a worker; None where nobody knows.
    """
    from backtests.jobs import chunks

    return chunks.reap_chunks(n_messages=n_messages)


def warm_up() -> None:
    """Load every kernel before the first run needs it."""
    from backtests.jobs import backtest

    backtest.warm_up()

"""Worker-side verbs: claim, compute, record.

Numeric libraries load when a job first needs them, so that web processes and commands that
only queue work start quickly.
"""

from typing import TYPE_CHECKING
from uuid import UUID

from backtests.jobs import warming
from backtests.jobs.handing import evidence_due, hand_in_evidence
from backtests.jobs.retention import Pruned, collect_files, prune_artifacts, referred_to
from backtests.jobs.runs import execute_run, reap_runs
from backtests.jobs.uploads import import_dataset, stalled_imports
from backtests.jobs.warming import COMPILING

if TYPE_CHECKING:
    from backtests.jobs.chunks import Next
    from backtests.models import Dataset
    from backtests.runspec import RunSpec

__all__ = [
    "COMPILING",
    "Pruned",
    "begin_warm_up",
    "check_folds",
    "check_replay",
    "collect_files",
    "evidence_due",
    "execute_chunk",
    "execute_run",
    "hand_in_evidence",
    "import_dataset",
    "prune_artifacts",
    "reap_chunks",
    "reap_runs",
    "referred_to",
    "stalled_imports",
    "warm_up",
]  # fmt: skip


def check_folds(spec: "RunSpec", dataset: "Dataset") -> None:
    """Refuse a study whose folds do not fit into its data."""
    from backtests.jobs import windows

    windows.check_folds(spec, dataset)


def check_replay(spec: "RunSpec", n_periods: int) -> None:
    """Refuse a replay's policies and analysis where no worker could do anything with them."""
    from backtests.jobs import replaying

    replaying.check(spec, n_periods)


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


def begin_warm_up() -> None:
    """Load the kernels in the background, before the first run needs them."""
    warming.begin()


def warm_up() -> None:
    """Load the kernels, or compile them, and return when they are there."""
    warming.warm_up()

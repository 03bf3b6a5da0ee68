"""The lives of a dataset and of a run."""

from enum import StrEnum

from crowetrade_site.core.lifecycle import Lifecycle


class DatasetStatus(StrEnum):
    """Where a dataset version is."""

    IMPORTING = "importing"
    READY = "ready"
    QUARANTINED = "quarantined"
    REFUSED = "refused"


DATASETS = Lifecycle(
    "dataset",
    {
        DatasetStatus.IMPORTING: frozenset({DatasetStatus.READY, DatasetStatus.REFUSED}),
        DatasetStatus.READY: frozenset({DatasetStatus.QUARANTINED}),
        DatasetStatus.QUARANTINED: frozenset({DatasetStatus.READY}),
        DatasetStatus.REFUSED: frozenset(),
    },
)


class RunKind(StrEnum):
    """What a run computes."""

    BACKTEST = "backtest"


class RunStatus(StrEnum):
    """Where a run is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


RUNS = Lifecycle(
    "run",
    {
        RunStatus.QUEUED: frozenset({RunStatus.RUNNING, RunStatus.CANCELLED, RunStatus.FAILED}),
        RunStatus.RUNNING: frozenset(
            # back to queued: the worker was lost and the lease ran out
            {RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.QUEUED}
        ),
        RunStatus.SUCCEEDED: frozenset(),
        RunStatus.FAILED: frozenset(),
        RunStatus.CANCELLED: frozenset(),
    },
)

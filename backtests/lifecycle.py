"""The lives of a dataset, of a run, and of a chunk of a study."""

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
    SWEEP = "sweep"
    WALK_FORWARD = "walk_forward"
    CROSS_VALIDATION = "cross_validation"
    COMPARISON = "comparison"
    REPLAY = "replay"
    REPRODUCTION = "reproduction"
    CAUSALITY_CHECK = "causality_check"

    @property
    def words(self) -> str:
        """The kind as people write it: ``walk-forward``."""
        return self.value.replace("_", "-")


# These compute a run once more: to compare every byte, or with other bars after cuts.
OF_A_RUN = frozenset({RunKind.REPRODUCTION, RunKind.CAUSALITY_CHECK})


class Priority(StrEnum):
    """How large a share of the workers a study has beside others."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


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
            # back to queued: the worker was lost, or what a study waited for is there
            {RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.QUEUED}
        ),
        RunStatus.SUCCEEDED: frozenset(),
        RunStatus.FAILED: frozenset(),
        RunStatus.CANCELLED: frozenset(),
    },
)


class ChunkStatus(StrEnum):
    """Where a part of a study is."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    QUARANTINED = "quarantined"
    CANCELLED = "cancelled"


CHUNKS = Lifecycle(
    "chunk",
    {
        ChunkStatus.QUEUED: frozenset({ChunkStatus.RUNNING, ChunkStatus.CANCELLED}),
        ChunkStatus.RUNNING: frozenset(
            # back to queued: the worker was lost; quarantined: it was lost too often
            {
                ChunkStatus.DONE,
                ChunkStatus.QUARANTINED,
                ChunkStatus.CANCELLED,
                ChunkStatus.QUEUED,
            }
        ),
        ChunkStatus.DONE: frozenset(),
        ChunkStatus.QUARANTINED: frozenset(),
        ChunkStatus.CANCELLED: frozenset(),
    },
)

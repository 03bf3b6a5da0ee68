"""The life of an experiment."""

from enum import StrEnum

from crowetrade_site.core.lifecycle import Lifecycle


class ExperimentStatus(StrEnum):
    """Where an experiment is."""

    DRAFT = "draft"
    RUNNING = "running"
    PAUSED = "paused"
    CONCLUDED = "concluded"
    ARCHIVED = "archived"


EXPERIMENTS = Lifecycle(
    "experiment",
    {
        ExperimentStatus.DRAFT: frozenset({ExperimentStatus.RUNNING, ExperimentStatus.ARCHIVED}),
        ExperimentStatus.RUNNING: frozenset({ExperimentStatus.PAUSED, ExperimentStatus.CONCLUDED}),
        ExperimentStatus.PAUSED: frozenset({ExperimentStatus.RUNNING, ExperimentStatus.CONCLUDED}),
        ExperimentStatus.CONCLUDED: frozenset({ExperimentStatus.ARCHIVED}),
        ExperimentStatus.ARCHIVED: frozenset(),
    },
)

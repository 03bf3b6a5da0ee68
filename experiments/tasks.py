"""Celery adapters of experiments."""

from typing import Any
from uuid import UUID

from celery import shared_task

from experiments import jobs


@shared_task(acks_late=True, ignore_result=True)
def analyze_experiment(*, experiment_id: str, **_: Any) -> None:
    """Look at an experiment, and do what its plan says of what is seen."""
    jobs.analyze_experiment(experiment_id=UUID(experiment_id))


@shared_task(acks_late=True, ignore_result=True)
def hand_in_evidence(*, experiment_id: str, **_: Any) -> None:
    """Have the registry take over what a concluded experiment measured."""
    jobs.hand_in_evidence(experiment_id=UUID(experiment_id))


@shared_task(acks_late=True, ignore_result=True)
def refresh_experiments(**_: Any) -> None:
    """Publish a look at every experiment that has something new, and what is over."""
    for experiment_id in jobs.list_due():
        analyze_experiment.delay(experiment_id=str(experiment_id))
    for experiment_id in jobs.evidence_due():
        hand_in_evidence.delay(experiment_id=str(experiment_id))


@shared_task(acks_late=True, ignore_result=True)
def keep_tables(**_: Any) -> None:
    """Make partitions and drop those past their time, fold shards, and let go of unit totals."""
    jobs.keep_partitions()
    jobs.fold_shards()
    jobs.forget_units()

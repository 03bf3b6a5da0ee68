"""Celery's door to the jobs."""

import logging
from typing import Any
from uuid import UUID

from celery import Task, current_app, shared_task
from celery.signals import worker_process_init
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from backtests import jobs
from backtests.lifecycle import ChunkStatus, RunStatus
from backtests.models import Chunk, Dataset, Run

logger = logging.getLogger(__name__)
LISTEN_SECONDS = 1.0


@worker_process_init.connect
def warm_up(**_: Any) -> None:
    """Load the compiled kernels in a fresh worker process, beside what it is given to do."""
    if settings.WARM_UP:
        jobs.begin_warm_up()


@shared_task(bind=True, acks_late=True, ignore_result=True)
def execute_run(self: Task, *, run_id: str, **_: Any) -> None:
    """Execute one run."""
    for chunk_id in jobs.execute_run(run_id=UUID(run_id), worker=str(self.request.hostname)):
        publish_chunk(chunk_id)
    publish_evidence(UUID(run_id))


@shared_task(acks_late=True, ignore_result=True)
def hand_in_evidence(*, run_id: str, **_: Any) -> None:
    """Hand what a run measured to the registry."""
    jobs.hand_in_evidence(run_id=UUID(run_id))


@shared_task(bind=True, acks_late=True, ignore_result=True)
def execute_chunk(self: Task, *, chunk_id: int, **_: Any) -> None:
    """Compute a part of a study; whoever ends the last one sends the study on."""
    following = jobs.execute_chunk(chunk_id=chunk_id, worker=str(self.request.hostname))
    for further in following.chunks:
        publish_chunk(further)
    if following.study is not None:
        publish_run(following.study)


@shared_task(acks_late=True, ignore_result=True)
def import_dataset(*, dataset_id: str, **_: Any) -> None:
    """Import an uploaded file."""
    jobs.import_dataset(dataset_id=UUID(dataset_id))


@shared_task(acks_late=True, ignore_result=True)
def reap_runs(**_: Any) -> None:
    """Queue lost runs again and publish what was never published."""
    for run_id in jobs.reap_runs():
        publish_run(run_id)
    chunks, studies = jobs.reap_chunks(n_messages=_count_messages("batch"))
    for chunk_id in chunks:
        publish_chunk(chunk_id)
    for run_id in studies:
        publish_run(run_id)
    for dataset_id in jobs.stalled_imports():
        publish_import(dataset_id)
    for run_id in jobs.evidence_due():
        publish_evidence(run_id)


@shared_task(acks_late=True, ignore_result=True)
def prune_artifacts(**_: Any) -> None:
    """Remove the artefacts that the retention policy no longer keeps."""
    jobs.prune_artifacts(at=timezone.now(), actor=None, reason="")


@shared_task(acks_late=True, ignore_result=True)
def collect_files(**_: Any) -> None:
    """Remove files of models that nobody registered, unless a run or a dataset needs them."""
    jobs.collect_files(at=timezone.now())


def publish_run(run_id: UUID) -> None:
    """Send the message that speaks of a queued run.

    A broker that is away loses nothing: the row stays unpublished and the beat comes back.
    """
    if _sent(execute_run, run_id=str(run_id)):
        queued = Run.objects.filter(public_id=run_id, status=RunStatus.QUEUED)
        queued.update(published_at=timezone.now())


def publish_evidence(run_id: UUID) -> None:
    """Send the message that has a run's evidence handed in, if it is due; or the beat will."""
    due = Run.objects.evidence_due().filter(public_id=run_id)
    if due.exists() and _sent(hand_in_evidence, run_id=str(run_id)):
        due.update(evidence_asked_at=timezone.now())


def publish_chunk(chunk_id: int) -> None:
    """Send the message that speaks of a chunk; like `publish_run`, it may wait for the beat.

    The row is taken before the message is sent, by compare-and-set: each message is a turn, so one
    too many would bring another with it for as long as there is work.
    """
    at = timezone.now()
    queued = Chunk.objects.filter(pk=chunk_id, status=ChunkStatus.QUEUED)
    if not queued.filter(published_at=None).update(published_at=at):
        return
    if not _sent(execute_chunk, chunk_id=chunk_id):
        queued.filter(published_at=at).update(published_at=None)


def publish_import(dataset_id: UUID) -> None:
    """Send the message that speaks of an upload; like `publish_run`, it may wait for the beat."""
    if _sent(import_dataset, dataset_id=str(dataset_id)):
        Dataset.objects.filter(public_id=dataset_id).update(published_at=timezone.now())


def _count_messages(queue: str) -> int | None:
    """Return how many messages wait in a queue; None while the broker is away."""
    try:
        with current_app.connection_for_read() as connection:
            declared = connection.channel().queue_declare(queue=queue, passive=True)
    except connection.channel_errors:  # nobody has sent anything yet
        return 0
    except (*connection.connection_errors, OperationalError):
        return None
    return int(declared.message_count)


def is_served(queue: str) -> bool:
    """Return whether a worker that takes from a queue answers; one at work alone may not."""
    try:
        answers = current_app.control.inspect(timeout=LISTEN_SECONDS).active_queues() or {}
    except OperationalError:
        return False
    return any(served["name"] == queue for each in answers.values() for served in each)


def _sent(task: Task, **keys: str | int) -> bool:
    try:
        task.delay(**keys)
    except OperationalError:
        logger.warning(
            "The broker is away; the beat will send it", extra={"task": task.name, **keys}
        )
        return False
    return True

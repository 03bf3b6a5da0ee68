"""What a worker of the scaling measurement loads: a task that does nothing, chunks of one trial."""

from celery import shared_task

from backtests.jobs import evaluation

evaluation.MOST_TRIALS = 1


@shared_task(acks_late=True, ignore_result=True)
def nothing(**_: object) -> None:
    """Do nothing: what is left is the broker and Celery."""

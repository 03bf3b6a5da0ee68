"""What workers and clocks do to runs, done in this process, and what the trail says of it."""

import json
from datetime import timedelta
from typing import Any

from django.utils import timezone

from backtests import jobs
from backtests.jobs.lease import claim
from backtests.models import Run
from crowetrade_site.core.models import AuditEvent


def execute(run: Run) -> Run:
    """Do what a worker does of a run, or of the planning of a study."""
    jobs.execute_run(run_id=run.public_id, worker="w1")
    return Run.objects.get(pk=run.pk)


def work(run: Run, *, until: int = 100) -> Run:
    """Do what workers do until the study is over, or so many chunks are done."""
    messages = jobs.execute_run(run_id=run.public_id, worker="w1")
    for _ in range(until):
        if not messages:
            break
        following = jobs.execute_chunk(chunk_id=messages.pop(0), worker="w1")
        messages += following.chunks
        if following.study is not None:
            messages += jobs.execute_run(run_id=following.study, worker="w1")
    return Run.objects.get(pk=run.pk)


def expire(run: Run) -> None:
    """Let the lease of a run end a second ago."""
    Run.objects.filter(pk=run.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def take_over(run: Run) -> None:
    """Do what the reaper and another worker would."""
    expire(run)
    jobs.reap_runs()
    assert claim(run.public_id, worker="w2") is not None


def trail(subject: Any) -> list[tuple[str, dict]]:
    """Return verb and content of each audit entry on a row."""
    events = AuditEvent.objects.filter(object_id=str(subject.public_id)).order_by("id")
    return [(event.verb, json.loads(event.canonical)) for event in events]


def verbs(run: Run) -> list[str]:
    """Return what the trail says was done with a run."""
    return [verb.removeprefix("backtests.run.") for verb, _ in trail(run)]

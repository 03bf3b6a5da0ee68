"""Whose chunk is next: users share the workers evenly, the studies of one user by priority.

Messages come in the order in which they were sent, so a user with many of them would have all
workers until they are worked off. So a message is only a turn: the worker that takes it asks the
table who has the fewest workers for what they may have, and computes a chunk of theirs. Each chunk
that is taken out of its turn leaves its own message, which is a turn for another.

References
----------
.. [1] Waldspurger and Weihl (1994), "Lottery scheduling", OSDI: drawing by weight is fair without
   remembering who was served; here it decides among those with equally few workers.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from django.db.models import Count, Q, QuerySet

from backtests.lifecycle import ChunkStatus, Priority, RunStatus
from backtests.models import Chunk, Run
from backtests.querysets import ChunkQuerySet

# A study of one priority has four times the workers of one of the next.
WEIGHTS = {Priority.LOW: 1, Priority.NORMAL: 4, Priority.HIGH: 16}
TRIED = 20  # chunks of whoever is next, while other workers take some of them
_lots = random.SystemRandom()


class Claimant(NamedTuple):
    """A study, or a user, with chunks to be computed."""

    key: int
    weight: int
    n_running: int


def whose_turn(chunk_id: int) -> Iterator[int]:
    """Yield the chunks that whoever took a message should try to claim, in this order.

    The one the message names comes last, or first where no other study waits. Where it is taken,
    it was computed in the turn of another message, which now lacks its own: a turn is never lost.
    """
    studies = _studies()
    if len(studies) > 1:
        study = next_study(studies)
        theirs = Chunk.objects.filter(run=study)
        if not theirs.filter(pk=chunk_id, status=ChunkStatus.QUEUED).exists():
            yield from _ready(theirs)
    yield chunk_id
    yield from _ready(Chunk.objects.filter(run__in=Run.objects.waiting()))


def _ready(chunks: ChunkQuerySet) -> QuerySet[Chunk, int]:
    """Return the first of some chunks that a message speaks of and nobody is at."""
    ready = chunks.in_flight().filter(status=ChunkStatus.QUEUED).order_by("first")
    return ready.values_list("pk", flat=True)[:TRIED]


def _studies() -> list[dict[str, Any]]:
    """Return the studies with chunks that a message speaks of, and their workers."""
    waiting = Run.objects.waiting()
    if waiting.count() < 2:
        return []
    counted = Chunk.objects.in_flight().filter(
        run__status=RunStatus.RUNNING, run__waits_for_chunks=True
    )
    rows = counted.values("run", "run__requested_by", "run__priority").annotate(
        n_running=Count("pk", filter=Q(status=ChunkStatus.RUNNING)),
        n_ready=Count("pk", filter=Q(status=ChunkStatus.QUEUED)),
    )
    return [dict(row) for row in rows.order_by()]


def next_study(studies: Iterable[dict[str, Any]]) -> int | None:
    """Return the study whose turn it is; None where no chunk is ready.

    First the user is chosen, by their workers and the highest priority among what is ready; then
    the study of that user.
    """
    of_user: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for study in studies:
        of_user[study["run__requested_by"]].append(study)
    users = [
        Claimant(
            user,
            max(_weight(study) for study in theirs if study["n_ready"]),
            sum(study["n_running"] for study in theirs),
        )
        for user, theirs in of_user.items()
        if any(study["n_ready"] for study in theirs)
    ]
    if not users:
        return None
    ready = [study for study in of_user[_draw(users).key] if study["n_ready"]]
    return _draw(
        [Claimant(study["run"], _weight(study), study["n_running"]) for study in ready]
    ).key


def _weight(study: dict[str, Any]) -> int:
    return WEIGHTS[Priority(study["run__priority"])]


def _draw(claimants: list[Claimant]) -> Claimant:
    """Return one of those with the fewest workers for their weight, drawn by weight."""
    least = min(claimant.n_running / claimant.weight for claimant in claimants)
    tied = [one for one in claimants if one.n_running / one.weight == least]
    return _lots.choices(tied, weights=[one.weight for one in tied])[0]

"""How long the artefacts of runs are kept; their rows and the ledger of trials stay for ever.

Removing takes two passes. The first says in the run's row that nobody may count on its files any
more: no page reads them, no study takes its chunks over. The second, a grace later, takes away the
objects that nothing else refers to and nobody has stored again meanwhile. So whoever found the
files while they were there has recorded by then that they are needed.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q

from backtests.lifecycle import RunKind, RunStatus
from backtests.models import Chunk, Dataset, Run
from backtests.querysets import RunQuerySet
from crowetrade_site.core import audit, storage
from registry import services as registry
from registry.selectors import referred_to as of_models

if TYPE_CHECKING:
    from django.contrib.auth.models import User

ENDED_WITHOUT = Q(status__in=[RunStatus.FAILED, RunStatus.CANCELLED])
# Which runs a setting speaks of.
RULES: Mapping[str, Q] = {
    "backtest": Q(status=RunStatus.SUCCEEDED, kind=RunKind.BACKTEST),
    "study": Q(status=RunStatus.SUCCEEDED) & ~Q(kind__in=[RunKind.BACKTEST, RunKind.REPRODUCTION]),
    "reproduction": Q(status=RunStatus.SUCCEEDED, kind=RunKind.REPRODUCTION),
    "failed": ENDED_WITHOUT,
}
MOST_RUNS = 1000  # that a pass lets expire, and of which it removes files; the next does the rest
LARGE = ("spec", "environment", "summary", "problem")  # columns that no pass looks at
IN_WORDS = {
    "backtest": "backtests", "study": "studies", "reproduction": "reproductions",
    "failed": "failed and cancelled runs",
}  # fmt: skip


class Expired(NamedTuple):
    """A run whose files may go, and by which rule."""

    run: Run
    rule: str


class Pruned(NamedTuple):
    """What a pass did, or would do.

    Attributes
    ----------
    expired : list of Expired
        Runs whose files nobody may count on from now on.
    removed : list of Run
        Runs whose files are gone, after their grace.
    n_objects, n_bytes : int
        What was taken out of the store.
    n_shared : int
        Objects of those runs that stay, because something else refers to them.
    """

    expired: list[Expired]
    removed: list[Run]
    n_objects: int
    n_bytes: int
    n_shared: int


def prune_artifacts(
    *, at: datetime, actor: "User | None", reason: str, is_dry: bool = False
) -> Pruned:
    """Do both passes: remove what expired a grace ago, and let expire what the policy says.

    Raises
    ------
    Unavailable
        The store does not answer; what was removed until then is recorded.
    """
    removed, n_objects, n_bytes, n_shared = _remove(at, actor, reason, is_dry=is_dry)
    expired = [
        one for one in islice(_due(at), MOST_RUNS)
        if is_dry or _expire(one, at=at, actor=actor, reason=reason or _sentence(one.rule))
    ]  # fmt: skip
    return Pruned(expired, removed, n_objects, n_bytes, n_shared)


def _sentence(rule: str) -> str:
    days = settings.RETENTION_DAYS[rule]
    return f"retention policy: artefacts of {IN_WORDS[rule]} are kept {days} days"


def _due(at: datetime) -> Iterator[Expired]:
    """Yield the runs whose time is over and whose files nothing refers to by name."""
    for rule, condition in RULES.items():
        days = settings.RETENTION_DAYS[rule]
        if days:
            over = _removable().filter(condition, finished_at__lt=at - timedelta(days=days))
            for run in over.defer(*LARGE).order_by("finished_at", "pk")[:MOST_RUNS]:
                yield Expired(run, rule)


def _removable() -> RunQuerySet:
    """Return the runs with files that may go: not kept, nor compared with a reproduction."""
    reproductions = Run.objects.filter(
        kind=RunKind.REPRODUCTION, reproduces=OuterRef("pk"), artifacts_expired_at=None
    )
    with_rows = Chunk.objects.filter(run=OuterRef("pk")).exclude(artifact="")
    runs = Run.objects.filter(is_kept=False, artifacts_expired_at=None, finished_at__isnull=False)
    has_files = ~Q(artifacts={}) | Exists(with_rows)
    return runs.filter(has_files, ~Exists(reproductions.filter(_may_compare())))


def _may_compare() -> Q:
    """Tell the reproductions that still look into the files of their original, or show them."""
    return Q(status__in=[RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.SUCCEEDED])


def _expire(one: Expired, *, at: datetime, actor: "User | None", reason: str) -> bool:
    with transaction.atomic():
        still = _removable().filter(pk=one.run.pk)
        if not still.update(artifacts_expired_at=at, updated_at=at):
            return False
        audit.record(
            "backtests.run.artifacts_expired", one.run, actor=actor, at=at, reason=reason,
            after={"rule": one.rule, "artifacts": sorted(one.run.artifacts)},
        )  # fmt: skip
    return True


def _remove(
    at: datetime, actor: "User | None", reason: str, *, is_dry: bool
) -> tuple[list[Run], int, int, int]:
    """Take away the objects of runs that expired a grace ago."""
    before = at - timedelta(seconds=settings.RETENTION_GRACE_SECONDS)
    expired = Run.objects.filter(artifacts_expired_at__lte=before, artifacts_removed_at=None)
    oldest = expired.defer(*LARGE).order_by("artifacts_expired_at", "pk")
    removed = list(oldest[:MOST_RUNS])
    objects = [_objects_of(run) for run in removed]
    shared = referred_to(set().union(*objects))
    n_objects, n_bytes, n_shared = 0, 0, 0
    for run, theirs in zip(removed, objects, strict=True):
        free = theirs - shared
        n_shared += len(theirs) - len(free)
        sizes = [_take_away(digest, before, is_dry=is_dry) for digest in sorted(free)]
        n_objects += sum(size is not None for size in sizes)
        n_bytes += sum(size or 0 for size in sizes)
        if not is_dry:
            _record_removal(run, len(free), len(theirs) - len(free), at, actor, reason)
    return removed, n_objects, n_bytes, n_shared


def _take_away(digest: str, before: datetime, *, is_dry: bool) -> int | None:
    """Remove an object and return its size; None where there is none, or it was stored again.

    One that was just stored again belongs to a run that is about to say so. When that run
    expires, it goes with it.
    """
    if not is_dry:
        return storage.remove_unless_renewed(digest, before)
    found = storage.look(digest)
    return None if found is None or found.written_at > before else found.n_bytes


def _record_removal(
    run: Run, n_free: int, n_shared: int, at: datetime, actor: "User | None", reason: str
) -> None:
    with transaction.atomic():
        if Run.objects.filter(pk=run.pk, artifacts_removed_at=None).update(
            artifacts_removed_at=at, updated_at=at
        ):
            audit.record(
                "backtests.run.artifacts_removed", run, actor=actor, at=at,
                reason=reason or "retention policy: the grace is over",
                after={"n_objects": n_free, "n_shared": n_shared},
            )  # fmt: skip


def _objects_of(run: Run) -> set[str]:
    """Return the digests of everything a run left in the store."""
    named = _named_by(run.artifacts)
    rows = Chunk.objects.filter(run=run).exclude(artifact="")
    return named | set(rows.values_list("artifact", flat=True))


def _named_by(artifacts: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """Return the digests that the row of a run names: files, and lists of the pieces of some."""
    return {
        str(entry[name])
        for entry in artifacts.values()
        for name in ("digest", "pieces") if name in entry
    }  # fmt: skip


def collect_files(*, at: datetime) -> None:
    """Have the registry remove what nobody registered; runs and datasets are known here alone."""
    registry.collect_files_by_rule(at=at, in_use=referred_to)


def referred_to(digests: Iterable[str]) -> set[str]:
    """Return those of some objects that a dataset, a model or a run with kept files refers to."""
    wanted = set(digests)
    found = wanted & _of_datasets() | of_models(wanted)
    kept = Run.objects.filter(artifacts_expired_at=None).exclude(artifacts={})
    for artifacts in kept.values_list("artifacts", flat=True).iterator():
        found |= wanted & _named_by(artifacts)
    live = Chunk.objects.filter(run__artifacts_expired_at=None)
    sought = sorted(wanted - found)
    for begin in range(0, len(sought), 1000):
        some = live.filter(artifact__in=sought[begin : begin + 1000])
        found |= set(some.values_list("artifact", flat=True))
    return found


def _of_datasets() -> set[str]:
    columns = Dataset.objects.values_list("manifest", "source_artifact", "quarantine_artifact")
    found: set[str] = set()
    for manifest, *named in columns.iterator():
        found |= {str(digest) for digest in _files(manifest).values()} | set(named)
    return found


def _files(manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    return manifest.get("files") or {}
